"""The report of one window: what the alarm says, which columns moved and how, and how the last windows went."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitoring.baseline import Baseline
from monitoring.capture import Tally
from monitoring.drift import Measured
from monitoring.layout import CategoryColumn, NumericColumn, shortened
from monitoring.profile import Profile
from monitoring.quality import Violation
from monitoring.report.page import AFTER, BAD, BEFORE, Mood, Section, cards, figure, moment, number, render, table, text
from monitoring.verdict import Verdict
from monitoring.window import Window

VERSION = 1
PLOTS = 24  # columns whose distributions are drawn: those that moved most
LEVELS = 12  # of a category, in its drawing
DISCOVERY = 0.05  # of the columns listed as different, the share that may be so by chance
SENTENCE = 600  # characters of what is wrong with a column
REPEATED = 0.05  # of the rows, repeating another: from here on it is said beside the verdict
HEATED = 60  # columns in the heat map: those that moved most in any window


@dataclass(frozen=True, slots=True)
class Point:
    """A past window in the report: when, how many rows, what was said, and the effect in each column."""

    since: str
    rows: int
    status: str
    effects: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        rounded = {name: round(effect, 3) for name, effect in self.effects.items()}
        return {"since": self.since, "rows": self.rows, "status": self.status, "effects": rounded}


def different(measured: Measured, rate: float = DISCOVERY) -> dict[str, float]:
    """Columns that differ under a false discovery rate (Benjamini and Hochberg), with their adjusted p-values."""
    p = measured.p_values
    order = sorted(p, key=p.__getitem__)
    adjusted: dict[str, float] = {}
    least = 1.0
    for rank, name in reversed(list(enumerate(order, 1))):
        least = min(least, p[name] * len(order) / rank)
        adjusted[name] = least
    return {name: adjusted[name] for name in order if adjusted[name] <= rate}


def document(
    *, endpoint: str, variant: str, baseline: Baseline, window: Window, verdict: Verdict, measured: Measured,
    violations: Sequence[Violation], past: Sequence[Point], made: str, served: Mapping[str, Any] | None = None,
    usual_share: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Everything the report says, as plain values that JSON can hold."""
    listed = different(measured)
    before = baseline.profile_at(window.span.since)
    found = {
        "kind": "window",
        "version": VERSION,
        "endpoint": endpoint,
        "variant": variant,
        "since": window.span.since.isoformat() if window.span.since else None,
        "until": window.span.until.isoformat() if window.span.until else None,
        "slice": {"column": window.where.column, "value": window.where.value} if window.where else None,
        "made": made,
        "rows": window.profile.rows,
        "baseline_rows": before.rows,
        "verdict": verdict.to_json(),
        "different": [
            {"column": name, "adjusted_p": p, "matters": verdict.effects.get(name, 0.0) >= 1}
            for name, p in listed.items()
        ],
        "columns": [
            _column(before, window.profile, i, measured, verdict) for i in range(len(window.profile.layout.columns))
        ],
        "table": {name: score.to_json() for name, score in measured.table.items()},
        "violations": [violation.to_json() for violation in violations],
        "repeats": _repeats(window, usual_share),
        "tally": _plain(window.tally),
        "past": [point.to_json() for point in past],
        "served": served,
    }
    return {name: _finite_only(value) for name, value in found.items()}


def _repeats(window: Window, usual: float | None) -> dict[str, Any] | None:
    if window.rows is None:
        return None
    return {"share": window.rows.share, "usual": usual, "rows": window.rows.things, "distinct": window.rows.distinct}


def _plain(tally: Tally) -> dict[str, Any]:
    """What was met, with the number of events that repeat another in place of the events."""
    met = tally.to_json() | {"repeated": tally.repeated_events}
    del met["events"]
    return met


def _column(before: Profile, after: Profile, i: int, measured: Measured, verdict: Verdict) -> dict[str, Any]:
    column = after.layout.columns[i]
    numeric = isinstance(column, NumericColumn)
    return {
        "name": column.name,
        "kind": "number" if numeric else "category",
        "role": column.role,
        "effect": verdict.effects.get(column.name, 0.0),
        "scores": {name: score.to_json() for name, score in measured.columns.get(column.name, {}).items()},
        "before": _summary(before, i),
        "after": _summary(after, i),
        "shape": _numbers(before, after, i) if numeric else _levels(before, after, i),
    }


def _summary(profile: Profile, i: int) -> dict[str, Any]:
    rows = max(profile.rows, 1)
    found: dict[str, Any] = {"missing": float(profile.missing[i] / rows), "unreadable": int(profile.unreadable[i])}
    if isinstance(profile.layout.columns[i], NumericColumn):
        for name, value in (
            ("mean", profile.mean(i)), ("deviation", profile.deviation(i)),
            ("minimum", float(profile.minimum[i])), ("maximum", float(profile.maximum[i])),
        ):  # fmt: skip
            found[name] = value if math.isfinite(value) else None
    return found


def _numbers(before: Profile, after: Profile, i: int) -> dict[str, Any]:
    """Rows per bin with the bins' ends; the outer two end where values do."""
    column = after.layout.columns[i]
    edges = list(column.edges) if isinstance(column, NumericColumn) else []
    if not edges:
        return {"ends": [], "before": [], "after": []}
    low = min(edges[0], _finite(before.minimum[i], edges[0]), _finite(after.minimum[i], edges[0]))
    high = max(edges[-1], _finite(before.maximum[i], edges[-1]), _finite(after.maximum[i], edges[-1]))
    kept = len(edges) + 1
    return {
        "ends": [low, *edges, high],
        "before": before.cells[i, :kept].tolist(),
        "after": after.cells[i, :kept].tolist(),
    }


def _finite(value: float, default: float) -> float:
    return float(value) if math.isfinite(value) else default


def _levels(before: Profile, after: Profile, i: int) -> dict[str, Any]:
    column = after.layout.columns[i]
    assert isinstance(column, CategoryColumn)  # noqa: S101 (the caller chose by kind)
    weight = before.cells[i] / max(before.rows, 1) + after.cells[i] / max(after.rows, 1)
    shown = [int(cell) for cell in np.argsort(-weight, kind="stable")[:LEVELS] if weight[cell] > 0]
    return {
        "levels": [column.cell_name(cell) for cell in shown],
        "before": before.cells[i, shown].tolist(),
        "after": after.cells[i, shown].tolist(),
        "unseen": sorted(after.unseen[i].counts.items(), key=lambda item: (-item[1], item[0]))[:LEVELS],
    }


# --- The page.


def page(report: Mapping[str, Any]) -> str:
    """The HTML of a report's document."""
    verdict = report["verdict"]
    sections = [
        Section(_raised(verdict), causes(verdict["causes"])) if verdict["causes"] else None,
        Section(
            "Columns that moved most", _distributions(report),
            "Baseline and window, each as a share of its rows. An effect of 1 is the smallest that matters.",
        ),
        Section("Drift over time", over_time(report), "The largest effect of each window; a marker is an alarm.")
        if report["past"]
        else None,
        Section("Columns by window", heat_map(report), "The effect in each column; 1 is the smallest that matters.")
        if len(report["past"]) > 1
        else None,
        Section("Latency and errors", _served(report["served"]), "What the endpoint itself measured of the window.")
        if report.get("served")
        else None,
        Section("Data quality", violations(report)),
        Section("All columns", _all_columns(report), "Scores with 95 % intervals; p-values before correction."),
        Section("The table as a whole", _whole(report)),
        Section("What was read", _tally(report), _unfiltered(report)),
    ]  # fmt: skip
    title = f"{report['endpoint']} / {report['variant']}: {moment(report['since'], 'all records')}"
    kept = [part for part in sections if part is not None]
    return render(title, *said(report), facts=_facts(report), sections=kept)


def _raised(verdict: Mapping[str, Any]) -> str:
    """A window that repeats itself raises no alarm, whatever differs in it."""
    raised = "drift" in (verdict["status"], verdict["predictions"])
    return "What raised the alarm" if raised else "What would raise the alarm, were the rows not a few over and over"


def said(report: Mapping[str, Any]) -> tuple[str, Mood]:
    verdict, broken = report["verdict"], len(report["violations"])
    parts = {
        "drift": "Drift: the inputs differ from the baseline by more than matters, beyond the false-alarm budget.",
        "quiet": "No drift that matters.",
        "not enough data": "Not enough data to judge drift.",
    }[verdict["status"]]
    repeated = (report.get("repeats") or {}).get("share", 0.0)
    if repeated >= REPEATED:
        parts += f" {repeated:.0%} of the rows repeat another, and each was taken as evidence of its own."
    if report.get("slice"):
        column, value = (shortened(report["slice"][name]) for name in ("column", "value"))
        parts += f" Only rows where {column} is {value} were judged, and {column} itself was not."
    if verdict["predictions"] == "drift":
        parts += " The predictions drifted."
    if broken:
        parts += f" {broken} data quality violation{'s' if broken > 1 else ''}."
    if "drift" in (verdict["status"], verdict["predictions"]) or broken:
        return parts, "bad"
    return parts, "unsure" if verdict["status"] == "not enough data" else "good"


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("Rows", number(report["rows"])),
        ("Baseline rows", number(report["baseline_rows"])),
        ("From", moment(report["since"], "the first record")),
        ("To", moment(report["until"], "the last record")),
        ("Columns that differ", f"{len(report['different'])} of {len(report['columns'])}"),
        *([("Rows that repeat another", f"{report['repeats']['share']:.1%}")] if report.get("repeats") else []),
        ("Unreadable records", number(report["tally"]["quarantined"])),
        ("Made", moment(report["made"])),
    ]


def causes(found: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            text(" and ".join(map(shortened, cause["columns"]))),
            f"{number(cause['effect'])} times what matters",
            f"10<sup>{cause['log_p'] / math.log(10):.0f}</sup>",
            text(f"the last {cause['windows']} windows" if cause["windows"] > 1 else "this window"),
        ]
        for cause in found[:PLOTS]
    ]
    return table(["Column", "Effect", "Chance of this without drift", "Seen over"], rows, "What raised the alarm")


def _moved(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(report["columns"], key=lambda column: -column["effect"])


def _distributions(report: Mapping[str, Any]) -> str:
    drawn = []
    for column in _moved(report)[:PLOTS]:
        draw = _histogram if column["kind"] == "number" else _bars
        line = f"effect {number(column['effect'])}" + (" · prediction" if column["role"] == "prediction" else "")
        label = f"Distribution of {shortened(column['name'])}, baseline beside window"
        drawn.append((shortened(column["name"]), line, figure(draw(column["shape"]), label, 220)))
    return cards(drawn)


def _histogram(shape: Mapping[str, Any]) -> Any:
    """Densities over bins of unequal width, cut where nearly all rows lie."""
    import plotly.graph_objects as go

    drawn = go.Figure(layout={"showlegend": True, "legend": {"orientation": "h", "y": 1.15}, "bargap": 0})
    ends = np.array(shape["ends"], np.float64)
    if not len(ends):
        return drawn
    low, high = _view(ends, np.array(shape["before"]), np.array(shape["after"]))
    bounds = ends.clip(low, high)
    widths = np.maximum(np.diff(bounds), (high - low) / 400 or 1.0)
    for name, key, colour in (("baseline", "before", BEFORE), ("window", "after", AFTER)):
        rows = np.array(shape[key], np.float64)
        heights = rows / max(rows.sum(), 1) / widths
        steps = np.repeat(bounds, 2)[1:-1]
        drawn.add_trace(
            go.Scatter(
                x=[float(f"{at:.6g}") for at in steps], y=[float(f"{at:.4g}") for at in np.repeat(heights, 2)],
                name=name, mode="lines", fill="tozeroy", line={"color": colour, "width": 1.5}, opacity=0.8,
            )
        )  # fmt: skip
    drawn.update_layout(yaxis={"title": "density", "rangemode": "tozero"})
    return drawn


def _view(ends: Any, before: Any, after: Any) -> tuple[float, float]:
    """From where to where to draw: outer bins only as far as they are likely to be filled."""
    inner = ends[1:-1]
    low, high = float(inner[0]), float(inner[-1])
    span = (high - low) or max(abs(low), 1.0)
    if after[0] + before[0] > 0.02 * (after.sum() + before.sum()):
        low = max(float(ends[0]), low - 3 * span)
    if after[-1] + before[-1] > 0.02 * (after.sum() + before.sum()):
        high = min(float(ends[-1]), high + 3 * span)
    return (low, high) if high > low else (low - span / 2, low + span / 2)


def _bars(shape: Mapping[str, Any]) -> Any:
    import plotly.graph_objects as go

    names = [name if len(name) <= 24 else name[:23] + "…" for name in shape["levels"]]
    drawn = go.Figure(layout={"barmode": "group", "legend": {"orientation": "h", "y": 1.15}})
    for name, key, colour in (("baseline", "before", BEFORE), ("window", "after", AFTER)):
        rows = np.array(shape[key], np.float64)
        drawn.add_trace(
            go.Bar(x=names, y=(rows / max(rows.sum(), 1)).round(5).tolist(), name=name, marker_color=colour)
        )
    drawn.update_layout(yaxis={"title": "share", "tickformat": ".0%"}, xaxis={"type": "category"})
    return drawn


def _served(served: Mapping[str, Any]) -> str:
    """The errors as a share of requests, and the latency's distribution by percentile."""
    import plotly.graph_objects as go

    requests, errors, latency = served["requests"], served["errors"], served["latency"]
    share = f" ({errors / requests:.3%})" if requests else ""
    told = f"<p>{number(errors)} of {number(requests)} requests failed inside the container{share}.</p>"
    if not latency:
        return told
    drawn = go.Figure(layout={"xaxis": {"title": "milliseconds", "type": "log"}, "yaxis": {"title": "answered within"}})
    times, shares = [value / 1000 for value in latency.values()], [float(name[1:]) / 100 for name in latency]
    drawn.add_trace(go.Scatter(x=times, y=shares, mode="lines+markers", name="latency", line={"color": AFTER}))
    drawn.update_layout(yaxis={"tickformat": ".0%", "range": [0, 1]})
    return told + figure(drawn, "Latency distribution: share of requests answered within a time", 220)


def _windows(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    now = {
        "since": report["since"] or report["made"],
        "rows": report["rows"],
        "status": "drift" if "drift" in (report["verdict"]["status"], report["verdict"]["predictions"]) else "quiet",
        "effects": report["verdict"]["effects"],
    }
    # Without a row there is nothing that could differ, whatever a share of nothing says.
    return [each if each["rows"] else {**each, "effects": {}} for each in (*report["past"], now)]


def over_time(report: Mapping[str, Any]) -> str:
    import plotly.graph_objects as go

    windows = _windows(report)
    times = [each["since"] for each in windows]
    largest = [round(max(each["effects"].values(), default=0.0), 3) for each in windows]
    drawn = go.Figure(
        layout={"legend": {"orientation": "h", "y": 1.15}, "yaxis": {"title": "effect", "rangemode": "tozero"}}
    )
    drawn.add_trace(go.Scatter(x=times, y=largest, name="largest effect", mode="lines", line={"color": AFTER}))
    alarms = [i for i, each in enumerate(windows) if each["status"] == "drift"]
    drawn.add_trace(
        go.Scatter(
            x=[times[i] for i in alarms], y=[largest[i] for i in alarms], name="alarm", mode="markers",
            marker={"color": BAD, "size": 9, "symbol": "diamond"},
        )
    )  # fmt: skip
    drawn.add_hline(y=1, line_dash="dot", line_color=BEFORE)
    rows = go.Figure(layout={"yaxis": {"title": "rows", "rangemode": "tozero"}})
    rows.add_trace(go.Bar(x=times, y=[each["rows"] for each in windows], marker_color=BEFORE, name="rows"))
    return figure(drawn, "Largest effect of each window over time") + figure(rows, "Rows of each window", 140)


def heat_map(report: Mapping[str, Any]) -> str:
    import plotly.graph_objects as go

    windows = _windows(report)
    most = {
        column["name"]: max(each["effects"].get(column["name"], 0.0) for each in windows)
        for column in report["columns"]
    }
    names = sorted(most, key=lambda name: -most[name])[:HEATED][::-1]
    values = [[round(min(each["effects"].get(name, 0.0), 5.0), 2) for each in windows] for name in names]
    drawn = go.Figure(layout={"margin": {"l": 120}, "xaxis": {"type": "category", "nticks": 8}})
    drawn.add_trace(
        go.Heatmap(
            x=[each["since"] for each in windows], y=_apart(names), z=values, zmin=0, zmax=3,
            colorbar={"title": "effect"}, colorscale=[[0, "#20344f"], [1 / 3, "#c9d3df"], [0.6, AFTER], [1, BAD]],
        )
    )  # fmt: skip
    return figure(drawn, "Effect in each column of each window", max(220, 18 * len(names) + 80))


def _apart(names: Sequence[str]) -> list[str]:
    """Names as far as they fit, and still different."""
    short = [shortened(name) for name in names]
    return [name if short.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(short)]


def violations(report: Mapping[str, Any]) -> str:
    if not report["violations"]:
        return "<p>Every constraint of the baseline is kept.</p>"
    rows = [
        [
            text(shortened(each["feature_name"])),
            text(each["constraint_check_type"]),
            f'<span class="text">{text(shortened(each["description"], SENTENCE))}</span>',
        ]
        for each in report["violations"]
    ]
    return table(["Column", "Check", "What is wrong"], rows, "Data quality violations")


def _all_columns(report: Mapping[str, Any]) -> str:
    names = sorted({name for column in report["columns"] for name in column["scores"]})
    rows = [
        [
            text(shortened(column["name"])),
            number(column["effect"]),
            f"{column['before']['missing']:.2%} → {column['after']['missing']:.2%}",
            f"{number(column['before'].get('mean'))} → {number(column['after'].get('mean'))}",
            *(_score(column["scores"].get(name)) for name in names),
        ]
        for column in _moved(report)
    ]
    return table(
        ["Column", "Effect", "Missing", "Mean", *(name.replace("_", " ") for name in names)], rows, "All columns"
    )


def _score(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return ""
    interval = f"{number(score['low'], 2)} to {number(score['high'], 2)}"
    return f'<span title="{interval}; p = {number(score["p"], 2)}">{number(score["value"])}</span>'


def _whole(report: Mapping[str, Any]) -> str:
    rows = [
        [
            text(name.replace("_", " ")), number(score["value"]), f"{number(score['low'])} to {number(score['high'])}",
            number(score["p"], 2), text(shortened(score["detail"], SENTENCE)),
        ]
        for name, score in report["table"].items()
    ]  # fmt: skip
    return table(["Metric", "Value", "95 % interval", "p", "Mostly"], rows, "Metrics of the whole table")


def _unfiltered(report: Mapping[str, Any]) -> str:
    """Rows of tables have no time that the monitor knows."""
    if report.get("repeats") or report["since"] is None:
        return ""
    return "Of tables every row was taken, whatever its time: from and to say for when the window stands."


def _tally(report: Mapping[str, Any]) -> str:
    tally = report["tally"]
    rows = [
        [text(name), number(tally.get(key, 0))]
        for name, key in (
            ("Files", "files"), ("Records", "records"), ("Records of other times", "outside"),
            ("Records filed under an hour far from their time", "astray"),
            ("Quarantined records", "quarantined"), ("Repeated events", "repeated"), ("Damaged files", "damaged"),
            ("Files read record by record", "carefully"),
        )
    ]  # fmt: skip
    body = table(["What", "How many"], rows, "What was read")
    if tally["reasons"]:
        body += table(
            ["Why a record was quarantined", "How many"],
            [
                [f'<span class="text">{text(reason)}</span>', number(count)]
                for reason, count in tally["reasons"].items()
            ],
            "Reasons",
        )
        body += "<ul>" + "".join(
            f"<li>{text(each['file'])} line {each['line']}: <code>{text(each['text'][:120])}</code></li>"
            for each in tally["examples"][:10]
        ) + "</ul>"  # fmt: skip
    return body


def to_bytes(report: Mapping[str, Any]) -> bytes:
    return json.dumps(report, separators=(",", ":"), allow_nan=False).encode()


def _finite_only(value: Any) -> Any:
    """JSON has no infinity; null stands for it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite_only(each) for name, each in value.items()}
    return [_finite_only(each) for each in value] if isinstance(value, (list, tuple)) else value
