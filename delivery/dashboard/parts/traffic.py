"""How it answers: requests, errors and latency of each variant over the last day, and how latency is spread."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from contract.release import CHALLENGER, CHAMPION
from contract.signals import signal
from delivery.dashboard.looking import Asked, Look, Series
from monitoring.report.page import AFTER, BAD, BEFORE, figure

TITLE, PLACE, WIDE = "Traffic", 40, False
SPAN = timedelta(days=1)
VARIANTS = (CHAMPION, CHALLENGER)
COLOURS = {CHAMPION: BEFORE, CHALLENGER: AFTER}
PERCENTILES = ("p50", "p90", "p99", "p99.9")


@dataclass(frozen=True, slots=True)
class Found:
    """Lines by what they are of and by variant."""

    requests: tuple[Series, ...]
    errors: tuple[Series, ...]
    refusals: tuple[Series, ...]
    latency: tuple[tuple[str, tuple[Series, ...]], ...]  # by variant: a line per percentile

    @property
    def empty(self) -> bool:
        return not any(each.values for each in self.requests)


def read(look: Look) -> Found:
    asked: list[Asked] = []
    for variant in VARIANTS:
        place = {"EndpointName": look.endpoint, "VariantName": variant}
        for key, statistic in (("invocations", "Sum"), ("errors", "Average"), ("refusals", "Average")):
            asked.append((f"{key} {variant}", signal(key), place, statistic))
        asked += [(f"{each} {variant}", signal("latency"), place, each) for each in PERCENTILES]
    lines = {each.name: each for each in look.series(asked, SPAN)}

    def of(key: str) -> tuple[Series, ...]:
        return tuple(Series(each, *parts(lines[f"{key} {each}"])) for each in VARIANTS if lines[f"{key} {each}"].values)

    latency = tuple(
        (each, tuple(Series(p, *parts(lines[f"{p} {each}"])) for p in PERCENTILES))
        for each in VARIANTS
        if lines[f"p50 {each}"].values
    )
    return Found(of("invocations"), of("errors"), of("refusals"), latency)


def parts(line: Series) -> tuple[tuple[datetime, ...], tuple[float, ...]]:
    return line.times, line.values


def show(found: Found) -> str:
    if found.empty:
        return '<p class="empty">Nobody asked within the last day.</p>'
    return requests(found) + errors(found) + spread(found) + over_time(found)


def requests(found: Found) -> str:
    import plotly.graph_objects as go

    drawn = go.Figure(layout={"barmode": "stack", "yaxis": {"title": "requests"}, "legend": LEGEND})
    for each in found.requests:
        drawn.add_trace(go.Bar(x=each.times, y=each.values, name=each.name, marker_color=COLOURS[each.name]))
    return figure(drawn, "Requests over the last day, by variant", 200)


def errors(found: Found) -> str:
    import plotly.graph_objects as go

    drawn = go.Figure(
        layout={"yaxis": {"title": "share", "tickformat": ".1%", "rangemode": "tozero"}, "legend": LEGEND}
    )
    for key, lines, dash in (("5xx", found.errors, "solid"), ("4xx", found.refusals, "dot")):
        for each in lines:
            line = {"color": BAD if key == "5xx" else COLOURS[each.name], "dash": dash}
            drawn.add_trace(go.Scatter(x=each.times, y=each.values, name=f"{key} {each.name}", line=line))
    return figure(drawn, "Error rates over the last day: 5xx and 4xx, by variant", 200)


def spread(found: Found) -> str:
    """The newest percentiles side by side."""
    import plotly.graph_objects as go

    drawn = go.Figure(layout={"yaxis": {"title": "ms"}, "legend": LEGEND})
    for variant, lines in found.latency:
        values = [each.values[-1] / 1000 if each.values else None for each in lines]
        drawn.add_trace(go.Bar(x=list(PERCENTILES), y=values, name=variant, marker_color=COLOURS[variant]))
    return figure(drawn, "How latency is spread now: percentiles by variant", 200)


def over_time(found: Found) -> str:
    import plotly.graph_objects as go

    drawn = go.Figure(layout={"yaxis": {"title": "ms", "rangemode": "tozero"}, "legend": LEGEND})
    for variant, lines in found.latency:
        for each, dash in ((lines[0], "solid"), (lines[2], "dot")):
            drawn.add_trace(
                go.Scatter(
                    x=each.times, y=[value / 1000 for value in each.values], name=f"{each.name} {variant}",
                    line={"color": COLOURS[variant], "dash": dash},
                )
            )  # fmt: skip
    return figure(drawn, "Latency over the last day: the median and the 99th percentile, by variant", 220)


LEGEND = {"orientation": "h", "y": 1.2}
