"""Domain classifier: how well the best linear rule tells rows of the window from rows of the baseline.

The value is the area under its ROC curve: 0.5 means it cannot, 1 that it always can. The rule is Fisher's discriminant
on the normal scores of all numeric columns, which needs means and cross products only, so no rows are kept and none
are fitted twice; the p-value is Hotelling's. It sees small shifts in many columns at once, which no column shows.

>>> import numpy as np, polars as pl
>>> rng = np.random.default_rng(1)
>>> names = [f"x{i}" for i in range(20)]
>>> before, after = rng.normal(size=(5000, 20)), rng.normal(0.2, 1, (1000, 20))
>>> table = compare(pl.DataFrame(before, names), pl.DataFrame(after, names))
>>> score = METRIC.of_table(table)
>>> round(score.value, 2), score.p < 1e-9
(0.75, True)
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from monitoring.bins import Floats
from monitoring.drift import DriftMetric, Score, Table, compare
from monitoring.verdict import Sums, sums_of

__all__ = ["METRIC", "compare"]
SHOWN = 3


def measure(table: Table) -> Score:
    before, after = table.reference.sums, sums_of(table.window)
    rows, others, width = float(after.rows), float(before.rows), len(table.window.layout.paired)
    free = rows + others - width - 1
    if not width or before.products is None or rows < 2 or others < 2 or free < 4:
        return Score(0.5, 0.5, 1.0, 1.0)
    old_mean, old_scatter = _moments(table, before)
    new_mean, new_scatter = _moments(table, after)
    pooled = (old_scatter + new_scatter) / (rows + others - 2)
    scale = np.sqrt(np.maximum(np.diagonal(pooled), 1e-9))
    gap = (new_mean - old_mean) / scale
    # A ridge of a thousandth keeps columns that copy each other from making the matrix singular.
    matrix = pooled / np.outer(scale, scale) + 0.001 * np.eye(width)
    weights = np.linalg.solve(matrix, gap)
    distance = float(gap @ weights)
    inverse = 1 / rows + 1 / others
    hotelling = distance / inverse * free / (width * (rows + others - 2))
    p = float(special.fdtrc(width, free, hotelling))
    fair = max(distance * (free - 2) / (rows + others - 2) - width * inverse, 0.0)
    error = math.sqrt(4 * fair * inverse + 2 * width * inverse * inverse)
    low, high = max(fair - 1.96 * error, 0.0), fair + 1.96 * error
    return Score(_area(fair), _area(low), _area(high), p, _leading(table, weights * gap))


def _moments(table: Table, sums: Sums) -> tuple[Floats, Floats]:
    """Mean scores, and the matrix of squares and products about them."""
    paired = list(table.window.layout.paired)
    rows = float(sums.rows)
    mean = (sums.cells[paired] * table.judge.scores[paired]).sum(-1) / rows
    products = np.zeros((len(paired), len(paired))) if sums.products is None else np.asarray(sums.products, np.float64)
    return mean, products - rows * np.outer(mean, mean)


def _area(distance: float) -> float:
    """The area under the curve of two normal populations so far apart."""
    return float(special.ndtr(math.sqrt(distance / 2)))


def _leading(table: Table, parts: Floats) -> str:
    layout = table.window.layout
    order = np.argsort(-parts)[:SHOWN]
    return ", ".join(layout.columns[layout.paired[int(at)]].name for at in order if parts[at] > 0)


METRIC = DriftMetric(
    "domain_classifier", "table", "How well a linear rule tells window from baseline.", of_table=measure
)
