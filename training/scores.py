"""What answers are worth: the metrics of a model on rows with known targets, each with how sure it is.

Whatever does not depend on how rows are weighted (orders, ranks, choices) is worked out once, so that the many
weightings of a bootstrap cost little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from contract.records import Schema
from families.family import Matrix

REPEATS = (40, 200)  # bootstrap repeats, at least and at most
ROWS_TO_DRAW = 2_000_000  # between those bounds, as many repeats as this many rows allow
TWO_SIDED_95 = 1.959964
BINS = 10
SMALLEST = 1e-15
# What a metric can be at all; those not named here are shares, from 0 to 1.
RANGES = {
    "log_loss": (0.0, np.inf),
    "brier": (0.0, 2.0),
    "rmse": (0.0, np.inf),
    "mae": (0.0, np.inf),
    "r2": (-np.inf, 1.0),
}

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's value, its standard deviation over resampled rows, and the 95 % interval these give."""

    value: float
    deviation: float
    within: tuple[float, float] = (-np.inf, np.inf)

    @property
    def low(self) -> float:
        return max(self.within[0], self.value - TWO_SIDED_95 * self.deviation)

    @property
    def high(self) -> float:
        return min(self.within[1], self.value + TWO_SIDED_95 * self.deviation)

    def to_json(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high, "standard_deviation": self.deviation}


class Judged(Protocol):
    """Answers beside the truth, to be counted with any weights."""

    def metrics(self, weights: Matrix) -> dict[str, float]: ...


def metrics(answers: Matrix, target: Matrix, schema: Schema) -> dict[str, float]:
    """Every metric of the task; of two classes the last is the one looked for, of more each counts the same."""
    return _judged(answers, target, schema).metrics(np.ones(len(target)))


def scores(answers: Matrix, target: Matrix, schema: Schema, *, seed: int) -> dict[str, Score]:
    """Every metric with its deviation, by weighting rows as a resampling would (Poisson bootstrap)."""
    rng, judged = np.random.default_rng(seed), _judged(answers, target, schema)
    repeats = int(np.clip(ROWS_TO_DRAW // max(1, len(target)), *REPEATS))
    drawn = [judged.metrics(rng.poisson(1.0, len(target)).astype(np.float64)) for _ in range(repeats)]
    values = judged.metrics(np.ones(len(target)))
    return {
        name: Score(value, _deviation([each.get(name, np.nan) for each in drawn]), RANGES.get(name, (0.0, 1.0)))
        for name, value in values.items()
    }


def _deviation(drawn: list[float]) -> float:
    known = np.array(drawn)[~np.isnan(drawn)]
    return float(known.std()) if known.size else 0.0


def _judged(answers: Matrix, target: Matrix, schema: Schema) -> Judged:
    if schema.task == "regression":
        return _Numbers(answers[:, 0], target)
    return _Classes(answers, target.astype(np.int64))


@dataclass(frozen=True, slots=True)
class _Numbers:
    answers: Matrix
    target: Matrix

    def metrics(self, weights: Matrix) -> dict[str, float]:
        total = max(float(weights.sum()), SMALLEST)
        away = self.answers - self.target
        middle = float(weights @ self.target) / total
        spread, squared = float(weights @ (self.target - middle) ** 2), float(weights @ away**2)
        return {
            "rmse": float(np.sqrt(squared / total)),
            "mae": float(weights @ np.abs(away)) / total,
            "r2": 1 - squared / spread if spread > 0 else 0.0,
        }


class _Classes:
    def __init__(self, answers: Matrix, codes: Codes) -> None:
        self.classes = answers.shape[1]
        self.codes, self.chosen = codes, answers.argmax(axis=1)
        self.looked_for = [1] if self.classes == 2 else list(range(self.classes))
        self.surprise = -np.log(np.clip(answers[np.arange(len(codes)), codes], SMALLEST, 1))
        halves = 2 if self.classes == 2 else 1
        self.squared = ((answers - np.eye(self.classes)[codes]) ** 2).sum(axis=1) / halves
        self.ranks = {each: np.unique(answers[:, each], return_inverse=True)[1] for each in self.looked_for}
        promised = answers[:, 1] if self.classes == 2 else answers.max(axis=1)
        self.boast = promised - (codes == (1 if self.classes == 2 else self.chosen))
        place = np.argsort(np.argsort(promised, kind="stable"), kind="stable")
        self.bin = place * BINS // max(1, len(codes))

    def metrics(self, weights: Matrix) -> dict[str, float]:
        total = max(float(weights.sum()), SMALLEST)
        pairs = np.bincount(self.codes * self.classes + self.chosen, weights, self.classes**2)
        counted: Matrix = pairs.reshape(self.classes, self.classes).astype(np.float64)
        right, true, given = np.diag(counted), counted.sum(axis=1), counted.sum(axis=0)
        precision, recall = _share(right, given), _share(right, true)
        f1 = _share(2 * right, given + true)
        found = {
            "accuracy": float(right.sum()) / total,
            "precision": float(precision[self.looked_for].mean()),
            "recall": float(recall[self.looked_for].mean()),
            "f1": float(f1[self.looked_for].mean()),
            "log_loss": float(weights @ self.surprise) / total,
            "brier": float(weights @ self.squared) / total,
            # How far promised chances lie from what came true, over bins with equally many rows.
            "calibration_error": float(np.abs(np.bincount(self.bin, weights * self.boast, BINS)).sum()) / total,
        }
        if (true > 0).all():
            found["auc"] = float(np.mean([self._auc(each, weights) for each in self.looked_for]))
        return found

    def _auc(self, code: int, weights: Matrix) -> float:
        """How often a row of the class ranks above one of another; ties count half."""
        ranks, wanted = self.ranks[code], self.codes == code
        ours, others = np.bincount(ranks, weights * wanted), np.bincount(ranks, weights * ~wanted)
        below = np.cumsum(others) - others / 2
        return float(ours @ below / (ours.sum() * others.sum()))


def _share(part: Matrix, whole: Matrix) -> Matrix:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
