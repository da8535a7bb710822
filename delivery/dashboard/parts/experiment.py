"""Champion against challenger: the verdict so far, and the difference with its confidence sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract import places
from delivery.dashboard.looking import Look
from monitoring.experiment.experiment import Experiment
from monitoring.report.experiment import difference, proof_lines, said, totals
from monitoring.report.page import text

TITLE, PLACE, WIDE = "Experiments", 45, False
REPORT = "report.json"
SHOWN = 3


def read(look: Look) -> list[Found]:
    """The newest report of each of the last experiments."""
    prefix = places.experiment_prefix(look.endpoint, "").rstrip("/") + "/"
    found: dict[str, Found] = {}
    for key, _ in look.keys("artifacts", prefix, f"/{REPORT}"):
        name = key.removeprefix(prefix).partition("/")[0]
        if name not in found and len(found) < SHOWN:
            found[name] = Found(name, look.document("artifacts", key))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Found:
    """One experiment's report."""

    name: str
    report: Mapping[str, Any]


def show(found: list[Found]) -> str:
    if not found:
        return '<p class="empty">No experiment was judged yet: slipway experiment start puts a challenger on trial.</p>'
    newest, *older = found
    rest = "".join(f"<details><summary>{text(each.name)}</summary>{one(each)}</details>" for each in older)
    return f"<h3>{text(newest.name)}</h3>{one(newest)}{rest}"


def one(found: Found) -> str:
    words, mood = said(found.report)
    head = f'<p class="{mood}-text">{text(words)}</p>'
    experiment = Experiment.from_json(found.report["experiment"])
    if not found.report["looks"]:
        return head + totals(found.report, experiment)
    proofs = f"<details><summary>proofs</summary>{proof_lines(found.report)}</details>"
    return head + difference(found.report, experiment) + totals(found.report, experiment) + proofs
