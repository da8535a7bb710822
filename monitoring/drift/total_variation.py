"""Total variation of a category: the share of rows that would have to change level; the p-value is chi-square's.

The distance is over the 62 most frequent levels, the rest together, and the unseen ones, because a plain distance over
thousands of levels is mostly sampling noise. The test is over every level, those too rare for it pooled by what window
and baseline hold together.

>>> score = METRIC.of_pair(beside(["a"] * 80 + ["b"] * 20, ["a"] * 50 + ["b"] * 50))
>>> round(score.value, 2), score.p < 0.001
(0.3, True)
"""

from __future__ import annotations

import numpy as np

from monitoring.bins import Floats
from monitoring.drift import DriftMetric, Pair, Score, beside
from monitoring.drift._cells import p_value

__all__ = ["METRIC", "beside"]


def measure(pair: Pair) -> Score:
    value = float(variation(*pair.shares))
    low, high = pair.interval(value, variation)
    return Score(value, low, min(high, 1.0), p_value(pair))


def variation(before: Floats, after: Floats) -> Floats:
    result: Floats = np.abs(after - before).sum(-1) / 2
    return result


METRIC = DriftMetric("total_variation", "categories", "Share of rows that changed level.", of_pair=measure)
