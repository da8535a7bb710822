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
from scipy.special import ndtri

from monitoring.experiment.evidence import Array, Evidence, Grid, log_sum
from monitoring.experiment.experiment import Experiment, Guardrail, Metric
from monitoring.experiment.guardrails import log_e_negligible
from monitoring.experiment.odds import odds_effect

WALKS = 4000
BATCH = 20  # walks at a time: what they need stays near the processor
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
    spread = scatter(experiment.metric, challenger_share)
    at_minimum = walk(experiment, 1.0, spread)
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
        expected_at_twice=expected(walk(experiment, 2.0, spread)),
        expected_at_none=expected(walk(experiment, 0.0, spread)),
        for_proof_of_safety=math.ceil(_quantile(safe_after, power)),
        days=None if requests_per_day is None else requests / requests_per_day,
        expected_days=None if requests_per_day is None else expected_at_minimum / requests_per_day,
    )


def fixed_size(experiment: Experiment, challenger_share: float, power: float = 0.9) -> int:
    """Requests a z-test needs that looks once, at the end."""
    metric, w = experiment.metric, challenger_share
    level, reach = -ndtri(experiment.promotion_level), ndtri(power)
    if metric.kind != "rate":
        return math.ceil((level + reach) ** 2 / information(metric, w))
    pooled = (1 - w) * metric.base + w * metric.improved
    same = pooled * (1 - pooled) * (1 / (1 - w) + 1 / w)
    different = metric.base * (1 - metric.base) / (1 - w) + metric.improved * (1 - metric.improved) / w
    return math.ceil((level * math.sqrt(same) + reach * math.sqrt(different)) ** 2 / metric.minimum_effect**2)


def information(metric: Metric, challenger_share: float) -> float:
    """What one request tells for a challenger better by the minimum effect: twice the mean log likelihood ratio.

    For a mean that is the squared effect over the variance of its estimate from one request. A rate is not that simple:
    few events on an uneven split tell a tenth less than their variance suggests.
    """
    w = challenger_share
    if metric.kind != "rate":
        return metric.scale**2 * w * (1 - w) / (metric.spread**2 * (1 - metric.covariate_correlation**2))
    pooled = (1 - w) * metric.base + w * metric.improved
    return 2 * ((1 - w) * _divergence(metric.base, pooled) + w * _divergence(metric.improved, pooled))


def scatter(metric: Metric, challenger_share: float) -> float:
    """How much more a better challenger's evidence scatters than a normal law of the same mean would.

    Events of a small share of the traffic are few and skewed: a tenth more at five percent.
    """
    if metric.kind != "rate":
        return 1.0
    w = challenger_share
    pooled = (1 - w) * metric.base + w * metric.improved
    champion = metric.base * (1 - metric.base) * odds_effect(pooled, metric.base) ** 2
    challenger = metric.improved * (1 - metric.improved) * odds_effect(pooled, metric.improved) ** 2
    return ((1 - w) * champion + w * challenger) / information(metric, w)


def _divergence(rate: float, other: float) -> float:
    """Kullback and Leibler's, of one request's outcome."""
    return rate * math.log(rate / other) + (1 - rate) * math.log((1 - rate) / (1 - other))


@dataclass(frozen=True)
class Stops:
    """Per walk: the information at which better is proven, or the minimum effect ruled out; never is infinite."""

    promoted: Array
    given_up: Array


def walk(experiment: Experiment, effect: float, scatter_of_better: float) -> Stops:
    """Where the evidence crosses its levels when the challenger is better by `effect` times the minimum effect."""
    spread = round(scatter_of_better if effect > 0 else 1.0, 3)
    return _walk(experiment.promotion_level, experiment.false_no_difference, experiment.sided == "two", effect, spread)


@lru_cache(maxsize=32)
def _walk(promotion_level: float, no_difference_level: float, two_sided: bool, effect: float, spread: float) -> Stops:
    dice = np.random.default_rng(SEED)
    grid = Grid(1.0, (-1.0, 1.0))
    told = STEP * np.arange(1, STEPS + 1)
    promoted: list[Array] = []
    given_up: list[Array] = []
    for _ in range(WALKS // BATCH):
        found = np.cumsum(dice.normal(effect * STEP, math.sqrt(spread * STEP), (BATCH, STEPS)), axis=-1)
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
    told = step * np.arange(1, STEPS + 1)
    effects = guardrail.grid.effects

    def proven(some: slice) -> Array:
        ours, all_ = k1[some], k0[some] + k1[some]
        log_likelihood = ours[..., None] * effects - all_[..., None] * np.log(1 - share + share * np.exp(effects))
        log_e = Evidence(guardrail.grid, log_likelihood).log_e_below(math.log(never))
        if guardrail.negligible > 0:
            absence = log_e_negligible(np.broadcast_to(n1, ours.shape), ours, guardrail.negligible)
            log_e = log_sum(np.stack([log_e, absence], axis=-1)) - math.log(2)
        return _first(log_e >= math.log(1 / level), told)

    return np.concatenate([proven(slice(start, start + BATCH)) for start in range(0, WALKS, BATCH)])


def _first(crossed: NDArray[np.bool_], at: NDArray[np.floating]) -> Array:
    return np.where(crossed.any(axis=-1), at[crossed.argmax(axis=-1)], np.inf)


def _quantile(values: Array, share: float) -> float:
    """The smallest value that at least this share of the walks does not exceed."""
    return float(np.sort(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)])


def _require_share(name: str, given: float) -> None:
    if not 0 < given < 1:
        raise ValueError(f"{name} is {given}, expected between 0 and 1")
