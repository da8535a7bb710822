"""A canary is blamed for what it answers, not for what it is asked."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from contract.records import Column, Schema
from monitoring.baseline import Baseline, Rows, build
from monitoring.canary import Side, is_worse, judged
from monitoring.capture import Span
from monitoring.capture import Tally as Read
from monitoring.experiment.looks import Tally
from monitoring.profile import count
from monitoring.window import Window

SCHEMA = Schema((Column("age", "number"),), "bought", "classification", ("no", "yes"))
NOTHING = Tally()


def answers(seed: int, rows: int, *, shift: float = 0.0, flipped: bool = False) -> pl.DataFrame:
    age = np.random.default_rng(seed).normal(-0.7 + shift, 1, rows)
    probability = 1 / (1 + np.exp(-3 * age))
    probability = 1 - probability if flipped else probability
    return pl.DataFrame(
        {"age": age, "predicted": np.where(probability > 0.5, "yes", "no"), "predicted_probability": probability}
    )


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return build(lambda: iter([Rows(answers(1, 5000))]), SCHEMA)


def side(baseline: Baseline, frame: pl.DataFrame, wrong: Tally = NOTHING) -> Side:
    span = Span(datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 13, tzinfo=UTC))
    return Side(Window(count(frame, baseline.layout), Read(), span), baseline, wrong)


def test_a_canary_that_answers_as_validated_is_left_alone(baseline: Baseline) -> None:
    found = judged(side(baseline, answers(2, 200)), side(baseline, answers(3, 2000)))
    assert (found.drifts, found.worse, found.rows) == (False, False, 200)
    assert "nothing speaks against it" in found.reason


def test_a_canary_that_answers_otherwise_is_blamed(baseline: Baseline) -> None:
    found = judged(side(baseline, answers(2, 200, flipped=True)), side(baseline, answers(3, 2000)))
    assert found.drifts
    assert "the old fleet's do not" in found.reason


def test_when_the_inputs_moved_for_both_the_canary_is_not_blamed(baseline: Baseline) -> None:
    found = judged(side(baseline, answers(2, 200, shift=1.5)), side(baseline, answers(3, 2000, shift=1.5)))
    assert not found.drifts
    assert "the inputs moved" in found.reason


def test_too_few_answers_say_nothing(baseline: Baseline) -> None:
    assert not judged(side(baseline, answers(2, 10, flipped=True)), side(baseline, answers(3, 100))).drifts


def test_outcomes_that_are_surely_worse_are_blamed(baseline: Baseline) -> None:
    canary, beside = answers(2, 200), answers(3, 2000)
    found = judged(side(baseline, canary, Tally(150, 75)), side(baseline, beside, Tally(1500, 150)))
    assert found.worse
    assert found.known == 150
    assert "75 of 150 times" in found.reason
    assert not judged(side(baseline, canary, Tally(150, 16)), side(baseline, beside, Tally(1500, 150))).worse


@pytest.mark.parametrize(("old", "new"), [(Tally(), Tally(50, 50)), (Tally(500, 10), Tally())])
def test_without_outcomes_of_both_there_is_nothing_to_compare(old: Tally, new: Tally) -> None:
    assert not is_worse(old, new)


def test_a_canary_as_good_as_the_old_fleet_is_blamed_no_more_often_than_promised() -> None:
    dice = np.random.default_rng(5)
    blamed = sum(
        is_worse(Tally(2000, int(dice.binomial(2000, 0.2))), Tally(200, int(dice.binomial(200, 0.2))))
        for _ in range(2000)
    )
    assert blamed <= 4
