"""How many requests an experiment needs and how long that takes, before it starts.

The walk of the evidence is played many times (a fixed seed, so a plan is reproducible) with the very weights and
levels the verdict uses: what decides the size is not a formula for a fixed test but when *this* test stops. The proof
that errors are not multiplied is planned along with it, because on a rare error it can need more requests than the
metric.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from monitoring.experiment.evidence import Array, Evidence, Grid, log_sum
from monitoring.experiment.experiment import Experiment, Guardrail, Metric
from monitoring.experiment.guardrails import log_e_negligible

WALKS = 4000
BATCH = 100  # walks at a time: bounds memory
STEP = 0.15  # of information, in units of the minimum effect: a planned size is about a hundred of these
STEPS = 200
SEED = 20_261
RESERVE = 0.5
"""Share of the other false verdicts' chances that a plan sets aside: they end an experiment before its proof."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to expect, in requests of both variants together."""

    requests: int
    """At which the chance of promoting a challenger better by the minimum effect is `power`."""
    power: float
    fixed_size: int
    """What a test that looks once, at the end, would need for the same power and level."""
    expected_at_minimum: int
    """Mean requests until the verdict when the challenger is better by the minimum effect."""
    expected_at_twice: int
    expected_at_none: int
    for_proof_of_safety: int
    """Requests after which the errors are proven not multiplied with the chance `power`, if they are the same."""
    days: float | None
    expected_days: float | None

    def summary(self) -> str:
        days = "" if self.days is None else f" ({self.days:.1f} days; {self.expected_days:.1f} expected)"
        return (
            f"at most {self.requests:,} requests{days} for a power of {self.power:.0%}; on average "
            f"{self.expected_at_minimum:,} at the minimum effect, {self.expected_at_twice:,} at twice it; "
            f"a test that looks once needs {self.fixed_size:,}"
        )


def plan(
    experiment: Experiment,
    challenger_share: float,
    *,
    power: float = 0.9,
    error_rate: float = 0.0,
    requests_per_day: float | None = None,
) -> Plan:
    """The size at which a challenger better by the minimum effect is promoted with the chance `power`."""
    _require_share("challenger_share", challenger_share)
    _require_share("power", power)
    target = power + RESERVE * (experiment.false_harm + experiment.false_sample_ratio)
    per_request = information(experiment.metric, challenger_share)
    safe_after = requests_until_safe(experiment, challenger_share, error_rate)
    at_minimum = walk(experiment, 1.0)
    needed = _quantile(np.maximum(at_minimum.promoted / per_request, safe_after), target)
    if not math.isfinite(needed):
        raise ValueError(
            f"no size gives a power of {power}: raise false_no_difference (now {experiment.false_no_difference}); "
            f"or errors at a rate of {error_rate} can be proven neither multiplied nor negligible: raise `negligible`"
        )

    def expected(stops: Stops) -> int:
        ends = np.minimum(np.maximum(stops.promoted / per_request, safe_after), stops.given_up / per_request)
        return math.ceil(float(np.minimum(ends, needed).mean()))

    requests, expected_at_minimum = math.ceil(needed), expected(at_minimum)
    return Plan(
        requests=requests,
        power=power,
        fixed_size=fixed_size(experiment, challenger_share, power),
        expected_at_minimum=expected_at_minimum,
        expected_at_twice=expected(walk(experiment, 2.0)),
        expected_at_none=expected(walk(experiment, 0.0)),
        for_proof_of_safety=math.ceil(_quantile(safe_after, power)),
        days=None if requests_per_day is None else requests / requests_per_day,
        expected_days=None if requests_per_day is None else expected_at_minimum / requests_per_day,
    )


def fixed_size(experiment: Experiment, challenger_share: float, power: float = 0.9) -> int:
    """Requests a z-test needs that looks once, at the end."""
    reach = norm.isf(experiment.promotion_level) + norm.ppf(power)
    return math.ceil(reach**2 / information(experiment.metric, challenger_share))


def information(metric: Metric, challenger_share: float) -> float:
    """What one request tells: the squared minimum effect over the variance of its estimate from a single request."""
    if metric.kind == "rate":
        champion = metric.base * (1 - metric.base)
        challenger = metric.improved * (1 - metric.improved)
    else:
        champion = challenger = 1 / (metric.spread**2 * (1 - metric.covariate_correlation**2))
    return metric.scale**2 / (1 / ((1 - challenger_share) * champion) + 1 / (challenger_share * challenger))


@dataclass(frozen=True)
class Stops:
    """Per walk: the information at which better is proven, or the minimum effect ruled out; never is infinite."""

    promoted: Array
    given_up: Array


def walk(experiment: Experiment, effect: float) -> Stops:
    """Where the evidence crosses its levels when the challenger is better by `effect` times the minimum effect."""
    return _walk(experiment.promotion_level, experiment.false_no_difference, experiment.sided == "two", effect)


@lru_cache(maxsize=32)
def _walk(promotion_level: float, no_difference_level: float, two_sided: bool, effect: float) -> Stops:
    dice = np.random.default_rng(SEED)
    grid = Grid(1.0, (-1.0, 1.0))
    told = STEP * np.arange(1, STEPS + 1)
    promoted: list[Array] = []
    given_up: list[Array] = []
    for _ in range(WALKS // BATCH):
        found = np.cumsum(dice.normal(effect * STEP, math.sqrt(STEP), (BATCH, STEPS)), axis=-1)
        log_likelihood = found[..., None] * grid.effects - grid.effects**2 * told[:, None] / 2
        evidence = Evidence(grid, log_likelihood)
        none_worth_having = evidence.log_e_below(1.0) >= math.log(1 / no_difference_level)
        if two_sided:
            none_worth_having &= evidence.log_e_above(-1.0) >= math.log(1 / no_difference_level)
        better = (evidence.log_e_above(0.0) >= math.log(1 / promotion_level)) & ~none_worth_having
        promoted.append(_first(better, told))
        given_up.append(_first(none_worth_having, told))
    up, down = np.concatenate(promoted), np.concatenate(given_up)
    return Stops(np.where(up < down, up, np.inf), np.where(down < up, down, np.inf))


def requests_until_safe(experiment: Experiment, challenger_share: float, error_rate: float) -> Array:
    """Per walk: requests until every guardrail with a `never` is proven safe, errors being the same."""
    longest = np.zeros(WALKS)
    for guardrail in experiment.guardrails:
        if guardrail.never is not None:
            found = _until_safe(guardrail, guardrail.never, challenger_share, error_rate, experiment.false_promotion)
            longest = np.maximum(longest, found)
    return longest


def _until_safe(guardrail: Guardrail, never: float, share: float, rate: float, level: float) -> Array:
    """Errors arrive as a Poisson process; each is the challenger's with its share of the traffic."""
    by_events = 600 / rate / min(share, 1 - share) / never if rate > 0 else math.inf
    by_absence = 30 / guardrail.negligible / share if guardrail.negligible > rate else math.inf
    horizon = min(by_events, by_absence)
    if not math.isfinite(horizon):
        return np.full(WALKS, np.inf)
    step = horizon / STEPS
    dice = np.random.default_rng(SEED + 1)
    k0, k1 = (np.cumsum(dice.poisson(rate * each * step, (WALKS, STEPS)), axis=-1) for each in (1 - share, share))
    n1 = share * step * np.arange(1, STEPS + 1)
    effects = guardrail.grid.effects
    log_likelihood = k1[..., None] * effects - (k0 + k1)[..., None] * np.log(1 - share + share * np.exp(effects))
    log_e = Evidence(guardrail.grid, log_likelihood).log_e_below(math.log(never))
    if guardrail.negligible > 0:
        absence = log_e_negligible(np.broadcast_to(n1, k1.shape), k1, guardrail.negligible)
        log_e = log_sum(np.stack([log_e, absence], axis=-1)) - math.log(2)
    return _first(log_e >= math.log(1 / level), step * np.arange(1, STEPS + 1))


def _first(crossed: NDArray[np.bool_], at: NDArray[np.floating]) -> Array:
    return np.where(crossed.any(axis=-1), at[crossed.argmax(axis=-1)], np.inf)


def _quantile(values: Array, share: float) -> float:
    """The smallest value that at least this share of the walks does not exceed."""
    return float(np.sort(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)])


def _require_share(name: str, given: float) -> None:
    if not 0 < given < 1:
        raise ValueError(f"{name} is {given}, expected between 0 and 1")
