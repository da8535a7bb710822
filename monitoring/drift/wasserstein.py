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
from typing import Any

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
        result: Floats = _area(np.cumsum((after - before)[..., : len(edges)], -1), reach)
        return result

    inside = float(area(*pair.shares))
    moved = abs(pair.table.window.mean(pair.index) - pair.table.baseline.mean(pair.index)) / unit
    value = max(inside, 0.0 if math.isnan(moved) else moved)
    low, high = pair.interval(inside, area)
    return Score(value, low, max(high, value), _p_value(pair, inside, reach))


def _area(gaps: Any, reach: Any) -> Any:
    return np.abs(gaps, out=gaps) @ reach


@cache
def noise() -> np.typing.NDArray[np.float32]:
    return np.random.default_rng([SEED, 1]).standard_normal((BRIDGES, CELLS)).astype(np.float32)


def _p_value(pair: Pair, value: float, reach: Floats) -> float:
    rows, others = pair.after.sum(), pair.before.sum()
    if not rows or not others:
        return 1.0
    pool = share(pair.before + pair.after)
    # A walk less its own end, shared among the cells: it ends where it began.
    bridge = np.sqrt(pool)[:, None] * (np.triu(np.ones((len(pool), len(reach)))) - np.cumsum(pool)[: len(reach)])
    walks = noise()[:, : len(pool)] @ bridge.astype(np.float32)
    drawn = _area(walks, reach.astype(np.float32)) * math.sqrt(1 / rows + 1 / others)
    return float((1 + (drawn >= value).sum()) / (1 + BRIDGES))


METRIC = DriftMetric(
    "wasserstein", "numbers", "Mean distance values have moved, in standard deviations.", of_pair=measure
)
