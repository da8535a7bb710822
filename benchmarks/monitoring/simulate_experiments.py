"""Measure the promises of experiments by simulation, with the very code that judges live traffic.

    python -m benchmarks.monitoring.simulate_experiments            every section, then the page
    python -m benchmarks.monitoring.simulate_experiments split      some sections; the others keep their last figures
    python -m benchmarks.monitoring.simulate_experiments --page     the page only

Figures go to benchmarks/monitoring/experiments.json, the page made from them to docs/statistics-experiments.md. Each
cell has its own seed, made of the section's name and the cell's place, so a section repeats to the digit alone or
among others.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

from benchmarks.monitoring import peers
from monitoring.experiment.evidence import Array, Evidence
from monitoring.experiment.experiment import ERRORS, LATENCY, Experiment, Metric
from monitoring.experiment.guardrails import GuardrailReading, read
from monitoring.experiment.means import Moments, mean_differences, ratio_differences
from monitoring.experiment.odds import Rates
from monitoring.experiment.planning import Plan, plan
from monitoring.experiment.sample_ratio import SampleRatio
from monitoring.experiment.thompson import propose
from monitoring.experiment.verdict import Decision, decide, evidences, findings

ROOT = Path(__file__).resolve().parent.parent.parent
FIGURES = Path(__file__).with_name("experiments.json")
PAGE = ROOT / "docs" / "statistics-experiments.md"

LOOKS = 100
BATCH = 1000  # runs at a time: bounds memory
BASES = {0.5: 0.025, 0.05: 0.01, 0.01: 0.003, 0.002: 0.001}  # champion's rate: least change worth having
SHARES = (0.5, 0.1, 0.05)
ERROR_RATE = 0.001
SLOW_RATE = 0.01  # beyond the champion's 99th percentile

Record = dict[str, Any]
Truth = NDArray[np.bool_]


@dataclass(frozen=True)
class Share:
    """A share of runs with its exact (Clopper-Pearson) 95 % bounds."""

    hits: int
    runs: int

    @property
    def low(self) -> float:
        return 0.0 if self.hits == 0 else float(beta.ppf(0.025, self.hits, self.runs - self.hits + 1))

    @property
    def high(self) -> float:
        return 1.0 if self.hits == self.runs else float(beta.ppf(0.975, self.hits + 1, self.runs - self.hits))

    def text(self) -> str:
        return f"{percent(self.hits / self.runs)} ({percent(self.low)} to {percent(self.high)})"


def percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def share_of(hits: Truth) -> Record:
    share = Share(int(hits.sum()), len(hits))
    return {"hits": share.hits, "runs": share.runs, "low": share.low, "high": share.high, "text": share.text()}


def dice(section: str, *cell: float) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(section.encode()), *(round(1e6 * each) for each in cell)])


def batches(runs: int) -> Iterator[int]:
    for start in range(0, runs, BATCH):
        yield min(BATCH, runs - start)


# --- What is drawn ---


@dataclass(frozen=True)
class Case:
    """Requests a look, the challenger's share of them, and both variants' rates; `changed` is `base` when not given."""

    per_look: int
    share: float
    base: float
    changed: float | None = None

    def draw(self, rng: np.random.Generator, runs: int) -> Rates:
        n = np.full((runs, LOOKS), self.per_look)
        n1 = rng.binomial(n, self.share)
        n0 = n - n1
        changed = self.base if self.changed is None else self.changed
        return Rates(n0, rng.binomial(n0, self.base), n1, rng.binomial(n1, changed))


def bad_requests(rng: np.random.Generator, drawn: Rates, rate: float, multiple: float = 1.0) -> Rates:
    n0, n1 = drawn.champion_requests, drawn.challenger_requests
    return Rates(n0, rng.binomial(n0, rate), n1, rng.binomial(n1, rate * multiple))


# --- What is judged ---


@dataclass(frozen=True)
class Ends:
    """How runs ended: the decision and the look (from 1) at which it fell."""

    decision: NDArray[np.int8]
    look: NDArray[np.int64]

    def promoted(self) -> Truth:
        return np.asarray(self.decision == Decision.PROMOTE)


def ends(decisions: NDArray[np.int8]) -> Ends:
    """The first conclusive decision of each run."""
    conclusive = decisions != Decision.KEEP_RUNNING
    at = np.where(conclusive.any(axis=1), conclusive.argmax(axis=1), decisions.shape[1] - 1)
    return Ends(decisions[np.arange(len(decisions)), at], at + 1)


def judged(
    experiment: Experiment, drawn: Rates, shares: Array, guarded: tuple[GuardrailReading, ...]
) -> NDArray[np.int8]:
    requests = np.stack([drawn.champion_requests, drawn.challenger_requests], axis=-1)
    weights = np.broadcast_to(np.stack([1 - shares, shares], axis=-1), requests.shape)
    found = evidences(
        experiment,
        drawn.evidence(experiment.metric.grid),
        guarded,
        SampleRatio(requests, weights).log_e,
        np.cumsum(requests.sum(axis=-1), axis=-1),
    )
    return decide(findings(experiment, found))


def guard(rng: np.random.Generator, drawn: Rates) -> tuple[GuardrailReading, ...]:
    return read(ERRORS, bad_requests(rng, drawn, ERROR_RATE)), read(LATENCY, bad_requests(rng, drawn, SLOW_RATE))


def run(rng: np.random.Generator, experiment: Experiment, runs: int, case: Case, *, guarded: bool) -> Ends:
    """Play experiments to their ends; unguarded ones can only promote more often."""
    if not guarded:
        experiment = replace(experiment, guardrails=())
    parts = []
    for some in batches(runs):
        drawn = case.draw(rng, some)
        readings = guard(rng, drawn) if guarded else ()
        parts.append(ends(judged(experiment, drawn, np.full(LOOKS, case.share), readings)))
    return Ends(np.concatenate([each.decision for each in parts]), np.concatenate([each.look for each in parts]))


# --- Sections: each gives rows ---


def an_experiment(base: float, share: float) -> tuple[Experiment, Plan]:
    """Judged from the first look on: a minimum duration only makes every mistake rarer."""
    metric = Metric("conversion", "rate", base, BASES[base])
    experiment = Experiment("simulated", metric, minimum_looks=1)
    planned = plan(experiment, share, error_rate=ERROR_RATE)
    return replace(experiment, planned_requests=planned.requests), planned


def planned_size(scale: float) -> list[Record]:
    """Nothing to find, worse, better by the minimum effect and by twice it; horizon: the planned size in 100 looks."""
    return [at_planned_size(base, share, scale) for base in BASES for share in SHARES]


def at_planned_size(base: float, share: float, scale: float) -> Record:
    experiment, planned = an_experiment(base, share)
    rng = dice("planned_size", base, share)
    case = Case(per_look=math.ceil(planned.requests / LOOKS), share=share, base=base)
    effect = BASES[base]

    def play(multiple: float, runs: float, *, guarded: bool) -> Ends:
        changed = replace(case, changed=base + multiple * effect)
        return run(rng, experiment, math.ceil(runs * scale), changed, guarded=guarded)

    def used(found: Ends) -> float:
        return float(found.look.mean() * case.per_look / planned.fixed_size)

    same, worse = play(0, 10_000, guarded=False), play(-1, 20_000, guarded=False)
    better, twice = play(1, 4000, guarded=True), play(2, 4000, guarded=True)
    row = {
        "base": base,
        "share": share,
        "minimum_effect": effect,
        "planned": planned.requests,
        "fixed": planned.fixed_size,
        "same_promoted": share_of(same.promoted()),
        "worse_promoted": share_of(worse.promoted()),
        "better_promoted": share_of(better.promoted()),
        "twice_promoted": share_of(twice.promoted()),
        "same_used": used(same),
        "better_used": used(better),
        "twice_used": used(twice),
    }
    show(row)
    return row


def small_batches(scale: float) -> list[Record]:
    """Nothing to find, few requests a look."""
    rows = []
    for batch in (10, 50):
        for base, least in BASES.items():
            for share in SHARES:
                experiment = Experiment("simulated", Metric("conversion", "rate", base, least), minimum_looks=1)
                rng = dice("small_batches", batch, base, share)
                found = run(rng, experiment, math.ceil(10_000 * scale), Case(batch, share, base), guarded=False)
                rows.append({"batch": batch, "base": base, "share": share, "same_promoted": share_of(found.promoted())})
                show(rows[-1])
    return rows


def drifting(base: float) -> tuple[Array, Array]:
    """A share that ramps from 5 to 50 percent while the base rate doubles (in odds) and comes back with a wave."""
    t = np.arange(LOOKS) / LOOKS
    share = np.select([t < 0.2, t < 0.4, t < 0.7], [0.05, 0.1, 0.25], 0.5)
    odds = base / (1 - base) * np.exp(0.7 * t + 0.3 * np.sin(2 * np.pi * t * 4))
    return share, odds / (1 + odds)


def pooled_z(drawn: Rates) -> Array:
    """What everybody's first query does, after each look: a z-test of all counts so far together."""
    n0, k0, n1, k1 = (
        np.cumsum(each, axis=1)
        for each in (
            drawn.champion_requests,
            drawn.champion_events,
            drawn.challenger_requests,
            drawn.challenger_events,
        )
    )
    p = (k0 + k1) / np.maximum(n0 + n1, 1)
    noise = p * (1 - p) * (1 / np.maximum(n0, 1) + 1 / np.maximum(n1, 1))
    difference = k1 / np.maximum(n1, 1) - k0 / np.maximum(n0, 1)
    return np.asarray(difference / np.sqrt(np.where(noise > 0, noise, np.inf)))


def normal_mixture_radius(n: NDArray[np.integer], level: float, tuning: float = 5000) -> Array:
    """How many standard errors a normal-mixture sequence allows at n requests.

    Waudby-Smith et al. 2023, equations 9 and 161: the two-sided rule of GrowthBook's library at its default tuning.
    """
    rho = math.sqrt((-2 * math.log(level) + math.log(-2 * math.log(level) + 1)) / tuning)
    spread = n * rho**2 + 1
    return np.asarray(np.sqrt(2 * spread * np.log(np.sqrt(spread) / level) / (n * rho**2)))


def rules(scale: float) -> list[Record]:
    """Other rules on the same runs of identical variants, all at 5 %; one-sided ones err towards the challenger."""
    rows = []
    cases: list[tuple[str, Case | None, float]] = [
        ("50 %, 50/50, 200 a look", Case(200, 0.5, 0.5), 0.5),
        ("1 %, 90/10, 50 a look", Case(50, 0.1, 0.01), 0.01),
        ("0.2 %, 95/5, 1,000 a look", Case(1000, 0.05, 0.002), 0.002),
        ("5 %, weights and base rate move, 300 a look", None, 0.05),
    ]
    for name, case, base in cases:
        rng = dice("rules", base)
        share, wave = drifting(base)
        found: dict[str, list[Truth]] = {}
        for some in batches(math.ceil(10_000 * scale)):
            drawn = case.draw(rng, some) if case else drifting_counts(rng, some, 300, share, wave)
            z = pooled_z(drawn)
            n = np.cumsum(drawn.champion_requests + drawn.challenger_requests, axis=1)
            experiment = Experiment("simulated", Metric("conversion", "rate", base, BASES[base]), guardrails=())
            weights = np.full(LOOKS, case.share) if case else share
            ours = ends(judged(replace(experiment, minimum_looks=1), drawn, weights, ()))
            for rule, hit in {
                "ours: promoted": ours.promoted(),
                "z-test once, at the end, one-sided": z[:, -1] > norm.isf(0.05),
                "z-test at every look, two-sided": (np.abs(z) > norm.isf(0.025)).any(axis=1),
                "normal mixture at every look, two-sided": (np.abs(z) > normal_mixture_radius(n, 0.05)).any(axis=1),
            }.items():
                found.setdefault(rule, []).append(np.asarray(hit))
        for rule, hits in found.items():
            rows.append({"case": name, "rule": rule, "rejects": share_of(np.concatenate(hits))})
            show(rows[-1])
    return rows


PEER = "gbstats"


def libraries(scale: float) -> list[Record]:
    """A library that people run experiments with, at its defaults, on the very same counts as ours.

    It is asked at each look until it calls the variants different; identical ones, and ones that differ by twice the
    least gain. One row for each, ours beside it.
    """
    rows: list[Record] = []
    runs = math.ceil(1_000 * scale)
    cases = (("200 a look", 200, 0.5, 0.5), ("50 a look", 50, 0.1, 0.01), ("1,000 a look", 1000, 0.05, 0.002))
    for size, per_look, share, base in cases:
        changes = {"none": base, "twice the least gain": base + 2 * BASES[base]}
        for change, changed in changes.items():
            drawn = Case(per_look, share, base, changed).draw(dice("libraries", base, changed), runs)
            case = f"{percent(base)}, {100 * (1 - share):g}/{100 * share:g}, {size}"
            rows += compared(case, change, drawn, base, np.full(LOOKS, share))
    share_at, wave = drifting(0.05)
    drawn = drifting_counts(dice("libraries", 0.05), runs, 300, share_at, wave)
    rows += compared("5 %, weights and base rate move, 300 a look", "none", drawn, 0.05, share_at)
    return rows


def compared(case: str, change: str, drawn: Rates, base: float, weights: Array) -> list[Record]:
    """The same runs judged by us and by the library."""
    experiment = Experiment(
        "simulated", Metric("conversion", "rate", base, BASES[base]), guardrails=(), minimum_looks=1
    )
    ours = ends(judged(experiment, drawn, weights, ()))
    found = {"ours: promoted": (ours.promoted(), ours.look)}
    theirs = asked_of_library(drawn)
    if theirs is not None:
        found[f"{PEER} {peers.NEEDS[PEER][0].partition('==')[2]}: called different"] = theirs
    rows = []
    for who, (called, look) in found.items():
        used = float(np.where(called, look, LOOKS).mean() / LOOKS)
        rows.append({"case": case, "change": change, "who": who, "called": share_of(called), "used": used})
        show(rows[-1])
    return rows


def asked_of_library(drawn: Rates) -> tuple[Truth, NDArray[np.int64]] | None:
    """Which runs the library calls different, and at which look; nothing when it does not install."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "counts.npy"
        names = ("champion_requests", "champion_events", "challenger_requests", "challenger_events")
        shape = drawn.champion_events.shape
        counts = [np.cumsum(np.broadcast_to(getattr(drawn, name), shape), axis=1) for name in names]
        np.save(path, np.stack(counts))
        told = peers.run(PEER, [str(path)])
    if "error" in told:
        print(f"{PEER}: {told['error']}", flush=True)
        return None
    look = np.array(told["looks"], np.int64)  # 0 where it never called
    return look > 0, np.maximum(look, 1)


def drifting_counts(rng: np.random.Generator, runs: int, per_look: int, share: Array, wave: Array) -> Rates:
    """A fixed number per variant and look keeps the number of different strata payable; drift and weights remain."""
    n1 = np.broadcast_to(np.rint(per_look * share).astype(np.int64), (runs, LOOKS))
    n0 = per_look - n1
    return Rates(n0, rng.binomial(n0, wave), n1, rng.binomial(n1, wave))


def moving_weights(scale: float) -> list[Record]:
    """Weights change while the base rate drifts."""
    rows = []
    for base in BASES:
        experiment, planned = an_experiment(base, 0.5)
        share, wave = drifting(base)
        per_look = math.ceil(planned.requests / LOOKS)
        rng = dice("moving_weights", base)
        promoted: list[Truth] = []
        pooled: list[Truth] = []
        for some in batches(math.ceil(10_000 * scale)):
            drawn = drifting_counts(rng, some, per_look, share, wave)
            bare = replace(experiment, guardrails=(), planned_requests=None)
            promoted.append(ends(judged(bare, drawn, share, ())).promoted())
            pooled.append(pooled_z(drawn)[:, -1] > norm.isf(0.05))
        rows.append(
            {
                "base": base,
                "per_look": per_look,
                "same_promoted": share_of(np.concatenate(promoted)),
                "pooled_rejects": share_of(np.concatenate(pooled)),
            }
        )
        show(rows[-1])
    return rows


def split(scale: float) -> list[Record]:
    """Traffic that is, and is not, split as its weights say: 100 looks over 100,000 requests."""
    rows = []
    runs = math.ceil(10_000 * scale)
    level = Experiment("simulated", Metric("conversion", "rate", 0.5, 0.1)).false_sample_ratio
    for weights in ((0.5,), (0.9,), (0.95,), (0.95, 0.9, 0.75, 0.5)):
        champion = np.repeat(weights, LOOKS // len(weights))
        for fault in (0.0, 0.01, -0.01):
            rng = dice("split", *weights, 1 + fault)
            n0 = rng.binomial(1000, np.broadcast_to(champion + fault, (runs, LOOKS)))
            requests = np.stack([n0, 1000 - n0], axis=-1)
            shares = np.broadcast_to(np.stack([champion, 1 - champion], axis=-1), requests.shape)
            alarm = SampleRatio(requests, shares).log_e >= math.log(1 / level)
            seen: Truth = np.asarray(alarm.any(axis=1))
            after = 1000 * (alarm.argmax(axis=1)[seen] + 1)
            rows.append(
                {
                    "weights": " then ".join(f"{100 * each:g}/{100 * (1 - each):g}" for each in weights),
                    "fault": fault,
                    "alarms": share_of(seen),
                    "median_requests": float(np.median(after)) if fault and len(after) else None,
                }
            )
            show(rows[-1])
    return rows


def guardrails(scale: float) -> list[Record]:
    """A challenger on 10 percent that errs more or answers later; 100 looks over 100,000 requests."""
    rows = []
    runs = math.ceil(4000 * scale)
    level = Experiment("simulated", Metric("conversion", "rate", 0.5, 0.1)).harm_level
    sigma = 0.5  # of the logarithm of a latency
    cases = [("errors", multiple, 0.01, 0.01 * multiple) for multiple in (1.0, 1.1, 1.5, 2.0, 5.0)]
    cases += [
        ("p99 latency", slower, 0.01, float(norm.sf(norm.isf(0.01) - math.log(slower) / sigma)))
        for slower in (1.0, 1.02, 1.1, 1.2, 1.5)
    ]
    for kind, multiple, usual, changed in cases:
        rng = dice(f"guardrails {kind}", multiple)
        seen: list[Truth] = []
        after: list[NDArray[np.int64]] = []
        for some in batches(runs):
            drawn = Case(1000, 0.1, usual, changed).draw(rng, some)
            reading = read(ERRORS if kind == "errors" else LATENCY, drawn)
            alarm = reading.log_e_harm >= math.log(1 / level)
            seen.append(np.asarray(alarm.any(axis=1)))
            after.append(np.where(alarm.any(axis=1), alarm.argmax(axis=1) + 1, LOOKS)[alarm.any(axis=1)])
        looks = np.concatenate(after)
        rows.append(
            {
                "guardrail": kind,
                "multiple": multiple,
                "rate": changed,
                "found": share_of(np.concatenate(seen)),
                "median_used": float(np.median(looks)) / LOOKS if len(looks) else None,
            }
        )
        show(rows[-1])
    return rows


def safety(scale: float) -> list[Record]:
    """A challenger twice the minimum effect better, whose errors are doubled, on top of more than negligible ones."""
    rows = []
    for share in SHARES:
        for rate in (0.005, 0.02):
            experiment, planned = an_experiment(0.05, share)
            rng = dice("safety", share, rate)
            promoted: list[Truth] = []
            for some in batches(math.ceil(4000 * scale)):
                drawn = Case(math.ceil(planned.requests / LOOKS), share, 0.05, 0.07).draw(rng, some)
                readings = (
                    read(ERRORS, bad_requests(rng, drawn, rate, 2.0)),
                    read(LATENCY, bad_requests(rng, drawn, SLOW_RATE)),
                )
                promoted.append(ends(judged(experiment, drawn, np.broadcast_to(share, LOOKS), readings)).promoted())
            rows.append({"share": share, "error_rate": rate, "promoted": share_of(np.concatenate(promoted))})
            show(rows[-1])
    return rows


def spend(rng: np.random.Generator, shape: tuple[int, ...], buys: float) -> Array:
    """Money per user: most buy nothing, some a lognormal sum."""
    return np.asarray((rng.random(shape) < buys) * rng.lognormal(0, 1, shape))


def moments(y: Array, x: Array, mask: Truth) -> Moments:
    return Moments(*(np.where(mask, each, 0).sum(axis=-1) for each in (np.ones_like(y), y, y * y, x, x * x, x * y)))


@dataclass(frozen=True)
class Users:
    """What the users of a look are worth, how many there are, and what the challenger adds."""

    kind: str
    share: float
    batch: int
    effect: float = 0.0
    correlation: float = 0.0

    @property
    def metric(self) -> Metric:
        """The least effect is a twentieth of a standard deviation, or a tenth for money and clicks."""
        if self.kind == "clicks per view":
            return Metric("value", "ratio", 0.2, 0.1, spread=1.0)
        return Metric("value", "mean", 1.0, 0.05 if self.kind == "normal" else 0.1, spread=1.0)

    def draw(self, rng: np.random.Generator, runs: int) -> tuple[Moments, Moments]:
        shape = (runs, LOOKS, self.batch)
        challenged = rng.random(shape) < self.share
        x = np.zeros(shape)
        if self.kind == "normal":
            x = rng.normal(size=shape)
            noise = math.sqrt(1 - self.correlation**2) * rng.normal(size=shape)
            y = np.asarray(1 + self.correlation * x + noise + self.effect * challenged)
        elif self.kind == "clicks per view":
            x = 1 + rng.poisson(5, shape).astype(np.float64)
            y = rng.binomial(x.astype(np.int64), rng.beta(2, 8, shape)).astype(np.float64)
        else:
            y = spend(rng, shape, 0.5 if "50" in self.kind else 0.05)
        return moments(y, x, ~challenged), moments(y, x, challenged)


def means(scale: float) -> list[Record]:
    """Means, with a covariate or without, and ratios: 100 looks, users split at random."""
    rows = []
    kinds = ("normal", "spend, 50 % buy", "spend, 5 % buy", "clicks per view")
    cases = [Users(kind, share, batch) for share in (0.5, 0.1, 0.9) for batch in (50, 200) for kind in kinds]
    cases += [Users("normal", 0.5, 200, effect=0.05, correlation=each) for each in (0.0, 0.5, 0.7)]
    for users in cases:
        metric = users.metric
        level = Experiment("simulated", metric).promotion_level
        rng = dice(f"means {users.kind}", users.share, users.batch, users.effect, users.correlation)
        compare = ratio_differences if metric.kind == "ratio" else mean_differences
        promoted: list[Truth] = []
        used: list[NDArray[np.int64]] = []
        for _ in range(math.ceil(40 * scale)):
            evidence = compare(*users.draw(rng, 100)).evidence(metric.grid)
            sure = np.asarray(evidence.log_e_above(0.0) >= math.log(1 / level))
            promoted.append(np.asarray(sure.any(axis=1)))
            used.append(np.where(sure.any(axis=1), sure.argmax(axis=1) + 1, LOOKS))
        rows.append(
            {
                "metric": users.kind,
                "share": users.share,
                "batch": users.batch,
                "effect": users.effect,
                "correlation": users.correlation,
                "found": share_of(np.concatenate(promoted)),
                "used": float(np.concatenate(used).mean() / LOOKS),
            }
        )
        show(rows[-1])
    return rows


def thompson(scale: float) -> list[Record]:
    """Weights moved after each look as proposed, the base rate drifting: false promotions, and the requests spared."""
    rows = []
    runs = math.ceil(300 * scale)
    base, per_look = 0.05, 300
    for effect in (0.0, -0.02, 0.02):
        rng = dice("thompson", 1 + effect)
        metric = Metric("conversion", "rate", base, 0.01)
        experiment = Experiment("simulated", metric, guardrails=(), minimum_looks=1)
        _, wave = drifting(base)
        change = wave * (1 + effect / base)
        promoted: list[bool] = []
        shares: list[float] = []
        for _ in range(runs):
            log_likelihood, weight, best = np.zeros(len(metric.grid.effects)), 0.5, -np.inf
            for look in range(LOOKS):
                n1 = int(rng.binomial(per_look, weight))
                n0 = per_look - n1
                drawn = Rates(
                    *(
                        np.asarray([each])
                        for each in (n0, rng.binomial(n0, wave[look]), n1, rng.binomial(n1, change[look]))
                    )
                )
                log_likelihood = log_likelihood + drawn.log_likelihood(metric.grid)[0]
                evidence = Evidence(metric.grid, log_likelihood)
                best = max(best, float(evidence.log_e_above(0.0)))
                shares.append(weight)
                weight = propose({"challenger": evidence})["challenger"]
            promoted.append(best >= math.log(1 / experiment.promotion_level))
        rows.append(
            {
                "effect": effect,
                "proven_better": share_of(np.asarray(promoted)),
                "challenger_share": float(np.mean(shares)),
            }
        )
        show(rows[-1])
    return rows


# --- The page ---

Section = Callable[[float], list[Record]]
Columns = dict[str, Callable[[Record], str]]

SECTIONS: dict[str, Section] = {
    "planned_size": planned_size,
    "small_batches": small_batches,
    "moving_weights": moving_weights,
    "rules": rules,
    "libraries": libraries,
    "split": split,
    "guardrails": guardrails,
    "safety": safety,
    "means": means,
    "thompson": thompson,
}


def text(name: str) -> Callable[[Record], str]:
    return lambda row: str(row[name]["text"])


def number(name: str, form: str = ",") -> Callable[[Record], str]:
    return lambda row: "-" if row[name] is None else format(row[name], form)


def as_percent(name: str) -> Callable[[Record], str]:
    return lambda row: "-" if row[name] is None else percent(row[name])


def points(name: str) -> Callable[[Record], str]:
    return lambda row: f"{100 * row[name]:+.3g} points" if row[name] else "none"


def traffic(row: Record) -> str:
    return f"{100 * (1 - row['share']):g}/{100 * row['share']:g}"


TABLES: dict[str, Columns] = {
    "planned_size": {
        "rate": as_percent("base"),
        "least gain": points("minimum_effect"),
        "split": traffic,
        "planned": number("planned"),
        "fixed test": number("fixed"),
        "same: promoted": text("same_promoted"),
        "worse: promoted": text("worse_promoted"),
        "better: promoted": text("better_promoted"),
        "twice: promoted": text("twice_promoted"),
        "same: used": number("same_used", ".2f"),
        "better: used": number("better_used", ".2f"),
        "twice: used": number("twice_used", ".2f"),
    },
    "small_batches": {
        "requests a look": number("batch"),
        "rate": as_percent("base"),
        "split": traffic,
        "promoted": text("same_promoted"),
    },
    "moving_weights": {
        "rate": as_percent("base"),
        "requests a look": number("per_look"),
        "promoted": text("same_promoted"),
        "pooled counts, one z-test": text("pooled_rejects"),
    },
    "rules": {
        "case": lambda row: str(row["case"]),
        "rule": lambda row: str(row["rule"]),
        "calls identical variants different": text("rejects"),
    },
    "libraries": {
        "case": lambda row: str(row["case"]),
        "change": lambda row: str(row["change"]),
        "who": lambda row: str(row["who"]),
        "runs called": text("called"),
        "requests used": number("used", ".2f"),
    },
    "split": {
        "weights": lambda row: str(row["weights"]),
        "fault": points("fault"),
        "alarm": text("alarms"),
        "median requests until it": number("median_requests", ",.0f"),
    },
    "guardrails": {
        "guardrail": lambda row: str(row["guardrail"]),
        "times the champion's": number("multiple", "g"),
        "rate of bad requests": as_percent("rate"),
        "harm found": text("found"),
        "after (of the horizon)": as_percent("median_used"),
    },
    "safety": {"split": traffic, "champion's errors": as_percent("error_rate"), "promoted": text("promoted")},
    "means": {
        "metric": lambda row: str(row["metric"]),
        "split": traffic,
        "users a look": number("batch"),
        "effect": number("effect", "g"),
        "correlation": number("correlation", "g"),
        "proven better": text("found"),
        "used": number("used", ".2f"),
    },
    "thompson": {
        "effect": points("effect"),
        "proven better": text("proven_better"),
        "challenger's mean share": as_percent("challenger_share"),
    },
}


def table(columns: Columns, rows: list[Record]) -> str:
    lines = [list(columns), ["---"] * len(columns), *([cell(row) for cell in columns.values()] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def fill(page: str, figures: Record) -> str:
    """The page with each `<!-- figures: section -->` ... `<!-- end -->` holding that section's table."""

    def block(found: re.Match[str]) -> str:
        section = figures["sections"].get(found[1])
        body = "Not measured yet." if section is None else table(TABLES[found[1]], section["rows"])
        where = "" if section is None else f"\n\n{section['seconds']:.0f} s on {section['machine']}."
        return f"<!-- figures: {found[1]} -->\n\n{body}{where}\n\n<!-- end -->"

    return re.sub(r"<!-- figures: (\w+) -->.*?<!-- end -->", block, page, flags=re.DOTALL)


def machine() -> str:
    python = platform.python_version()
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {python}, numpy {np.__version__}"


def show(row: Record) -> None:
    print(
        json.dumps({name: each["text"] if isinstance(each, dict) else each for name, each in row.items()}), flush=True
    )


def main(given: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all when none is named")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the runs, for a quick look: writes nothing")
    parser.add_argument("--page", action="store_true", help="only write the page")
    asked = parser.parse_args(given)
    unknown = sorted(set(asked.sections) - set(SECTIONS))
    if unknown:
        parser.error(f"no section named {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    figures: Record = json.loads(FIGURES.read_text()) if FIGURES.exists() else {"sections": {}}
    for name in [] if asked.page else asked.sections or list(SECTIONS):
        print(f"{name} on {machine()}", flush=True)
        start = time.monotonic()
        rows = SECTIONS[name](asked.scale)
        figures["sections"][name] = {"rows": rows, "seconds": time.monotonic() - start, "machine": machine()}
        if asked.scale >= 1:
            FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    if asked.page or asked.scale >= 1:
        PAGE.write_text(fill(PAGE.read_text(), figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
