"""Cells pooled until they hold enough rows for the chi-square curve, and the test on them."""

from __future__ import annotations

import numpy as np
from scipy import special

from monitoring.bins import Floats
from monitoring.drift import Pair
from monitoring.layout import UNSEEN, CategoryColumn

EXPECTED = 5.0  # rows a cell must be expected to hold in the smaller sample


def chi_square(before: Floats, after: Floats, *, ordered: bool) -> tuple[float, int]:
    """The p-value of two samples of cells coming from one population, and how many cells were left to compare."""
    rows, others = after.sum(), before.sum()
    if not rows or not others:
        return 1.0, 0
    # Only the pooled counts may decide what is pooled, or the decision itself would be evidence.
    group = groups((before + after) * min(rows, others) / (rows + others), ordered=ordered)
    old, new = (np.bincount(group, weights=cells) for cells in (before, after))
    pool = old + new
    old, new, pool = old[pool > 0], new[pool > 0], pool[pool > 0]
    if len(pool) < 2:
        return 1.0, len(pool)
    statistic = float(((new / rows - old / others) ** 2 / pool).sum() * rows * others)
    return float(special.chdtrc(len(pool) - 1, statistic)), len(pool)


def groups(expected: Floats, *, ordered: bool) -> np.typing.NDArray[np.int64]:
    """Which pooled cell each cell belongs to: neighbours where there is an order, else all rare cells together."""
    if not ordered:
        rare = expected < EXPECTED
        group = np.cumsum(~rare) * ~rare
        if 0 < expected[rare].sum() < EXPECTED and not rare.all():
            smallest = int(np.argmin(np.where(rare, np.inf, expected)))
            group[rare] = group[smallest]
        return group.astype(np.int64)
    group = np.zeros(len(expected), np.int64)
    held, at = 0.0, 0
    for cell, rows in enumerate(expected):
        group[cell] = at
        held += rows
        if held >= EXPECTED:
            at, held = at + 1, 0.0
    if held < EXPECTED and at:
        group[group == at] = at - 1
    return group


def p_value(pair: Pair) -> float:
    """By all cells of numbers; by all levels of a category, however many."""
    if not isinstance(pair.column, CategoryColumn):
        return chi_square(pair.before, pair.after, ordered=True)[0]
    return chi_square(*levels(pair), ordered=False)[0]


def levels(pair: Pair) -> tuple[Floats, Floats]:
    """Rows per level, before and after; the last stands for all unseen ones (before: for those seen once)."""
    before = pair.table.baseline.levels[pair.index].astype(np.float64)
    after = pair.table.window.levels[pair.index].astype(np.float64)
    once = before == 1
    unseen = pair.table.window.cells[pair.index, UNSEEN]
    already = pair.table.baseline.cells[pair.index, UNSEEN]
    return np.append(np.where(once, 0.0, before), once.sum() + already), np.append(after, unseen)
