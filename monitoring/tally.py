"""Counting the numbers of one column, a block at a time: the rules, in numpy; `_count.c` is the same rules compiled.

Compiled code reads a value once where numpy passes over it a dozen times; it serves when it could be built, and a
property-based test holds both to equal bits.
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from monitoring.bins import CELLS, MISSING, Cells, Floats
from monitoring.layout import Counts, NumericColumn

BOUND = 2.0**36  # quanta; a value farther than 2**24 standard deviations from the centre is counted as that far
LIMB = 1 << 18  # a block's squares of smaller numbers add up to less than 2**53
Scores = npt.NDArray[np.float32]

try:
    _compiled: Any = import_module("monitoring._count").count
except ImportError:  # it could not be built here
    _compiled = None


class Tally:
    """One numeric column's running counts; `cells` are per bin, sums in quanta from the column's centre."""

    def __init__(self, column: NumericColumn, *, compiled: bool = True) -> None:
        self.column = column
        self.cells: Counts = np.zeros(CELLS, np.int64)
        self.missing = self.infinite = self.fractional = self.total = self.squares = 0
        self.minimum, self.maximum = math.inf, -math.inf
        self._unit = math.ldexp(1.0, column.exponent)
        self._score_of: Scores = np.zeros(MISSING + 1, np.float32)
        self._score_of[: len(column.scores)] = column.scores
        self._compiled: Any = _compiled if compiled else None

    def add(self, values: Floats, scores: Scores | None = None) -> None:
        """Count a block of at most 2**16 values; the score of each is left in `scores`."""
        if self._compiled is not None:
            self._add_compiled(values, scores)
            return
        cells = self._cells(values)
        self.cells += np.bincount(cells, minlength=MISSING + 1)[:CELLS]
        if scores is not None:
            np.take(self._score_of, cells, out=scores, mode="clip")

    def _add_compiled(self, values: Floats, scores: Scores | None) -> None:
        bins, column = self.column.bins, self.column
        missing, infinite, fractional, total, high, low, minimum, maximum = self._compiled(
            np.ascontiguousarray(values), bins.edges, bins.table, bins.scale, bins.offset, column.centre, self._unit,
            column.integral, self._score_of, scores, self.cells,
        )  # fmt: skip
        self.missing += missing
        self.infinite += infinite
        self.fractional += fractional
        self.total += total
        self.squares += (high << 64) + low
        self.minimum, self.maximum = min(self.minimum, minimum), max(self.maximum, maximum)

    def _cells(self, values: Floats) -> Cells:
        """The bin of each value, or that it is missing; sums grow by those that are finite."""
        if not len(values):
            return np.empty(0, np.uint8)
        low, high = float(values.min()), float(values.max())
        if math.isfinite(low) and math.isfinite(high):
            self._add_moments(values, low, high)
            return self.column.bins.find(values, bounded=self.column.bins.reaches(low, high))
        absent = np.isnan(values)
        cells = np.full(len(values), MISSING, np.uint8)
        cells[~absent] = self.column.bins.find(values[~absent])
        finite = values[np.isfinite(values)]
        self.missing += int(absent.sum())
        # Infinities have an outer bin, but no place in the moments.
        self.infinite += len(values) - len(finite) - int(absent.sum())
        if len(finite):
            self._add_moments(finite, float(finite.min()), float(finite.max()))
        return cells

    def _add_moments(self, values: Floats, low: float, high: float) -> None:
        centre = self.column.centre
        if self.column.integral:
            self.fractional += int(np.count_nonzero(values != np.floor(values)))
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        with np.errstate(over="ignore"):
            quanta = np.subtract(values, centre)
            np.multiply(quanta, self._unit, out=quanta)
            farthest = max(abs(low - centre), abs(high - centre)) * self._unit
        if farthest > BOUND:
            np.clip(quanta, -BOUND, BOUND, out=quanta)
        np.rint(quanta, out=quanta)
        self.total += int(quanta.sum())
        self.squares += int(quanta @ quanta) if farthest < LIMB - 1 else _squared(quanta)


def _squared(quanta: Floats) -> int:
    """The exact sum of squares of a block of whole numbers up to 2**36, in two limbs."""
    high = np.rint(quanta / LIMB)
    low = quanta - high * LIMB
    return int(high @ high) * LIMB * LIMB + 2 * int(high @ low) * LIMB + int(low @ low)
