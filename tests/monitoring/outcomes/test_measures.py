"""Measures of quality, against scikit-learn where it has them, and their bounds against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from monitoring.outcomes import measures
from monitoring.outcomes.measures import Measure

CLASSES = ("no", "yes")


def drawn(seed: int, n: int = 400) -> tuple[measures.Array, measures.Truth]:
    rng = np.random.default_rng(seed)
    chance = rng.beta(2, 3, n)
    return chance, rng.random(n) < chance


def test_values_are_those_of_scikit_learn() -> None:
    chance, actual = drawn(1)
    named = np.where(actual, "yes", "no")
    predicted = np.where(chance > 0.5, "yes", "no")
    found = measures.of_classes(predicted, named, chance, CLASSES)
    expected = {
        "accuracy": metrics.accuracy_score(named, predicted),
        "f1": metrics.f1_score(named, predicted, pos_label="yes"),
        "auc": metrics.roc_auc_score(actual, chance),
        "log_loss": metrics.log_loss(actual, chance),
        "brier": metrics.brier_score_loss(actual, chance),
        "recall_yes": metrics.recall_score(named, predicted, pos_label="yes"),
    }
    assert {name: found[name].value for name in expected} == pytest.approx(expected)
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=100), rng.normal(size=100)
    numbers = measures.of_numbers(a, b)
    assert numbers["rmse"].value == pytest.approx(metrics.root_mean_squared_error(b, a))
    assert numbers["mae"].value == pytest.approx(metrics.mean_absolute_error(b, a))


def test_many_classes_have_a_macro_f1_and_calibrated_confidence() -> None:
    rng = np.random.default_rng(3)
    actual = rng.choice(["a", "b", "c"], 300)
    predicted = np.where(rng.random(300) < 0.7, actual, "a")
    found = measures.of_classes(predicted, actual, np.full(300, 0.7), ("a", "b", "c"))
    assert found["f1"].value == pytest.approx(metrics.f1_score(actual, predicted, average="macro"))
    assert "auc" not in found
    assert abs(found["calibration_gap"].value or 1) < 0.15


def test_bounds_hold_the_true_value_as_often_as_they_say() -> None:
    chance, actual = drawn(10, 100_000)

    def measured(part: slice) -> dict[str, Measure]:
        predicted, named = np.where(chance[part] > 0.5, "yes", "no"), np.where(actual[part], "yes", "no")
        return measures.of_classes(predicted, named, chance[part], CLASSES)

    truth = {name: found.value for name, found in measured(slice(None)).items()}
    inside = dict.fromkeys(("accuracy", "f1", "auc", "log_loss", "brier", "calibration_gap"), 0)
    for start in range(0, 100_000, 500):
        found = measured(slice(start, start + 500))
        for name in inside:
            low, value, high = found[name].low, truth[name], found[name].high
            assert low is not None
            assert value is not None
            assert high is not None
            inside[name] += low <= value <= high
    assert min(inside.values()) / 200 >= 0.90


@given(st.integers(0, 50), st.integers(0, 50))
def test_a_share_stays_between_zero_and_one_and_inside_its_bounds(hits: int, misses: int) -> None:
    found = measures.share(hits, hits + misses)
    if hits + misses == 0:
        assert found.value is None
    else:
        assert found.low is not None
        assert found.high is not None
        assert found.value is not None
        assert 0 <= found.low <= found.value <= found.high <= 1


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60))
@settings(max_examples=60)
def test_few_rows_one_class_and_equal_scores_never_break_a_measure(rows: list[tuple[float, bool]]) -> None:
    chance = np.array([each for each, _ in rows], dtype=np.float64)
    actual = np.array([each for _, each in rows], dtype=np.bool_)
    named, predicted = np.where(actual, "yes", "no"), np.where(chance > 0.5, "yes", "no")
    for measure in measures.of_classes(predicted, named, chance, CLASSES).values():
        bounds = [each for each in (measure.low, measure.value, measure.high) if each is not None]
        assert bounds == sorted(bounds)
        assert np.isfinite(bounds).all()
    assert sum(each.happened.n for each in measures.calibration(chance, actual)) == len(rows)


def test_exact_promises_have_no_calibration_error_and_wrong_ones_do() -> None:
    chance, actual = drawn(5, 20_000)
    honest, boasting = (measures.calibration_error(each, actual).value for each in (chance, np.sqrt(chance)))
    assert honest is not None
    assert boasting is not None
    assert honest < 0.02 < boasting


def test_surely_worse_needs_the_whole_of_the_bounds_and_knows_the_direction() -> None:
    assert measures.surely_worse("accuracy", Measure(0.7, 0.6, 0.79, 100), 0.8)
    assert not measures.surely_worse("accuracy", Measure(0.7, 0.6, 0.81, 100), 0.8)
    assert measures.surely_worse("rmse", Measure(3.0, 2.5, 3.5, 100), 2.0)
    assert not measures.surely_worse("auc", measures.absent(0), 0.9)
    with pytest.raises(KeyError, match="no direction is known for measure 'beauty'"):
        measures.surely_worse("beauty", measures.absent(0), 0.9)


def test_the_main_measure_depends_on_the_task() -> None:
    assert measures.main_measure("regression", ()) == "rmse"
    assert measures.main_measure("classification", CLASSES) == "auc"
    assert measures.main_measure("classification", ("a", "b", "c")) == "accuracy"
