"""The verdict: promote, keep running, stop for harm, or no difference. One function of the evidence after each look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from monitoring.experiment.evidence import Array, Evidence
from monitoring.experiment.experiment import Experiment
from monitoring.experiment.guardrails import GuardrailReading


class Decision(IntEnum):
    """What to do with an experiment."""

    KEEP_RUNNING = 0
    PROMOTE = 1
    STOP_FOR_HARM = 2
    NO_DIFFERENCE = 3

    @property
    def words(self) -> str:
        return self.name.lower().replace("_", " ")


Truth = NDArray[np.bool_]


@dataclass(frozen=True)
class Evidences:
    """All that a verdict rests on, after each look (looks on the last axis): logarithms of e-processes."""

    better: Array
    worse: Array
    below_minimum: Array
    """Against "better by at least the minimum effect"."""
    above_minimum: Array
    """Against "worse by at least the minimum effect"."""
    guardrails: tuple[GuardrailReading, ...]
    sample_ratio: Array
    observed: Array
    """Units of the metric so far, of both variants."""


def evidences(
    experiment: Experiment,
    metric: Evidence,
    guardrails: tuple[GuardrailReading, ...],
    sample_ratio: Array,
    observed: Array,
) -> Evidences:
    """What the metric's evidence says in the direction that is better."""
    scale, higher = experiment.metric.scale, experiment.metric.sign > 0
    above, below = (metric.log_e_above, metric.log_e_below) if higher else (metric.log_e_below, metric.log_e_above)
    least = scale if higher else -scale
    return Evidences(above(0.0), below(0.0), below(least), above(-least), guardrails, sample_ratio, observed)


@dataclass(frozen=True)
class Findings:
    """Each claim a verdict is made of: proven or not, after each look."""

    better: Truth
    harm: Truth
    no_worthwhile_gain: Truth
    safe: Truth
    split_broken: Truth
    long_enough: Truth
    over: Truth


def findings(experiment: Experiment, found: Evidences) -> Findings:
    """Harm and a broken split stay found once found; a promotion needs its proof to hold now."""

    def now(log_e: Array, level: float) -> Truth:
        return np.asarray(log_e >= math.log(1 / level))

    def ever(log_e: Array, level: float) -> Truth:
        return now(np.maximum.accumulate(log_e, axis=-1), level)

    looks = np.arange(1, found.better.shape[-1] + 1)
    harm = ever(found.worse, experiment.harm_level)
    safe = np.ones_like(harm)
    for reading in found.guardrails:
        harm = harm | ever(reading.log_e_harm, experiment.harm_level)
        if reading.log_e_safe is not None:
            safe = safe & now(reading.log_e_safe, experiment.false_promotion)
    none_worth_having = now(found.below_minimum, experiment.false_no_difference)
    if experiment.sided == "two":
        none_worth_having = none_worth_having & now(found.above_minimum, experiment.false_no_difference)
    planned = experiment.planned_requests
    return Findings(
        better=now(found.better, experiment.promotion_level),
        harm=harm,
        no_worthwhile_gain=none_worth_having,
        safe=safe,
        split_broken=ever(found.sample_ratio, experiment.false_sample_ratio),
        long_enough=np.broadcast_to(looks >= experiment.minimum_looks, harm.shape),
        over=np.broadcast_to(False if planned is None else found.observed >= planned, harm.shape),
    )


def decide(claims: Findings) -> NDArray[np.int8]:
    """The decision after each look, as if each were the last.

    Harm stops at once. While the split is broken nothing else can be concluded. Before the minimum duration, no
    conclusion; a gain that is proven but surely too small to matter is no difference.
    """
    conclusive = claims.long_enough & ~claims.split_broken
    promote = conclusive & claims.better & claims.safe & ~claims.no_worthwhile_gain
    no_difference = conclusive & (claims.no_worthwhile_gain | claims.over)
    return np.select(
        [claims.harm, promote, no_difference],
        [Decision.STOP_FOR_HARM, Decision.PROMOTE, Decision.NO_DIFFERENCE],
        Decision.KEEP_RUNNING,
    ).astype(np.int8)
