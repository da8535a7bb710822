"""Judge an experiment as it stands: the verdict in words, and the series its report draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from monitoring.experiment.evidence import Array
from monitoring.experiment.experiment import Experiment
from monitoring.experiment.looks import Progress, Sums, Tally
from monitoring.experiment.thompson import propose
from monitoring.experiment.verdict import Decision, Evidences, Findings, decide, evidences, findings

LARGEST = 700.0  # of a logarithm that is shown as a number


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do and why, after the latest look."""

    decision: Decision
    reason: str
    looks: int
    observed: int
    estimate: float
    """Challenger minus champion, in the metric's own unit."""
    low: float
    high: float
    sample_ratio_alarm: bool
    proposed_weights: dict[str, float]

    @property
    def promotes(self) -> bool:
        return self.decision is Decision.PROMOTE

    @property
    def harms(self) -> bool:
        return self.decision is Decision.STOP_FOR_HARM

    def to_json(self) -> dict[str, Any]:
        return {
            "decision": self.decision.words,
            "reason": self.reason,
            "looks": self.looks,
            "observed": self.observed,
            "difference": {"estimate": self.estimate, "low": _finite(self.low), "high": _finite(self.high)},
            "sample_ratio_alarm": self.sample_ratio_alarm,
            "proposed_weights": self.proposed_weights,
        }


@dataclass(frozen=True)
class Judgement:
    """The verdict, and after each look what it rested on."""

    verdict: Verdict
    names: tuple[str, ...]
    decisions: tuple[Decision, ...]
    estimate: Array
    low: Array
    high: Array
    evidences: Evidences
    findings: Findings


NOTHING_YET = Verdict(
    Decision.KEEP_RUNNING, "no look yet", 0, 0, 0.0, -math.inf, math.inf, sample_ratio_alarm=False, proposed_weights={}
)


def judge(progress: Progress) -> Judgement | None:
    """The judgement after the latest look; none before the first."""
    if not progress.looks:
        return None
    experiment = progress.experiment
    metric = progress.metric_evidence()
    found = evidences(experiment, metric, progress.guardrail_readings(), progress.sample_ratio(), progress.observed())
    claims = findings(experiment, found)
    decisions = tuple(Decision(int(each)) for each in decide(claims))
    base = champion_value(progress)
    low, high = (in_own_unit(experiment, base, each) for each in metric.bounds(experiment.false_promotion))
    estimate = in_own_unit(experiment, base, metric.estimate)
    latest = type(metric)(metric.grid, metric.log_likelihood[-1])
    verdict = Verdict(
        decision=decisions[-1],
        reason=reason(experiment, claims, found, decisions[-1], (float(estimate[-1]), float(low[-1]), float(high[-1]))),
        looks=len(progress.looks),
        observed=int(found.observed[-1]),
        estimate=float(estimate[-1]),
        low=float(low[-1]),
        high=float(high[-1]),
        sample_ratio_alarm=bool(claims.split_broken[-1]),
        proposed_weights=propose({"challenger": latest}, better=experiment.metric.better),
    )
    names = tuple(each.name for each in progress.looks)
    return Judgement(verdict, names, decisions, estimate, low, high, found, claims)


def champion_value(progress: Progress) -> float:
    """The champion's rate or mean over all looks, at which effects are shown; the expected one until there is any."""
    champion, _ = progress.totals()
    if isinstance(champion, Tally):
        return champion.events / champion.n if 0 < champion.events < champion.n else progress.experiment.metric.base
    return champion.y / champion.n if champion.n else progress.experiment.metric.base


def in_own_unit(experiment: Experiment, base: float, effects: Array) -> Array:
    """Effects as differences people read: for a rate, what the odds ratio makes of the champion's rate."""
    if experiment.metric.kind != "rate":
        return effects
    return np.asarray(expit(logit(base) + effects) - base)


def reason(
    experiment: Experiment,
    claims: Findings,
    found: Evidences,
    decision: Decision,
    difference: tuple[float, float, float],
) -> str:
    """One sentence that names what decided, and what is still missing when nothing did."""
    metric = experiment.metric
    estimate, low, high = difference
    shown = (
        f"{metric.name} {show(metric.kind, estimate)}, between {show(metric.kind, low)} and {show(metric.kind, high)}"
    )
    level = f"{experiment.promotion_level:.2g}"
    if decision is Decision.STOP_FOR_HARM:
        return f"the challenger is worse: {'; '.join(harms(experiment, found))} ({shown})"
    if claims.split_broken[-1]:
        return (
            "traffic is not split as its weights say, so the comparison cannot be trusted: "
            "look for lost requests, retries or capture that differs between the variants"
        )
    if decision is Decision.PROMOTE:
        return f"the challenger is better ({shown}), proven at {level} however often it was looked at"
    if decision is Decision.NO_DIFFERENCE and claims.no_worthwhile_gain[-1]:
        return (
            f"a gain of {show(metric.kind, metric.minimum_effect).lstrip('+')} in {metric.name} is ruled out ({shown})"
        )
    if decision is Decision.NO_DIFFERENCE:
        return f"the planned size is reached without proof ({shown})"
    missing = []
    if not claims.long_enough[-1]:
        missing.append(f"{experiment.minimum_looks - len(claims.long_enough)} more looks of the minimum duration")
    if not claims.better[-1]:
        missing.append(f"proof that it is better ({strength(found.better[-1], experiment.promotion_level)})")
    if not claims.safe[-1]:
        missing.append("proof that errors are not multiplied")
    return f"not decided yet: missing {', '.join(missing)} ({shown})"


def harms(experiment: Experiment, found: Evidences) -> list[str]:
    """What was found worse, at any look."""
    level = math.log(1 / experiment.harm_level)
    broken = [experiment.metric.name] if found.worse.max() >= level else []
    for guardrail, reading in zip(experiment.guardrails, found.guardrails, strict=True):
        if reading.log_e_harm.max() >= level:
            broken.append(f"{guardrail.name} above {guardrail.tolerated:g} times the champion's")
    return broken


def strength(log_e: float, level: float) -> str:
    return f"evidence {math.exp(min(float(log_e), LARGEST)):.3g} of {1 / level:.3g}"


def show(kind: str, value: float) -> str:
    if math.isinf(value):
        return "unbounded"
    return f"{100 * value:+.3g} points" if kind == "rate" else f"{value:+.4g}"


def totals_shown(progress: Progress) -> list[tuple[str, int, float]]:
    """Per variant: its name, its units and its value over all looks; to show, never to compare."""
    rows = []
    for name, total in zip(("champion", "challenger"), progress.totals(), strict=True):
        if isinstance(total, Tally):
            value = total.events / total.n if total.n else math.nan
        else:
            value = _sum_value(progress.experiment, total)
        rows.append((name, total.n, value))
    return rows


def _sum_value(experiment: Experiment, total: Sums) -> float:
    below = total.x if experiment.metric.kind == "ratio" else float(total.n)
    return total.y / below if below else math.nan


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
