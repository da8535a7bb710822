"""The promises in the small: the full simulations are in benchmarks/monitoring."""

from __future__ import annotations

import numpy as np

from monitoring.experiment.experiment import ERRORS, Experiment, Metric
from monitoring.experiment.guardrails import read
from monitoring.experiment.odds import Rates

METRIC = Metric("conversion", "rate", 0.05, 0.01)


def test_identical_variants_are_seldom_proven_different_however_often_one_looks() -> None:
    rng = np.random.default_rng(11)
    n1 = rng.binomial(200, 0.1, (600, 60))
    n0 = 200 - n1
    drawn = Rates(n0, rng.binomial(n0, 0.05), n1, rng.binomial(n1, 0.05))
    proven = (drawn.evidence(METRIC.grid).log_e_above(0.0) >= np.log(20)).any(axis=1)
    assert proven.mean() <= 0.05


def test_a_moving_split_over_a_drifting_base_rate_proves_nothing() -> None:
    rng = np.random.default_rng(12)
    n1 = np.broadcast_to(np.linspace(10, 150, 60).astype(int), (400, 60))
    n0 = 200 - n1
    base = np.linspace(0.02, 0.2, 60)
    drawn = Rates(n0, rng.binomial(n0, base), n1, rng.binomial(n1, base))
    proven = (drawn.evidence(METRIC.grid).log_e_above(0.0) >= np.log(20)).any(axis=1)
    assert proven.mean() <= 0.05
    pooled = drawn.challenger_events.sum(1) / n1.sum(1) - drawn.champion_events.sum(1) / n0.sum(1)
    assert (pooled > 0).mean() > 0.99


def test_doubled_errors_are_seldom_proven_safe() -> None:
    rng = np.random.default_rng(13)
    n = np.full((400, 50), 100)
    reading = read(ERRORS, Rates(n, rng.binomial(n, 0.02), n, rng.binomial(n, 0.04)))
    assert reading.log_e_safe is not None
    assert (reading.log_e_safe >= np.log(20)).any(axis=1).mean() <= 0.05
    assert Experiment("x", METRIC).guardrails[0] is ERRORS
