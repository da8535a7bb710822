"""What one look's known outcomes add to the metric.

right              the prediction was right (a rate)
outcome=VALUE      the outcome is VALUE, such as a conversion (a rate)
absolute-error     predicted minus actual, without its sign (a mean)
squared-error      the same, squared (a mean)
value              the outcome itself, as a number: revenue, minutes (a mean); for a ratio, "numerator,denominator"
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contract.records import RecordError
from monitoring.experiment.evidence import Array
from monitoring.experiment.experiment import Metric
from monitoring.experiment.looks import Sums, Tally

Texts = NDArray[np.str_]

RIGHT, OUTCOME_IS, ABSOLUTE, SQUARED, VALUE = "right", "outcome=", "absolute-error", "squared-error", "value"


def nothing(metric: Metric) -> Tally | Sums:
    return Tally() if metric.kind == "rate" else Sums()


def counted(metric: Metric, predicted: Texts, actual: Texts, covariate: Array | None = None) -> Tally | Sums:
    """The metric of one variant in one look; outcomes that are not what the metric needs are left out."""
    require_counts(metric)
    if metric.kind == "rate":
        wanted = predicted if metric.counts == RIGHT else metric.counts.removeprefix(OUTCOME_IS)
        return Tally(len(actual), int((actual == wanted).sum()))
    if metric.kind == "ratio":
        parts = np.array([_pair(each) for each in actual], dtype=np.float64).reshape(-1, 2)
        parts = parts[np.isfinite(parts).all(axis=1)]
        return Sums.of(parts[:, 0], parts[:, 1])
    truth = _numbers(actual)
    values = truth if metric.counts == VALUE else _error(metric.counts, _numbers(predicted) - truth)
    beside = np.zeros_like(values) if covariate is None else covariate
    known = np.isfinite(values) & np.isfinite(beside)
    return Sums.of(values[known], beside[known])


def require_counts(metric: Metric) -> None:
    """An error when the metric's kind and what it counts do not go together."""
    fits = {
        "rate": metric.counts == RIGHT or metric.counts.startswith(OUTCOME_IS),
        "mean": metric.counts in (ABSOLUTE, SQUARED, VALUE),
        "ratio": metric.counts == VALUE,
    }[metric.kind]
    if not fits:
        raise RecordError(
            f"metric '{metric.name}' is a {metric.kind} and counts '{metric.counts}': a rate counts '{RIGHT}' or "
            f"'{OUTCOME_IS}VALUE', a mean '{ABSOLUTE}', '{SQUARED}' or '{VALUE}', a ratio '{VALUE}'"
        )


def _error(counts: str, difference: Array) -> Array:
    return np.abs(difference) if counts == ABSOLUTE else difference**2


def _numbers(texts: Texts) -> Array:
    return np.array([_number(each) for each in texts], dtype=np.float64)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _pair(text: str) -> tuple[float, float]:
    above, _, below = text.partition(",")
    return _number(above), _number(below)
