"""Population stability index: the sum over groups of (after - before) * log(after / before).

Groups are tenths of the baseline for numbers, and the levels of a category (the rare ones together). Half a row is
added to each group so that an empty one does not make the index infinite. Custom has it that 0.1 is a small shift and
0.2 a large one; at a few hundred rows chance alone exceeds 0.1, which is why the p-value stands beside it.

>>> pair = beside(list(range(1000)), list(range(500, 1500)))
>>> score = METRIC.of_pair(pair)
>>> round(score.value, 1), score.p < 1e-9
(3.5, True)
>>> METRIC.of_pair(beside(list(range(1000)), list(range(1000)))).value
0.0
"""

from __future__ import annotations

import numpy as np

from monitoring.bins import Floats
from monitoring.drift import DriftMetric, Pair, Score, beside
from monitoring.drift._cells import chi_square
from monitoring.layout import NumericColumn

GROUPS = 10

__all__ = ["METRIC", "beside"]


def measure(pair: Pair) -> Score:
    group = tenths(pair)
    before, after = gather(pair.before, group), gather(pair.after, group)
    old_rows, new_rows = before.sum(), after.sum()

    def index(old: Floats, new: Floats) -> Floats:
        return stability(gather(old, group) * old_rows, gather(new, group) * new_rows)

    value = float(stability(before, after))
    low, high = pair.interval(value, index)
    p, _ = chi_square(before, after, ordered=isinstance(pair.column, NumericColumn))
    return Score(value, low, high, p)


def tenths(pair: Pair) -> np.typing.NDArray[np.int64]:
    """The group of each cell."""
    cells = pair.before
    if not isinstance(pair.column, NumericColumn):
        return np.arange(len(cells))
    middle = (np.cumsum(cells) - cells / 2) / max(cells.sum(), 1)
    return np.minimum((middle * GROUPS).astype(np.int64), GROUPS - 1)


def gather(cells: Floats, group: np.typing.NDArray[np.int64]) -> Floats:
    belongs = (group[:, None] == np.arange(int(group.max()) + 1)).astype(np.float64)
    result: Floats = cells @ belongs
    return result


def stability(before: Floats, after: Floats) -> Floats:
    """Of rows per group; groups that are empty on both sides do not count."""
    there = (before + after) > 0
    half = 0.5 * there
    old = (before + half) / np.maximum((before + half).sum(-1, keepdims=True), 1e-12)
    new = (after + half) / np.maximum((after + half).sum(-1, keepdims=True), 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(there, (new - old) * np.log(new / old), 0.0)
    result: Floats = terms.sum(-1)
    return result


METRIC = DriftMetric("psi", "columns", "Population stability index over tenths of the baseline.", of_pair=measure)
