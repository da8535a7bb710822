"""The report of quality: measures with bounds per variant and slice, label coverage beside them, and the estimate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitoring.layout import shortened
from monitoring.report.page import AFTER, BEFORE, Mood, Section, figure, number, render, table, text

VERSION = 1
SAID = 10  # of what is lost, in the verdict's words: the table has every slice


def page(report: Mapping[str, Any]) -> str:
    """The HTML of a report's document."""
    sections = [
        Section("Variants", measures(report, slices=False), "Value with 95 % bounds, from known outcomes alone."),
        Section(
            "Label coverage", coverage(report),
            "Young predictions have few outcomes, and the first are not typical: read quality together with this.",
        ),
        Section(
            "Estimate before outcomes", _estimates(report),
            "An estimate from the model's own probabilities over all predictions. It cannot see that inputs have come "
            "to mean something else.",
        ),
        Section("Calibration", _calibration(report), "What was promised and what happened; the line is exactness.")
        if any(report["calibration"].values())
        else None,
        Section("Slices", measures(report, slices=True), "The same for each value of the columns asked for.")
        if any(part["slice"] for part in report["parts"])
        else None,
        Section("Compared with the reference", _reference(report), "On labelled rows the model was not trained on.")
        if report["reference"]
        else None,
        Section(
            "What predictions follow", _attribution(report),
            "How the order of the inputs by importance agrees with the reference (NDCG; surely below 0.9 is drift), "
            "and the inputs whose share moved most.",
        )
        if report.get("attribution")
        else None,
        Section("What was received", _received(report)),
    ]  # fmt: skip
    kept = [each for each in sections if each is not None]
    title = f"{report['endpoint']}: quality as of {report['made']}"
    return render(title, *said(report), facts=_facts(report), sections=kept)


def said(report: Mapping[str, Any]) -> tuple[str, Mood]:
    """The verdict in words; with a warning beside it, nothing is called good."""
    found, mood = _judged(report)
    warnings = report.get("warnings", ())
    if not warnings:
        return found, mood
    return " ".join([found, *(f"{each}." for each in warnings)]), "unsure" if mood == "good" else mood


def _judged(report: Mapping[str, Any]) -> tuple[str, Mood]:
    lost = [
        f"{_named(part)} is surely on the wrong side of its threshold in {', '.join(part['below_threshold'])}"
        for part in report["parts"]
        if part["below_threshold"]
    ]
    lost += [
        f"{variant} misses {', '.join(labels)} more often than at training, beyond chance"
        for variant, labels in report["decayed"].items()
        if labels
    ]
    if lost:
        rest = f"; and {number(len(lost) - SAID)} more" if len(lost) > SAID else ""
        return "; ".join(lost[:SAID]) + f"{rest}.", "bad"
    known = any(part["measures"].get(report["main"], {}).get("value") is not None for part in report["parts"])
    return ("No loss of quality is proven.", "good") if known else ("Too few outcomes are known to judge.", "unsure")


def _named(part: Mapping[str, Any]) -> str:
    return f"{part['variant']}, {shortened(part['slice'])}" if part["slice"] else str(part["variant"])


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts = report["counts"]
    return [
        ("Predictions", number(counts["predictions"])),
        ("With an outcome", number(counts["joined"])),
        ("Main measure", report["main"].replace("_", " ")),
        ("Thresholds", ", ".join(f"{name} {value:g}" for name, value in report["thresholds"].items()) or "none"),
        ("From", report["since"]),
        ("Made", report["made"]),
    ]


def measures(report: Mapping[str, Any], *, slices: bool) -> str:
    parts = [part for part in report["parts"] if bool(part["slice"]) == slices]
    names = list(dict.fromkeys(name for part in parts for name in part["measures"]))
    rows = [
        [
            text(_named(part)),
            number(part["coverage"]["share"]["n"]),
            _measure(part["coverage"]["share"]),
            *(_measure(part["measures"].get(name)) for name in names),
        ]
        for part in parts
    ]
    headings = ["Variant", "Predictions", "Label coverage", *(name.replace("_", " ") for name in names)]
    return table(headings, rows, "Slices" if slices else "Variants")


def _measure(found: Mapping[str, Any] | None) -> str:
    if found is None or found["value"] is None:
        return "not known"
    if found["low"] is None:
        return number(found["value"])
    return f"{number(found['value'])} <small>({number(found['low'])} to {number(found['high'])})</small>"


def _whole(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [part for part in report["parts"] if not part["slice"]]


def coverage(report: Mapping[str, Any]) -> str:
    ages = sorted({float(age) for part in _whole(report) for age in part["coverage"]["by_age_hours"]})
    rows = [
        [
            text(part["variant"]), _measure(part["coverage"]["share"]), number(part["coverage"]["median_delay_hours"]),
            *(_measure(part["coverage"]["by_age_hours"].get(f"{age:g}")) for age in ages),
        ]
        for part in _whole(report)
    ]  # fmt: skip
    headings = ["Variant", "In all", "Median delay, hours", *(f"Within {age:g} hours" for age in ages)]
    return table(headings, rows, "Label coverage by age")


def _estimates(report: Mapping[str, Any]) -> str:
    names = list(dict.fromkeys(name for part in _whole(report) for name in part["estimate"]))
    if not names:
        return "<p>This model gives no probabilities, so nothing can be estimated.</p>"
    rows = [
        [text(part["variant"]), *(f"{_measure(part['estimate'].get(name))}" for name in names)]
        for part in _whole(report)
    ]
    return table(["Variant", *(f"{name} (estimate)" for name in names)], rows, "Estimates before outcomes")


def _calibration(report: Mapping[str, Any]) -> str:
    import plotly.graph_objects as go

    drawn = go.Figure(layout={"legend": {"orientation": "h", "y": 1.15}})
    exact = {"color": BEFORE, "dash": "dot"}
    drawn.add_trace(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", name="exact", line=exact))
    for variant, bins in report["calibration"].items():
        promised = [round(each["promised"], 4) for each in bins]
        happened = [round(each["happened"]["value"], 4) for each in bins]
        above = [round(each["happened"]["high"] - each["happened"]["value"], 4) for each in bins]
        below = [round(each["happened"]["value"] - each["happened"]["low"], 4) for each in bins]
        bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below}
        drawn.add_trace(go.Scatter(x=promised, y=happened, error_y=bars, mode="markers+lines", name=variant))
    drawn.update_layout(
        xaxis={"title": "promised", "range": [0, 1]},
        yaxis={"title": "happened", "range": [0, 1]},
        colorway=[AFTER, "#3c6e9f"],
    )
    return figure(drawn, "Calibration of each variant", 320)


def _reference(report: Mapping[str, Any]) -> str:
    rows = [
        [
            text(name.replace("_", " ")),
            _measure(found),
            *(_measure(part["measures"].get(name)) for part in _whole(report)),
        ]
        for name, found in report["reference"].items()
    ]
    headings = ["Measure", "Reference", *(part["variant"] for part in _whole(report))]
    return table(headings, rows, "Compared with the reference")


def _attribution(report: Mapping[str, Any]) -> str:
    rows = []
    for variant, found in report["attribution"].items():
        most = sorted(found["by_feature"].items(), key=lambda each: -abs(each[1]))[:5]
        moved = ", ".join(f"{name} {100 * change:+.1f} points" for name, change in most)
        said = "drift" if found["drifted"] else "as before" if found["enough"] else "too few rows"
        rows.append([text(variant), text(said), _measure(found["ndcg"]), _measure(found["moved"]), text(moved)])
    return table(["Variant", "", "NDCG", "Share moved", "Moved most"], rows, "Attribution drift")


def _received(report: Mapping[str, Any]) -> str:
    rows = [[text(name.replace("_", " ")), number(count)] for name, count in report["counts"].items()]
    return table(["What", "How many"], rows, "What was received")
