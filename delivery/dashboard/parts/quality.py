"""Whether it is right: the measures on known outcomes, and how they went over the last weeks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from contract.release import CHALLENGER, CHAMPION
from contract.signals import signal
from delivery.dashboard.looking import Look, Series
from monitoring.report.outcomes import coverage, measures, said
from monitoring.report.page import AFTER, BEFORE, figure, text

TITLE, PLACE, WIDE = "Quality", 60, False
REPORT = "outcomes.json"
SPAN = timedelta(days=28)
COLOURS = {CHAMPION: BEFORE, CHALLENGER: AFTER}


@dataclass(frozen=True, slots=True)
class Found:
    """The newest report on outcomes, and the published measure over time; nothing of what there is not."""

    report: Mapping[str, Any] | None
    at: datetime | None
    lines: tuple[Series, ...]


def read(look: Look) -> Found:
    asked = [
        (f"{key} {variant}", signal(key), {"EndpointName": look.endpoint, "VariantName": variant}, "Average")
        for variant in (CHAMPION, CHALLENGER)
        for key in ("quality", "quality_estimate")
    ]
    lines = tuple(each for each in look.series(asked, SPAN) if each.values)
    newest = look.keys("artifacts", f"{look.windows}reports/", REPORT)[:1]
    if not newest:
        return Found(None, None, lines)
    key, at = newest[0]
    return Found(look.document("artifacts", key), at, lines)


def show(found: Found) -> str:
    if found.report is None and not found.lines:
        return '<p class="empty">No outcomes are known yet: slipway outcomes put tells them.</p>'
    parts = []
    if found.report is not None and found.at is not None:
        words, mood = said(found.report)
        parts.append(f'<p class="{mood}-text">{text(words)} <span class="soft">{found.at:%d %b %H:%M}</span></p>')
    if found.lines:
        parts.append(trend(found))
    if found.report is not None:
        tables = measures(found.report, slices=False) + coverage(found.report)
        parts.append(f"<details><summary>measures and label coverage</summary>{tables}</details>")
    return "".join(parts)


def trend(found: Found) -> str:
    """The main measure over time, known and estimated."""
    import plotly.graph_objects as go

    drawn = go.Figure(layout={"yaxis": {"title": "quality"}, "legend": {"orientation": "h", "y": 1.2}})
    for each in found.lines:
        key, _, variant = each.name.partition(" ")
        line = {"color": COLOURS[variant], "dash": "solid" if key == "quality" else "dot"}
        name = variant if key == "quality" else f"{variant}, estimated"
        drawn.add_trace(go.Scatter(x=each.times, y=each.values, name=name, mode="lines+markers", line=line))
    return figure(drawn, "Quality over time, by variant", 240)
