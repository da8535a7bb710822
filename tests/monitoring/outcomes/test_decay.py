"""A model that gets worse is noticed; outcomes that merely arrive in a peculiar order are not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from contract.records import RecordError
from monitoring.outcomes.coverage import coverage
from monitoring.outcomes.decay import Decay, Misses, Watch, misses_by_class, misses_of_numbers

BASELINE = {"no": Misses(4000, 200), "yes": Misses(1000, 200)}
WATCH = Watch(BASELINE)


def watched(rng: np.random.Generator, looks: int, miss_yes: float, n: int = 40) -> Decay:
    decay = Decay.start(WATCH)
    for look in range(looks):
        arrived = {
            "no": Misses(4 * n, int(rng.binomial(4 * n, 0.05))),
            "yes": Misses(n, int(rng.binomial(n, miss_yes))),
        }
        decay = decay.look(f"{look:06}", arrived, WATCH)
        if decay.alarms(WATCH):
            break
    return decay


def test_a_class_that_is_missed_more_often_is_named_within_days() -> None:
    delays = []
    for seed in range(20):
        decay = watched(np.random.default_rng(seed), 24 * 14, 0.35)
        assert decay.alarms(WATCH) == ("yes",)
        delays.append(decay.looks)
    assert np.median(delays) <= 48


def test_a_model_as_good_as_ever_raises_nothing_for_months() -> None:
    assert all(not watched(np.random.default_rng(seed), 24 * 60, 0.20).alarms(WATCH) for seed in range(5))


def test_outcomes_of_one_class_arriving_later_fake_no_decay_though_accuracy_moves() -> None:
    rng = np.random.default_rng(1)
    decay, accuracies = Decay.start(WATCH), []
    for look in range(24 * 20):
        yes = 2 if look < 240 else 200  # at first almost only the quick "no" outcomes are known
        arrived = {"no": Misses(100, int(rng.binomial(100, 0.05))), "yes": Misses(yes, int(rng.binomial(yes, 0.2)))}
        decay = decay.look(f"{look:06}", arrived, WATCH)
        accuracies.append(1 - sum(each.misses for each in arrived.values()) / (100 + yes))
    assert np.mean(accuracies[:240]) - np.mean(accuracies[240:]) > 0.08
    assert decay.alarms(WATCH) == ()


def test_a_look_counts_once_and_the_state_survives_json() -> None:
    arrived = {"yes": Misses(40, 20)}
    once = Decay.start(WATCH).look("2026-01-01T00", arrived, WATCH)
    assert once.look("2026-01-01T00", arrived, WATCH) == once
    assert Decay.from_json(json.loads(json.dumps(once.to_json()))) == once


def test_a_small_baseline_is_not_taken_for_exact() -> None:
    small, large = Misses(50, 10), Misses(50_000, 10_000)
    assert small.upper > large.upper > 0.2
    assert Misses(5, 5).upper == 1.0
    assert Watch({"yes": Misses(5, 5)}).limits["yes"] == 1.0


def test_misses_are_counted_per_actual_class_or_beyond_the_usual_error() -> None:
    found = misses_by_class(np.array(["a", "b", "a"]), np.array(["a", "a", "b"]), ("a", "b", "c"))
    assert found == {"a": Misses(2, 1), "b": Misses(1, 1), "c": Misses(0, 0)}
    assert misses_of_numbers(np.array([1.0, 5.0]), np.array([1.1, 1.0]), 2.0) == {"all": Misses(2, 1)}
    with pytest.raises(RecordError, match="3 misses among 2"):
        Misses(2, 3)


def test_coverage_is_told_by_age_with_the_usual_delay() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    made = [start + timedelta(hours=hour) for hour in range(100)]
    arrived = [time + timedelta(hours=12) if index % 2 else None for index, time in enumerate(made)]
    frame = pl.DataFrame(
        {"time": made, "arrived": arrived, "outcome": ["yes" if each else None for each in arrived]},
        schema_overrides={"arrived": pl.Datetime("us", "UTC")},
    )
    found = coverage(frame, start + timedelta(hours=100))
    assert found.share.value == 0.5
    assert found.median_delay == timedelta(hours=12)
    by_age = dict(found.by_age)
    assert by_age[timedelta(hours=6)].value == 0
    assert by_age[timedelta(hours=24)].value == pytest.approx(38 / 77)
    assert timedelta(hours=168) not in by_age
    assert found.to_json()["median_delay_hours"] == 12


def test_an_outcome_that_came_before_its_prediction_by_another_clock_took_no_time() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame({"time": [start] * 3, "arrived": [start - timedelta(hours=5)] * 3, "outcome": ["yes"] * 3})
    found = coverage(frame, start + timedelta(hours=2))
    assert found.median_delay == timedelta()
    assert dict(found.by_age)[timedelta(hours=1)].value == 1


def test_coverage_of_nothing_is_absent_not_zero() -> None:
    frame = pl.DataFrame(
        schema={"time": pl.Datetime("us", "UTC"), "arrived": pl.Datetime("us", "UTC"), "outcome": pl.String}
    )
    assert coverage(frame, datetime(2026, 1, 1, tzinfo=UTC)).share.value is None
