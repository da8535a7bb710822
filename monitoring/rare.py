"""What a baseline says of the levels it hardly knows: how often the next row holds a rare one, or one never seen.

The levels of a column, and which of them have a cell of their own, are often learned from the very rows that are then
counted. A count that took part in choosing is too high: of a thousand levels that are equally frequent, those that
came up most get the cells, and rows to come are among the others far more often than the baseline was. Leaving one row
out shows what a new row would meet (Good and Turing found so that the levels seen once stand for those never seen).
Where it is not known which rows taught the levels, a share is a range that holds both answers. Such a share is also
less certain than a share of independent rows; it counts as one of fewer rows, of the same variance (Esty 1983).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from monitoring.bins import Floats
from monitoring.layout import RARE, UNSEEN, CategoryColumn, Counts
from monitoring.profile import Profile

CELLS = (RARE, UNSEEN)


@dataclass(frozen=True, slots=True)
class Rest:
    """Per column, of its rare and of its unseen levels: the share of new rows, as a range, and the rows it is worth."""

    low: Floats  # [columns, 2]
    high: Floats
    rows: Floats

    @classmethod
    def blend(cls, parts: Sequence[Self], weights: Sequence[float]) -> Self:
        """Several baselines in given proportions, worth as many rows as leave the variance what it is."""
        variance = sum(weight**2 / np.maximum(part.rows, 1e-9) for part, weight in zip(parts, weights, strict=True))
        low, high = (
            sum(weight * each for each, weight in zip(shares, weights, strict=True))
            for shares in ([part.low for part in parts], [part.high for part in parts])
        )
        return cls(np.asarray(low), np.asarray(high), np.asarray(1 / variance))


def rest_of(profile: Profile, learned: Mapping[int, float] | None = None, whole: Profile | None = None) -> Rest:
    """The rare and the unseen levels of every category column.

    `learned` is the share of the rows that taught a column its levels, where that was a sample of them; `whole` is the
    profile of all rows, where this is one season of them.
    """
    low, high, rows = (np.zeros((len(profile.layout.columns), len(CELLS))) for _ in range(3))
    for i, counts in profile.levels.items():
        column = profile.layout.columns[i]
        present = int(profile.rows - profile.missing[i])
        if isinstance(column, CategoryColumn) and present:
            rare, unseen = column.cell_of_level == RARE, int(profile.cells[i, UNSEEN])
            ever = counts if whole is None else whole.levels[i]
            hits, rows[i] = _of_column(counts, ever, rare, unseen, (learned or {}).get(i, 0.0))
            low[i], high[i] = hits / present
    return Rest(low, high, rows)


def _of_column(
    counts: Counts, ever: Counts, rare: np.typing.NDArray[np.bool_], unseen: int, learned: float
) -> tuple[Floats, Floats]:
    """The fewest and the most rows in either cell, and the rows that these are worth.

    `counts` are the rows of each level, `ever` those in all seasons.
    """
    present = float(counts.sum() + unseen)
    # A level that never came up was learned from other rows, and then all were.
    taught_itself = bool((ever > 0).all())
    once, twice = (float(counts[ever == times].sum()) * taught_itself for times in (1, 2))
    fewest, most = (np.array([counts[rare].sum(), rows], np.float64) for rows in (unseen, unseen + once))
    surplus = np.array([twice, twice])  # variance beyond that of independent rows
    if rare.any():
        last = ever[rare].max()  # a level with a cell of its own loses it when one row less leaves it behind this one
        most[0] += counts[~rare & (ever <= last + 1)].sum()
        fewest[0] += counts[~rare & (ever <= last) & (ever > taught_itself)].sum()
        fewest[0] -= counts[rare & (ever == 1)].sum() * taught_itself
        surplus[0] += (counts * ever.astype(np.float64))[np.abs(ever - last) <= 1].sum()
    worth = np.full(len(CELLS), present)
    if 0 < learned < 1:  # the other rows met the levels as new rows do
        worth[1] *= 1 - learned
        most[1] = max(most[1], unseen / (1 - learned))
        fewest[0] = max(fewest[0] - (most[1] - unseen), 0.0)
    spread = np.maximum(most * (1 - most / present), 1.0)
    return np.stack([fewest, most]), worth * spread / (spread + surplus)
