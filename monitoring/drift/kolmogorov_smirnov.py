"""Kolmogorov-Smirnov: the widest gap between the two cumulative distributions, over the baseline's bin edges.

It is the same number for any increasing change of scale. Between bin edges nothing is seen, so the p-value is, if
anything, too large.

>>> score = METRIC.of_pair(beside(list(range(1000)), list(range(250, 1250))))
>>> round(score.value, 2), score.p < 1e-9
(0.25, True)
"""

from __future__ import annotations

import numpy as np
from scipy import special

from monitoring.bins import Floats
from monitoring.drift import DriftMetric, Pair, Score, beside

__all__ = ["METRIC", "beside"]


def measure(pair: Pair) -> Score:
    value = float(gap(*pair.shares))
    low, high = pair.interval(value, gap)
    rows, others = pair.after.sum(), pair.before.sum()
    size = rows * others / (rows + others) if rows and others else 0.0
    # Stephens' correction makes the limit curve fit small samples.
    p = float(special.kolmogorov(value * (np.sqrt(size) + 0.12 + 0.11 / np.sqrt(size)))) if size else 1.0
    return Score(value, low, min(high, 1.0), p)


def gap(before: Floats, after: Floats) -> Floats:
    result: Floats = np.abs(np.cumsum(after - before, -1)).max(-1)
    return result


METRIC = DriftMetric(
    "kolmogorov_smirnov", "numbers", "Widest gap between the cumulative distributions.", of_pair=measure
)
