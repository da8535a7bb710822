"""Metrics are what the well-known library says, and their intervals are as wide as chance makes them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as known

from contract.records import Column, Schema, Task
from training.scores import Score, metrics, scores


def schema(classes: tuple[str, ...]) -> Schema:
    task: Task = "classification" if classes else "regression"
    return Schema((Column("x", "number"),), "y", task, classes)


def answers(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, classes, rows)
    raw = rng.gamma(1, size=(rows, classes)) + 1.2 * np.eye(classes)[codes]
    return raw / raw.sum(axis=1, keepdims=True), codes.astype(np.float64)


def test_two_classes_agree_with_the_library() -> None:
    chances, codes = answers(500, 2)
    found = metrics(chances, codes, schema(("no", "yes")))
    chosen = chances.argmax(axis=1)
    assert found == pytest.approx(
        {
            "accuracy": known.accuracy_score(codes, chosen),
            "precision": known.precision_score(codes, chosen),
            "recall": known.recall_score(codes, chosen),
            "f1": known.f1_score(codes, chosen),
            "auc": known.roc_auc_score(codes, chances[:, 1]),
            "log_loss": known.log_loss(codes, chances),
            "brier": known.brier_score_loss(codes, chances[:, 1]),
            "calibration_error": found["calibration_error"],
        }
    )


def test_several_classes_agree_with_the_library() -> None:
    chances, codes = answers(600, 3)
    found = metrics(chances, codes, schema(("a", "b", "c")))
    assert found["auc"] == pytest.approx(known.roc_auc_score(codes, chances, multi_class="ovr"))
    assert found["f1"] == pytest.approx(known.f1_score(codes, chances.argmax(axis=1), average="macro"))
    assert found["log_loss"] == pytest.approx(known.log_loss(codes, chances))


def test_numbers_agree_with_the_library() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    given = truth + rng.normal(0, 0.5, 400)
    found = metrics(given.reshape(-1, 1), truth, schema(()))
    assert found == pytest.approx(
        {
            "rmse": known.root_mean_squared_error(truth, given),
            "mae": known.mean_absolute_error(truth, given),
            "r2": known.r2_score(truth, given),
        }
    )


def test_promises_that_come_true_have_no_calibration_error_and_boasts_have_one() -> None:
    rng = np.random.default_rng(0)
    chance = rng.uniform(0, 1, 20_000)
    codes = (rng.random(20_000) < chance).astype(np.float64)
    honest = metrics(np.stack([1 - chance, chance], axis=1), codes, schema(("no", "yes")))
    boast = chance**0.3
    boasting = metrics(np.stack([1 - boast, boast], axis=1), codes, schema(("no", "yes")))
    assert honest["calibration_error"] < 0.02
    assert boasting["calibration_error"] > 0.15


def test_a_class_that_is_not_there_leaves_out_the_auc_and_nothing_else() -> None:
    chances, _ = answers(50, 2)
    found = metrics(chances, np.zeros(50), schema(("no", "yes")))
    assert "auc" not in found
    assert found["recall"] == 0


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        right = rng.random(300) < 0.8
        chances = np.where(right[:, None], [[0.1, 0.9]], [[0.9, 0.1]])
        found = scores(chances, np.ones(300), schema(("no", "yes")), seed=seed)["accuracy"]
        held += found.low <= 0.8 <= found.high
    assert held >= 53


def test_the_same_seed_gives_the_same_intervals() -> None:
    chances, codes = answers(200, 2)
    assert scores(chances, codes, schema(("n", "y")), seed=1) == scores(chances, codes, schema(("n", "y")), seed=1)


def test_an_interval_stays_within_what_the_metric_can_be() -> None:
    sure = Score(1.0, 0.4, (0.0, 1.0))
    assert (sure.low, sure.high) == (pytest.approx(0.216, abs=1e-3), 1.0)
    rng = np.random.default_rng(0)
    target = (rng.random(40) < 0.1).astype(np.float64)
    chances = np.clip(0.1 + 0.4 * target + rng.normal(0, 0.1, 40), 0.01, 0.99)
    found = scores(np.stack([1 - chances, chances], axis=1), target, schema(("no", "yes")), seed=0)
    assert all(each.low >= 0 for each in found.values())
    assert all(found[name].high <= 1 for name in found if name not in ("log_loss", "brier"))
