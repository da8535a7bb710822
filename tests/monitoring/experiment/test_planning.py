"""Plans: reproducible, and longer when more is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitoring.experiment.experiment import ERRORS, Experiment, Metric
from monitoring.experiment.planning import plan

EXPERIMENT = Experiment("spring", Metric("conversion", "rate", 0.05, 0.01))


def test_a_plan_is_the_same_every_time_and_expects_less_than_it_allows() -> None:
    first, second = (plan(EXPERIMENT, 0.5, requests_per_day=10_000) for _ in range(2))
    assert first == second
    assert first.expected_at_twice < first.expected_at_minimum < first.requests
    assert first.expected_at_minimum < first.fixed_size < first.requests
    assert first.days == first.requests / 10_000
    assert "requests" in first.summary()


def test_an_uneven_split_a_smaller_effect_and_rare_errors_need_more_requests() -> None:
    base = plan(EXPERIMENT, 0.5).requests
    assert plan(EXPERIMENT, 0.1).requests > base
    smaller = replace(EXPERIMENT, metric=replace(EXPERIMENT.metric, minimum_effect=0.005))
    assert plan(smaller, 0.5).requests > 3 * base
    strict = replace(EXPERIMENT, guardrails=(replace(ERRORS, negligible=0.0),))
    rare = plan(strict, 0.5, error_rate=0.0005)
    assert rare.requests > base
    assert rare.for_proof_of_safety > base


def test_a_covariate_shortens_the_plan_of_a_mean() -> None:
    revenue = Experiment("spring", Metric("revenue", "mean", 2.0, 0.1, spread=2.0), ())
    relieved = replace(revenue, metric=replace(revenue.metric, covariate_correlation=0.7))
    assert plan(relieved, 0.5).requests / plan(revenue, 0.5).requests == pytest.approx(0.51, abs=0.01)


def test_what_cannot_be_planned_says_why() -> None:
    strict = replace(EXPERIMENT, guardrails=(replace(ERRORS, negligible=0.0),))
    with pytest.raises(ValueError, match="can be proven neither multiplied nor negligible"):
        plan(strict, 0.5, error_rate=0.0)
    with pytest.raises(ValueError, match=r"challenger_share is 1\.5, expected between 0 and 1"):
        plan(EXPERIMENT, 1.5)
