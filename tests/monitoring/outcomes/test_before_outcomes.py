"""What can be said before outcomes arrive: an estimate of quality, and what predictions rest on."""

from __future__ import annotations

import numpy as np
import pytest

from monitoring.outcomes import measures
from monitoring.outcomes.attribution import attribution_drift, ndcg, reliance, reliance_drift, shares
from monitoring.outcomes.estimate import Calibrator, estimate_of_confidence, estimate_of_two_classes


def world(seed: int, n: int, shift: float = 0.0) -> tuple[measures.Array, measures.Truth]:
    """Chances a calibrated model gives, and what happens; a shift makes its inputs harder to tell."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(0.5 + shift, 0.5 + shift, n)
    return chance, rng.random(n) < chance


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_the_estimate_agrees_with_the_truth_that_arrives_later(shift: float) -> None:
    chance, actual = world(1, 20_000, shift)
    estimate = estimate_of_two_classes(chance, chance > 0.5)
    later = {
        "accuracy": measures.accuracy((chance > 0.5) == actual).value,
        "f1": measures.f1(chance > 0.5, actual).value,
        "auc": measures.auc(chance, actual).value,
    }
    assert {name: found.value for name, found in estimate.items()} == pytest.approx(later, abs=0.015)
    accuracy = estimate["accuracy"]
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert accuracy.low <= (later["accuracy"] or 0) <= accuracy.high


def test_a_model_that_boasts_is_calibrated_on_the_reference_first() -> None:
    chance, actual = world(2, 20_000, 2.0)
    boast = chance**3 / (chance**3 + (1 - chance) ** 3)
    calibrator = Calibrator.learn(boast[:10_000], actual[:10_000])
    live, truth = boast[10_000:], measures.accuracy((boast > 0.5) == actual).value
    raw, repaired = (estimate_of_two_classes(live, live > 0.5, *more)["accuracy"].value for more in ((), (calibrator,)))
    assert raw is not None
    assert repaired is not None
    assert truth is not None
    assert abs(repaired - truth) < 0.02 < abs(raw - truth)
    assert Calibrator.from_json(calibrator.to_json()) == calibrator


def test_too_few_predictions_give_no_estimate() -> None:
    chance = np.full(10, 0.9)
    assert estimate_of_two_classes(chance, chance > 0.5)["accuracy"].value is None
    assert estimate_of_confidence(chance)["accuracy"].value is None
    assert estimate_of_confidence(np.full(100, np.nan))["accuracy"].n == 0
    assert estimate_of_confidence(np.full(100, 0.8))["accuracy"].value == pytest.approx(0.8)


def test_the_same_attributions_do_not_drift_and_turned_ones_do() -> None:
    rng = np.random.default_rng(3)
    strength = np.array([5.0, 3.0, 1.0, 0.2])
    baseline = shares(rng.normal(size=(5000, 4)) * strength)
    names = ["age", "income", "region", "hour"]
    same = attribution_drift(list(baseline), rng.normal(size=(500, 4)) * strength, names)
    turned = attribution_drift(list(baseline), rng.normal(size=(500, 4)) * strength[::-1], names)
    assert not same.drifted
    assert (same.moved.value or 1) < 0.05
    assert turned.drifted
    assert turned.by_feature["age"] < 0 < turned.by_feature["hour"]
    assert turned.moved.low is not None
    assert turned.moved.low > 0.3


def test_attributions_that_are_absent_or_do_not_fit_say_so() -> None:
    nothing = attribution_drift([1.0, 1.0], np.full((3, 2), np.nan), ["a", "b"])
    assert not nothing.enough
    assert not nothing.drifted
    assert nothing.to_json()["ndcg"]["value"] is None
    with pytest.raises(ValueError, match="one column and one share per feature"):
        attribution_drift([1.0], np.ones((3, 2)), ["a", "b"])


def test_ndcg_is_one_for_the_same_order_and_less_for_another() -> None:
    baseline = np.array([0.6, 0.3, 0.1])
    assert ndcg(baseline, np.array([6.0, 2.0, 1.0])) == pytest.approx(1.0)
    assert ndcg(baseline, np.array([1.0, 2.0, 6.0])) < 0.9


def test_reliance_finds_the_columns_a_prediction_follows() -> None:
    rng = np.random.default_rng(4)
    numbers = rng.normal(size=(4000, 2))
    levels = rng.integers(0, 5, 4000).astype(np.float64)
    columns = np.column_stack([numbers, levels])
    columns[:50, 0] = np.nan
    prediction = np.nan_to_num(columns[:, 0]) ** 2 + 0.5 * (levels == 3)
    found = reliance(columns, prediction, np.array([False, False, True]))
    assert found[0] > 0.8
    assert found[1] < 0.01
    assert 0.005 < found[2] < 0.1
    kinds, names = np.array([False, False, True]), ["a", "b", "c"]
    assert not reliance_drift(list(found), columns, prediction, kinds, names).drifted
    assert reliance_drift(list(found), columns, columns[:, 1], kinds, names).drifted
    assert reliance(columns, np.ones(4000), np.array([False, False, True])).sum() == 0
