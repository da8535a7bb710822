"""What answers are worth: the metrics of a model on rows with known targets, each with how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from contract.records import Schema
from families.family import Matrix

REPEATS = (40, 200)  # bootstrap repeats, at least and at most
ROWS_TO_DRAW = 2_000_000  # between those bounds, as many repeats as this many rows allow
TWO_SIDED_95 = 1.959964
BINS = 10
SMALLEST = 1e-15


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's value, its standard deviation over resampled rows, and the 95 % interval these give."""

    value: float
    deviation: float

    @property
    def low(self) -> float:
        return self.value - TWO_SIDED_95 * self.deviation

    @property
    def high(self) -> float:
        return self.value + TWO_SIDED_95 * self.deviation

    def to_json(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high, "standard_deviation": self.deviation}


def metrics(answers: Matrix, target: Matrix, schema: Schema, weights: Matrix | None = None) -> dict[str, float]:
    """Every metric of the task; of two classes the last is the one looked for, of more each counts the same."""
    counted = np.ones(len(target)) if weights is None else weights
    if schema.task == "regression":
        return _of_numbers(answers[:, 0], target, counted)
    return _of_classes(answers, target.astype(np.int64), counted)


def scores(answers: Matrix, target: Matrix, schema: Schema, *, seed: int) -> dict[str, Score]:
    """Every metric with its deviation, by weighting rows as a resampling would (Poisson bootstrap)."""
    rng = np.random.default_rng(seed)
    repeats = int(np.clip(ROWS_TO_DRAW // max(1, len(target)), *REPEATS))
    drawn = [metrics(answers, target, schema, rng.poisson(1.0, len(target)).astype(np.float64)) for _ in range(repeats)]
    values = metrics(answers, target, schema)
    return {
        name: Score(value, float(np.nanstd([each.get(name, np.nan) for each in drawn])))
        for name, value in values.items()
    }


def _of_numbers(answers: Matrix, target: Matrix, weights: Matrix) -> dict[str, float]:
    total = weights.sum()
    away = answers - target
    middle = (weights * target).sum() / total
    spread = (weights * (target - middle) ** 2).sum()
    squared = (weights * away**2).sum()
    return {
        "rmse": float(np.sqrt(squared / total)),
        "mae": float((weights * np.abs(away)).sum() / total),
        "r2": float(1 - squared / spread) if spread > 0 else 0.0,
    }


def _of_classes(answers: Matrix, codes: np.ndarray, weights: Matrix) -> dict[str, float]:  # type: ignore[type-arg]
    from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

    classes = answers.shape[1]
    chosen = answers.argmax(axis=1)
    total = weights.sum()
    hot = np.eye(classes)[codes]
    looked_for = [1] if classes == 2 else list(range(classes))
    precision, recall, f1, _ = precision_recall_fscore_support(
        codes, chosen, labels=looked_for, average="macro", sample_weight=weights, zero_division=0
    )
    likely = np.clip(answers[np.arange(len(codes)), codes], SMALLEST, 1)
    found = {
        "accuracy": float((weights * (chosen == codes)).sum() / total),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "log_loss": float(-(weights * np.log(likely)).sum() / total),
        "brier": float((weights * ((answers - hot) ** 2).sum(axis=1)).sum() / total / (2 if classes == 2 else 1)),
        "calibration_error": _calibration_error(answers, codes, chosen, weights),
    }
    present = [np.dot(weights, hot[:, each]) > 0 and np.dot(weights, 1 - hot[:, each]) > 0 for each in range(classes)]
    if all(present):
        ranked = [roc_auc_score(hot[:, each], answers[:, each], sample_weight=weights) for each in looked_for]
        found["auc"] = float(np.mean(ranked))
    return found


def _calibration_error(answers: Matrix, codes: np.ndarray, chosen: np.ndarray, weights: Matrix) -> float:  # type: ignore[type-arg]
    """How far promised chances lie from what came true, averaged over bins with equally many rows."""
    two = answers.shape[1] == 2
    promised = answers[:, 1] if two else answers.max(axis=1)
    came_true = (codes == (1 if two else chosen)).astype(np.float64)
    order = np.argsort(promised, kind="stable")
    missed = 0.0
    for part in np.array_split(order, BINS):
        missed += abs(float((weights[part] * (promised[part] - came_true[part])).sum()))
    return missed / float(weights.sum())


def values_of(found: Mapping[str, Score]) -> dict[str, float]:
    return {name: score.value for name, score in found.items()}
