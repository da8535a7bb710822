"""Measures of quality with confidence bounds, from plain arrays.

Every measure comes with the number of rows behind it; too few, or none of a class, and it is absent rather than a
number that means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

Array = NDArray[np.float64]
Truth = NDArray[np.bool_]

CONFIDENCE = 0.95
FEWEST = 30
"""Rows below which the bounds of a mean are not to be believed."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A value between bounds, from n rows; without a value where the rows do not allow one."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def absent(n: int) -> Measure:
    return Measure(None, None, None, n)


def deviations(confidence: float) -> float:
    """How many standard errors the bounds lie from the value."""
    return float(-ndtri((1 - confidence) / 2))


def share(hits: int, n: int, confidence: float = CONFIDENCE) -> Measure:
    """A share with Wilson's bounds, which stay inside 0 and 1 and hold for few rows."""
    if n == 0:
        return absent(0)
    z, p = deviations(confidence), hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Measure(p, max(0.0, min(p, centre - reach)), min(1.0, max(p, centre + reach)), n)


def mean(values: Array, confidence: float = CONFIDENCE) -> Measure:
    """A mean with bounds from its standard error."""
    n = len(values)
    if n == 0:
        return absent(0)
    value = float(values.mean())
    if n < FEWEST:
        return Measure(value, None, None, n)
    reach = deviations(confidence) * float(values.std(ddof=1)) / math.sqrt(n)
    return Measure(value, value - reach, value + reach, n)


# --- Classification ---


def accuracy(right: Truth) -> Measure:
    return share(int(right.sum()), len(right))


def f1(predicted: Truth, actual: Truth, confidence: float = CONFIDENCE) -> Measure:
    """F1 of one class: it depends on the share of hits among hits and misses of both kinds, whose bounds it takes."""
    n = len(actual)
    hit = int((predicted & actual).sum())
    miss = int((predicted != actual).sum())
    if hit + miss == 0:
        return absent(n)
    value = 2 * hit / (2 * hit + miss)
    if hit + miss < FEWEST:
        return Measure(value, None, None, n)
    t = share(hit, hit + miss, confidence)
    low, high = (2 * each / (1 + each) for each in (t.low or 0.0, t.high or 0.0))
    return Measure(value, low, high, n)


def share_below(each: Array, others: Array) -> Array:
    """For each value the share of others that lie below it; an equal one counts half."""
    ordered = np.sort(others)
    twice = np.searchsorted(ordered, each) + np.searchsorted(ordered, each, side="right")
    return np.asarray(twice / (2 * len(others)))


def auc(score: Array, actual: Truth, confidence: float = CONFIDENCE) -> Measure:
    """Area under the ROC curve; bounds by DeLong's variance, on the logit scale so that they stay inside 0 and 1."""
    n, m = len(actual), int(actual.sum())
    if m < 2 or n - m < 2:
        return absent(n)
    positive, negative = score[actual], score[~actual]
    above, below = share_below(positive, negative), 1 - share_below(negative, positive)
    value = float(above.mean())
    error = math.sqrt(float(above.var(ddof=1)) / m + float(below.var(ddof=1)) / (n - m))
    if not 0 < value < 1:
        # A perfect order: the bound says how many pairs of fewer than all rows could have been out of order.
        worst = share(round(value * min(m, n - m)), min(m, n - m), confidence)
        return Measure(value, worst.low, worst.high, n)
    reach = deviations(confidence) * error / (value * (1 - value))
    return Measure(value, float(expit(logit(value) - reach)), float(expit(logit(value) + reach)), n)


def log_loss(chance: Array, actual: Truth) -> Measure:
    """Mean negative log of the chance given to what happened."""
    of_truth = np.clip(np.where(actual, chance, 1 - chance), 1e-15, 1.0)
    return mean(-np.log(of_truth))


def brier(chance: Array, actual: Truth) -> Measure:
    return mean((chance - actual) ** 2)


def calibration_gap(chance: Array, actual: Truth) -> Measure:
    """Mean predicted chance minus the share that happened: above zero, the model promises too much."""
    return mean(chance - actual)


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of similar chance: what was promised and what happened."""

    promised: float
    happened: Measure


def calibration(chance: Array, actual: Truth, bins: int = 10) -> tuple[Bin, ...]:
    """Reliability by bins of equal numbers of rows."""
    order = np.argsort(chance, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return tuple(Bin(float(chance[part].mean()), share(int(actual[part].sum()), len(part))) for part in parts)


def calibration_error(chance: Array, actual: Truth, bins: int = 10) -> Measure:
    """Expected calibration error, less what it would be by chance alone if the promises were exact."""
    n = len(actual)
    if n < FEWEST:
        return absent(n)
    squares = 0.0
    noise = 0.0
    for part in np.array_split(np.argsort(chance, kind="stable"), bins):
        promised, happened = chance[part].mean(), actual[part].mean()
        squares += len(part) * (promised - happened) ** 2
        noise += float((chance[part] * (1 - chance[part])).mean())
    return Measure(math.sqrt(max(0.0, (squares - noise) / n)), None, None, n)


# --- Regression ---


def rmse(error: Array, confidence: float = CONFIDENCE) -> Measure:
    """Root mean squared error; bounds are those of the mean square, rooted."""
    squared = mean(error**2, confidence)
    if squared.value is None:
        return squared
    low, high = (None if each is None else math.sqrt(max(0.0, each)) for each in (squared.low, squared.high))
    return Measure(math.sqrt(squared.value), low, high, squared.n)


def mae(error: Array) -> Measure:
    return mean(np.abs(error))


def bias(error: Array) -> Measure:
    """Mean of predicted minus actual."""
    return mean(error)


# --- Together ---


def of_classes(
    predicted: NDArray[np.str_], actual: NDArray[np.str_], chance: Array | None, classes: Sequence[str]
) -> dict[str, Measure]:
    """All measures of a classification; `chance` is that of the last of two classes, else of the predicted class."""
    found = {"accuracy": accuracy(predicted == actual)}
    for each in classes:
        of_class = actual == each
        found[f"recall_{each}"] = share(int((of_class & (predicted == each)).sum()), int(of_class.sum()))
    scores = [f1(predicted == each, actual == each) for each in (classes[-1:] if len(classes) == 2 else classes)]
    found["f1"] = scores[0] if len(classes) == 2 else _macro(scores)
    if chance is None or np.isnan(chance).all():
        return found
    known = ~np.isnan(chance)
    hit = (actual == classes[-1])[known] if len(classes) == 2 else (predicted == actual)[known]
    given = chance[known]
    if len(classes) == 2:
        found["auc"] = auc(given, hit)
        found["log_loss"] = log_loss(given, hit)
    found["brier"] = brier(given, hit)
    found["calibration_gap"] = calibration_gap(given, hit)
    found["calibration_error"] = calibration_error(given, hit)
    return found


def of_numbers(predicted: Array, actual: Array) -> dict[str, Measure]:
    """All measures of a regression."""
    error = predicted - actual
    return {"rmse": rmse(error), "mae": mae(error), "bias": bias(error)}


def _macro(scores: Sequence[Measure]) -> Measure:
    values = [each.value for each in scores if each.value is not None]
    n = max((each.n for each in scores), default=0)
    return Measure(float(np.mean(values)), None, None, n) if values else absent(n)


HIGHER_IS_BETTER: Mapping[str, bool] = {
    "accuracy": True,
    "f1": True,
    "auc": True,
    "log_loss": False,
    "brier": False,
    "calibration_error": False,
    "rmse": False,
    "mae": False,
}


def main_measure(task: str, classes: Sequence[str]) -> str:
    """The one a threshold is set on unless settings say otherwise."""
    if task == "regression":
        return "rmse"
    return "auc" if len(classes) == 2 else "accuracy"


def surely_worse(name: str, found: Measure, threshold: float) -> bool:
    """Whether the whole of the bounds lies on the wrong side of the threshold."""
    if name not in HIGHER_IS_BETTER:
        raise KeyError(f"no direction is known for measure '{name}'; known: {', '.join(HIGHER_IS_BETTER)}")
    if HIGHER_IS_BETTER[name]:
        return found.high is not None and found.high < threshold
    return found.low is not None and found.low > threshold
