"""Wasserstein distance: how far values must travel, on average, to turn one distribution into the other.

In standard deviations of the baseline. Inside the baseline's range it is the area between the cumulative
distributions; values beyond it are seen through the mean, which the distance can never be smaller than. The p-value
compares the area with that of 999 Brownian bridges, so it is never below 0.001.

>>> rows = [i / 100 for i in range(1000)]
>>> round(METRIC.of_pair(beside(rows, [value + 2.887 for value in rows])).value, 1)
1.0
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from monitoring.bins import CELLS, Floats
from monitoring.drift import SEED, DriftMetric, Pair, Score, beside, share
from monitoring.layout import NumericColumn

__all__ = ["METRIC", "beside"]
BRIDGES = 999


def measure(pair: Pair) -> Score:
    column = pair.column
    if not isinstance(column, NumericColumn) or len(column.edges) < 2:
        return Score(0.0, 0.0, float("inf"), 1.0)
    spread = pair.table.baseline.deviation(pair.index)
    unit = spread if spread > 0 else 1.0
    edges = np.array(column.edges)
    with np.errstate(over="ignore"):
        widths = np.minimum(np.diff(edges) / unit, 1e12)
    # The gap at an edge moves evenly to that at the next: half of every width counts for either.
    reach = (np.append(widths, 0.0) + np.append(0.0, widths)) / 2

    def area(before: Floats, after: Floats) -> Floats:
        return _area(np.cumsum((after - before)[..., : len(edges)], -1), reach)

    inside = float(area(*pair.shares))
    moved = abs(pair.table.window.mean(pair.index) - pair.table.baseline.mean(pair.index)) / unit
    value = max(inside, 0.0 if math.isnan(moved) else moved)
    low, high = pair.interval(inside, area)
    return Score(value, low, max(high, value), _p_value(pair, inside, reach))


def _area(gaps: Floats, reach: Floats) -> Floats:
    result: Floats = np.abs(gaps, out=gaps) @ reach
    return result


@cache
def noise() -> Floats:
    return np.random.default_rng([SEED, 1]).standard_normal((BRIDGES, CELLS))


def _p_value(pair: Pair, value: float, reach: Floats) -> float:
    rows, others = pair.after.sum(), pair.before.sum()
    if not rows or not others:
        return 1.0
    pool = share(pair.before + pair.after)
    walks = np.cumsum(noise()[:, : len(pool)] * np.sqrt(pool), -1)
    ends = walks[:, -1:]
    walks = walks[:, : len(reach)]
    walks -= np.cumsum(pool)[: len(reach)] * ends  # a bridge: it ends where it began
    drawn = _area(walks, reach) * math.sqrt(1 / rows + 1 / others)
    return float((1 + (drawn >= value).sum()) / (1 + BRIDGES))


METRIC = DriftMetric(
    "wasserstein", "numbers", "Mean distance values have moved, in standard deviations.", of_pair=measure
)
