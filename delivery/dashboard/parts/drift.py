"""Whether customers are still those it learned from: the newest judgement, and each column over the windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from delivery.dashboard.looking import Look
from monitoring.report.page import text
from monitoring.report.window import causes, heat_map, over_time, said

TITLE, PLACE, WIDE = "Drift", 50, True
REPORT = "report.json"


@dataclass(frozen=True, slots=True)
class Judged:
    """The newest report about a variant."""

    variant: str
    at: datetime
    report: Mapping[str, Any]


def read(look: Look) -> list[Judged]:
    """The newest window report of each variant."""
    newest: dict[str, Judged] = {}
    for key, at in look.keys("artifacts", f"{look.windows}reports/", REPORT)[:6]:
        report = look.document("artifacts", key)
        if report.get("kind") == "window" and report["variant"] not in newest:
            newest[report["variant"]] = Judged(report["variant"], at, report)
    return list(newest.values())


def show(found: list[Judged]) -> str:
    if not found:
        return '<p class="empty">The monitor has judged no window yet.</p>'
    return "".join(judgement(each) for each in found)


def judgement(found: Judged) -> str:
    words, mood = said(found.report)
    raised = causes(found.report["verdict"]["causes"]) if found.report["verdict"]["causes"] else ""
    return (
        f'<h3>{text(found.variant)} <span class="soft">window of {found.report["rows"]:,} rows, judged '
        f'{found.at:%d %b %H:%M}</span></h3><p class="{mood}-text">{text(words)}</p>{raised}'
        f"{heat_map(found.report)}{over_time(found.report)}"
    )
