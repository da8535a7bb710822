"""What is paid now, what a move adds, and what is paid for nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from contract.release import Package, Release, Variant
from delivery.spending import Seen, extras_of, idle
from infra.prices import price
from stacks.settings import ServingSettings

HOUR = price("eu-west-1", "endpoint", "ml.m5.large").usd
DAYS = 7


def package(version: int) -> Package:
    return Package(version, f"arn:{version}", "image", "s3://a", "hash", "evidence")


STEADY = Release("steady", (Variant("champion", package(1), 1.0, 3),))
TRIAL = Release(
    "experiment",
    (Variant("champion", package(1), 0.9, 2), Variant("challenger", package(2), 0.1, 2)),
    experiment="spring",
)


def test_an_experiment_would_add_one_more_instance_and_a_canary_a_second_fleet_for_its_bakes() -> None:
    trial, canary = extras_of("churn", STEADY, ServingSettings(), "eu-west-1")
    assert (trial.usd, trial.per) == (pytest.approx(HOUR * 730), "month")
    assert (canary.usd, canary.per) == (pytest.approx(HOUR * 3 * 20 / 60), "time")


def test_an_experiment_that_runs_is_said_with_what_it_costs() -> None:
    trial, _ = extras_of("churn", TRIAL, ServingSettings(), "eu-west-1")
    assert trial.what == "experiment 'spring', running"
    assert trial.usd == pytest.approx(HOUR * 730 * 2)


def test_serverless_adds_nothing_while_nobody_asks() -> None:
    form = ServingSettings(form="serverless", isolated=False, capture_percent=0, scaling=None)
    assert list(extras_of("churn", STEADY, form, "eu-west-1")) == []


@pytest.mark.parametrize(
    ("age_days", "invocations", "forgotten"), [(30, 0, True), (30, 1, False), (DAYS, 0, True), (DAYS - 1, 0, False)]
)
def test_an_endpoint_is_idle_when_it_is_old_enough_and_nobody_asked_it(
    now: datetime, age_days: int, invocations: float, forgotten: bool
) -> None:
    seen = Seen("churn", now - timedelta(days=age_days), invocations, 84.0, released=True)
    assert [each.endpoint for each in idle([seen], now, DAYS)] == (["churn"] if forgotten else [])


def test_the_dearest_forgotten_endpoint_comes_first(now: datetime) -> None:
    old = now - timedelta(days=30)
    seen = [Seen("cheap", old, 0, 1.0, released=True), Seen("dear", old, 0, 100.0, released=False)]
    assert [each.endpoint for each in idle(seen, now, DAYS)] == ["dear", "cheap"]
