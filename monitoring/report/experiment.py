"""The report of an experiment: verdict, difference over time with its confidence sequence, proofs and guardrails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from monitoring.experiment.experiment import Experiment
from monitoring.experiment.judge import Judgement, show, totals_shown
from monitoring.experiment.looks import CHALLENGER, CHAMPION, Progress, Tally
from monitoring.report.page import AFTER, BAD, BEFORE, GOOD, Mood, Section, figure, number, render, table, text

VERSION = 1
MOST = 40.0  # of the natural logarithm of an e-value that is drawn


Latency = Mapping[str, Mapping[str, float]]
"""Per variant and percentile (p10 to p99): microseconds."""


def document(
    progress: Progress, judgement: Judgement | None, endpoint: str, made: str, latency: Latency | None = None
) -> dict[str, Any]:
    """Everything the report says, as plain values that JSON can hold."""
    experiment = progress.experiment
    found: dict[str, Any] = {
        "kind": "experiment",
        "version": VERSION,
        "endpoint": endpoint,
        "made": made,
        "experiment": experiment.to_json(),
        "verdict": None if judgement is None else judgement.verdict.to_json(),
        "totals": [{"variant": name, "n": n, "value": _finite(value)} for name, n, value in totals_shown(progress)],
        "looks": [] if judgement is None else _looks(progress, judgement),
        "proofs": [] if judgement is None else _proofs(experiment, judgement),
        "latency": {} if latency is None else {name: dict(each) for name, each in latency.items()},
        "guardrails": [_guardrail(progress, each.name) for each in experiment.guardrails],
    }
    return found


def _looks(progress: Progress, judgement: Judgement) -> list[dict[str, Any]]:
    requests = progress.requests()
    return [
        {
            "name": name,
            "decision": judgement.decisions[i].words,
            "estimate": _finite(judgement.estimate[i]),
            "low": _finite(judgement.low[i]),
            "high": _finite(judgement.high[i]),
            "champion_requests": int(requests[i, CHAMPION]),
            "challenger_requests": int(requests[i, CHALLENGER]),
            "expected_share": _share([arm.weight for arm in progress.looks[i].arms]),
        }
        for i, name in enumerate(judgement.names)
    ]


def _share(weights: Sequence[float]) -> float | None:
    return weights[CHALLENGER] / sum(weights) if sum(weights) else None


def _proofs(experiment: Experiment, judgement: Judgement) -> list[dict[str, Any]]:
    """Each claim: how strong its evidence is after each look, and how strong it must be."""
    found, metric = judgement.evidences, experiment.metric
    least = show(metric.kind, metric.minimum_effect).lstrip("+")
    proofs = [
        (f"better in {metric.name}", found.better, experiment.promotion_level),
        (f"worse in {metric.name}", found.worse, experiment.harm_level),
        (f"a gain of {least} ruled out", found.below_minimum, experiment.false_no_difference),
        ("split differs from the weights", found.sample_ratio, experiment.false_sample_ratio),
    ]
    for guardrail, reading in zip(experiment.guardrails, found.guardrails, strict=True):
        over = f"{guardrail.name} above {guardrail.tolerated:g} times the champion's"
        proofs.append((over, reading.log_e_harm, experiment.harm_level))
        if reading.log_e_safe is not None:
            safe = f"{guardrail.name} not {guardrail.never:g} times the champion's"
            proofs.append((safe, reading.log_e_safe, experiment.false_promotion))
    return [
        {
            "claim": claim,
            "needed": math.log(1 / level),
            "log_e": [round(float(np.clip(each, -MOST, MOST)), 3) for each in log_e],
        }
        for claim, log_e, level in proofs
    ]


def _guardrail(progress: Progress, name: str) -> dict[str, Any]:
    sides = []
    for side in (CHAMPION, CHALLENGER):
        tallies = [look.arms[side].guardrails.get(name, Tally()) for look in progress.looks]
        sides.append([[each.n, each.events] for each in tallies])
    return {"name": name, "champion": sides[CHAMPION], "challenger": sides[CHALLENGER]}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


# --- The page.


def page(report: Mapping[str, Any]) -> str:
    """The HTML of a report's document."""
    experiment = Experiment.from_json(report["experiment"])
    sections = [Section("Both variants", totals(report, experiment), "Sums over all looks: to read, not to compare.")]
    if report["looks"]:
        sections += [
            Section(
                "Difference over time", difference(report, experiment),
                "Challenger minus champion, compared within looks and combined across them. The band holds the true "
                f"difference at all times at once, but for a chance of {experiment.false_promotion:g}.",
            ),
            Section(
                "Proofs", proof_table(report) + proof_lines(report),
                "Evidence for each claim after each look, as a share of what proves it: at 1 the claim is proven, "
                "however often it was looked at.",
            ),
            Section("Traffic", traffic(report), "The challenger's share of requests, and what the weights say."),
            *(
                [Section("Latency", _latency(report), "Inside the container, in the latest look, by percentile.")]
                if any(report["latency"].values())
                else []
            ),
            *(
                Section(f"Guardrail: {each['name']}", _guardrail_lines(each), "Share of bad requests, so far.")
                for each in report["guardrails"]
            ),
        ]  # fmt: skip
    title = f"{report['endpoint']}: experiment {experiment.name}"
    return render(title, *said(report), facts=_facts(report, experiment), sections=sections)


def said(report: Mapping[str, Any]) -> tuple[str, Mood]:
    verdict = report["verdict"]
    if verdict is None:
        return "No look was counted yet.", "unsure"
    moods: dict[str, Mood] = {"promote": "good", "stop for harm": "bad", "no difference": "good"}
    mood = "bad" if verdict["sample_ratio_alarm"] else moods.get(verdict["decision"], "unsure")
    return f"{verdict['decision'].capitalize()}: {verdict['reason']}.", mood


def _facts(report: Mapping[str, Any], experiment: Experiment) -> list[tuple[str, str]]:
    verdict = report["verdict"] or {"looks": 0, "observed": 0, "proposed_weights": {}}
    planned = experiment.planned_requests
    weights = ", ".join(f"{name} {share:.0%}" for name, share in verdict["proposed_weights"].items())
    return [
        ("Metric", f"{experiment.metric.name} ({experiment.metric.kind}, {experiment.metric.better} is better)"),
        ("Least gain worth having", show(experiment.metric.kind, experiment.metric.minimum_effect).lstrip("+")),
        ("Looks", f"{verdict['looks']} of at least {experiment.minimum_looks}"),
        ("Units observed", f"{verdict['observed']:,}" + (f" of {planned:,} planned" if planned else "")),
        ("Weights a bandit would set", weights or "none"),
        ("Made", report["made"]),
    ]


def totals(report: Mapping[str, Any], experiment: Experiment) -> str:
    form = "{:.3%}" if experiment.metric.kind == "rate" else "{:.5g}"
    rows = [
        [text(each["variant"]), f"{each['n']:,}", "none" if each["value"] is None else form.format(each["value"])]
        for each in report["totals"]
    ]
    return table(["Variant", "Units", experiment.metric.name], rows, "Both variants over all looks")


def difference(report: Mapping[str, Any], experiment: Experiment) -> str:
    import plotly.graph_objects as go

    looks = report["looks"]
    times = [each["name"] for each in looks]
    drawn = go.Figure(layout={"showlegend": False, "yaxis": {"title": "challenger minus champion"}})
    for name, fill in (("high", None), ("low", "tonexty")):
        drawn.add_trace(
            go.Scatter(x=times, y=[_short(each[name]) for each in looks], mode="lines", line={"width": 0},
                       fill=fill, fillcolor="rgba(122, 138, 160, 0.3)", name=name)
        )  # fmt: skip
    drawn.add_trace(
        go.Scatter(x=times, y=[_short(each["estimate"]) for each in looks], mode="lines", line={"color": AFTER})
    )
    drawn.add_hline(y=0, line_color=BEFORE)
    least = experiment.metric.sign * experiment.metric.minimum_effect
    drawn.add_hline(y=least, line_dash="dot", line_color=GOOD)
    reach = 4 * max(abs(least), *(abs(each["estimate"] or 0.0) for each in looks[-3:]))
    drawn.update_layout(yaxis={"range": [-reach, reach]})
    return figure(drawn, "Difference of the variants over time with its confidence sequence", 300)


def proof_table(report: Mapping[str, Any]) -> str:
    rows = [
        [
            text(each["claim"]), number(math.exp(each["log_e"][-1])), number(math.exp(each["needed"])),
            "proven" if each["log_e"][-1] >= each["needed"] else "not proven",
        ]
        for each in report["proofs"]
    ]  # fmt: skip
    return table(["Claim", "Evidence now", "Needed", ""], rows, "Evidence for each claim")


def proof_lines(report: Mapping[str, Any]) -> str:
    import plotly.graph_objects as go

    times = [each["name"] for each in report["looks"]]
    drawn = go.Figure(
        layout={"legend": {"orientation": "h", "y": -0.2}, "yaxis": {"title": "share of the proof needed"}}
    )
    for each in report["proofs"]:
        shares = [round(max(-1.0, min(2.0, log_e / each["needed"])), 3) for log_e in each["log_e"]]
        drawn.add_trace(go.Scatter(x=times, y=shares, name=each["claim"], mode="lines"))
    drawn.add_hline(y=1, line_dash="dot", line_color=BAD)
    return figure(drawn, "Evidence for each claim over time", 360)


def traffic(report: Mapping[str, Any]) -> str:
    import plotly.graph_objects as go

    looks = report["looks"]
    times = [each["name"] for each in looks]
    totals = [each["champion_requests"] + each["challenger_requests"] for each in looks]
    seen = [
        round(each["challenger_requests"] / total, 4) if total else None
        for each, total in zip(looks, totals, strict=True)
    ]
    drawn = go.Figure(layout={"legend": {"orientation": "h", "y": 1.15}, "yaxis": {"tickformat": ".0%"}})
    drawn.add_trace(go.Scatter(x=times, y=seen, name="seen", mode="lines", line={"color": AFTER}))
    said = [_short(each["expected_share"]) for each in looks]
    drawn.add_trace(go.Scatter(x=times, y=said, name="weights", mode="lines", line={"color": BEFORE, "dash": "dot"}))
    return figure(drawn, "Share of requests the challenger got over time", 220)


def _latency(report: Mapping[str, Any]) -> str:
    import plotly.graph_objects as go

    drawn = go.Figure(layout={"legend": {"orientation": "h", "y": 1.15}, "yaxis": {"title": "milliseconds"}})
    for (variant, found), colour in zip(report["latency"].items(), (BEFORE, AFTER), strict=False):
        values = [round(each / 1000, 3) for each in found.values()]
        drawn.add_trace(go.Bar(x=list(found), y=values, name=variant, marker_color=colour))
    return figure(drawn, "Latency of both variants by percentile", 220)


def _guardrail_lines(guardrail: Mapping[str, Any]) -> str:
    import plotly.graph_objects as go

    drawn = go.Figure(layout={"legend": {"orientation": "h", "y": 1.15}, "yaxis": {"tickformat": ".2%"}})
    for name, colour in (("champion", BEFORE), ("challenger", AFTER)):
        counts = np.cumsum(np.array(guardrail[name], dtype=np.float64).reshape(-1, 2), axis=0)
        shares = [round(float(bad / n), 6) if n else None for n, bad in counts]
        drawn.add_trace(go.Scatter(y=shares, name=name, mode="lines", line={"color": colour}))
    return figure(drawn, f"{guardrail['name']} of both variants over looks", 220)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
