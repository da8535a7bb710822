"""Jensen-Shannon distance: the root of the mean divergence of both distributions from their middle, in base 2.

Between 0 (the same) and 1 (nothing in common), for numbers (over the baseline's bins) and categories alike.

>>> round(METRIC.of_pair(beside(["a"] * 90 + ["b"] * 10, ["a"] * 10 + ["b"] * 90)).value, 2)
0.73
>>> METRIC.of_pair(beside(["a", "b"] * 50, ["a", "b"] * 50)).value
0.0
"""

from __future__ import annotations

import numpy as np
from scipy import special

from monitoring.bins import Floats
from monitoring.drift import DriftMetric, Pair, Score, beside
from monitoring.drift._cells import p_value

__all__ = ["METRIC", "beside"]


def measure(pair: Pair) -> Score:
    value = float(distance(*pair.shares))
    low, high = pair.interval(value, distance)
    return Score(value, low, min(high, 1.0), p_value(pair))


def distance(before: Floats, after: Floats) -> Floats:
    middle = (before + after) / 2
    divergence = (special.rel_entr(before, middle) + special.rel_entr(after, middle)).sum(-1) / (2 * np.log(2))
    result: Floats = np.sqrt(np.maximum(divergence, 0.0))
    return result


METRIC = DriftMetric("jensen_shannon", "columns", "Distance of both distributions from their middle.", of_pair=measure)
