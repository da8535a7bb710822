"""Fixed bins of a numeric column: cut once at the baseline, counted ever after, exact under any order of rows.

A value's bin is the number of edges at or below it, so a bin is a fact about one value and counts merge by addition.
Finding it by binary search costs a dozen mispredicted branches; a table over a fine grid answers nearly every value
with one look-up, and the few that share a grid cell with an edge are searched.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Cells = npt.NDArray[np.uint8]

CELLS = 64  # bins of a numeric column, the two outer ones included
MISSING = CELLS  # the code of a missing value; never an index into counts
GRID = 1 << 15
UNSURE = 255
REACH = 1e9  # grid cells that an int32 surely holds


@dataclass(frozen=True, slots=True)
class Bins:
    """The edges of one column, and the table that finds a bin fast."""

    edges: Floats
    table: Cells = field(init=False, repr=False)
    scale: float = field(init=False, repr=False)
    offset: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.edges) >= CELLS or (np.diff(self.edges) <= 0).any() or not np.isfinite(self.edges).all():
            raise ValueError(
                f"{len(self.edges)} edges, expected fewer than {CELLS}, finite and increasing: "
                "cut the bins with `cut`, which promises that"
            )
        # The grid spans the inner edges: the outermost are the sample's extremes and would make it too coarse.
        inner = self.edges[1:-1] if len(self.edges) > 3 else self.edges
        low, high = (inner[0], inner[-1]) if len(inner) else (0.0, 1.0)
        with np.errstate(over="ignore"):
            width = high - low
            scale = (GRID - 4) / width if width > 0 and np.isfinite(width) else 1.0
            usable = np.isfinite(scale) and width > 0 and np.isfinite(width) and np.isfinite(low * scale)
        object.__setattr__(self, "scale", float(scale) if usable else 0.0)
        object.__setattr__(self, "offset", float(2.0 - low * scale) if usable else 0.0)
        table = np.empty(0, np.uint8)
        if usable:
            # The edge's own grid cell is unsure; every other cell holds no edge, so all its values share a bin.
            at = self._grid(self.edges).clip(0, GRID - 1)
            table = np.searchsorted(at, np.arange(GRID), side="right").astype(np.uint8)
            table[at] = UNSURE
        object.__setattr__(self, "table", table)

    @property
    def count(self) -> int:
        return len(self.edges) + 1

    def _grid(self, values: Floats) -> npt.NDArray[np.int32]:
        """The grid cell of each value, before it is clipped: monotone in the value, because rounding is."""
        with np.errstate(over="ignore"):
            cells = np.multiply(values, self.scale)
            np.add(cells, self.offset, out=cells)
        return np.clip(cells, -1.0, GRID, out=cells).astype(np.int32)

    def find(self, values: Floats, *, bounded: bool = False) -> Cells:
        """The bin of each value; the values hold no NaN (infinities are in the outer bins).

        `bounded` promises that all values are within `reach`, which saves a pass.
        """
        if not self.scale:  # a single edge, or edges too far apart for a grid
            return np.searchsorted(self.edges, values, side="right").astype(np.uint8)
        if bounded:
            cells = np.multiply(values, self.scale)
            np.add(cells, self.offset, out=cells)
            grid = cells.astype(np.int32)
        else:
            grid = self._grid(values)
        found: Cells = np.take(self.table, grid, mode="clip")
        unsure = np.flatnonzero(found == UNSURE)
        if len(unsure):
            found[unsure] = np.searchsorted(self.edges, values[unsure], side="right")
        return found

    def reaches(self, low: float, high: float) -> bool:
        """Whether values from low to high can be found without clipping them first."""
        return max(abs(low * self.scale + self.offset), abs(high * self.scale + self.offset)) < REACH


def cut(values: Floats) -> Bins:
    """Bins for a sample of a column: quantiles, with every heavy value in a bin of its own, and two outer bins.

    >>> cut(np.array([0.0, 1.0, 1.0, 0.0])).edges.tolist()
    [-0.5, 0.5, 1.5]
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Bins(np.empty(0))
    unique, counts = np.unique(finite, return_counts=True)
    inner = CELLS - 2
    with np.errstate(over="ignore"):
        edges = _between(unique) if len(unique) <= inner else _quantiles(finite, unique, counts, inner)
    return Bins(np.unique(edges[np.isfinite(edges)]))


def _between(unique: Floats) -> Floats:
    """Each of a few values in the middle of its own bin."""
    gaps = np.diff(unique) / 2
    margin = gaps.min() if len(gaps) else max(abs(float(unique[0])), 1.0) / 2
    return np.concatenate([[unique[0] - margin], unique[:-1] + gaps, [unique[-1] + margin]])


def _quantiles(finite: Floats, unique: Floats, counts: npt.NDArray[np.int64], inner: int) -> Floats:
    """Quantiles of the light values; a value that fills a bin by itself has an edge on either side.

    Edges stand between neighbouring values, so that no value of a column of integers lies on one.
    """
    is_heavy = counts * inner / 2 >= len(finite)
    heavy = np.flatnonzero(is_heavy)
    left = max(inner - 2 * len(heavy), 1)
    light = np.where(is_heavy, 0, counts)
    wanted = np.arange(1, left) / left * max(light.sum(), 1)
    starts = np.concatenate([np.searchsorted(np.cumsum(light), wanted) + 1, heavy, heavy + 1])
    starts = starts[(starts > 0) & (starts < len(unique))]
    inside = unique[starts - 1] + (unique[starts] - unique[starts - 1]) / 2
    return np.concatenate([[unique[0]], inside, [np.nextafter(unique[-1], np.inf)]])
