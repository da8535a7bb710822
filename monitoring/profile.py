"""What is kept of a table: counts that merge by integer addition, so any sharding gives the same bits.

A profile holds no rows. Sums and sums of squares are exact too: each value is rounded once to the column's quantum
and added as an integer, which no order of addition can change.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Self

import numpy as np
import polars as pl
from threadpoolctl import ThreadpoolController

from monitoring.bins import CELLS, Floats
from monitoring.layout import UNSEEN, CategoryColumn, Counts, Layout, NumericColumn, as_numbers
from monitoring.tally import Tally

VERSION = 1
BLOCK = 1 << 16  # rows at a time: blocks stay in cache, and their sums stay below 2**53
SCORED = 1 << 14  # rows whose products of scores are added in float32: scores are at most 24, so below 2**24 and exact
NAMES = 256  # how many unseen levels are kept by name


class ProfileError(ValueError):
    """Profiles that cannot be read or added; the text says which and why."""


@dataclass(frozen=True)
class Names:
    """The unseen levels with the smallest hashes, each with its exact count: mergeable in any order.

    >>> Names().add({"b": 2}).merge(Names().add({"a": 1, "b": 1})).counts == {"a": 1, "b": 3}
    True
    """

    kept: tuple[tuple[int, str, int], ...] = ()

    @staticmethod
    def hash_of(name: str) -> int:
        return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest())

    def add(self, counts: Mapping[str, int]) -> Names:
        hashed = ((self.hash_of(name), name, count) for name, count in counts.items())
        return self.merge(Names(tuple(heapq.nsmallest(NAMES, hashed))))  # of thousands only those can be kept

    def merge(self, other: Names) -> Names:
        together: dict[tuple[int, str], int] = {}
        for digest, name, count in (*self.kept, *other.kept):
            together[digest, name] = together.get((digest, name), 0) + count
        return Names(tuple((*key, together[key]) for key in sorted(together)[:NAMES]))

    @property
    def counts(self) -> dict[str, int]:
        return {name: count for _, name, count in self.kept}

    @property
    def distinct(self) -> float:
        """How many different names there were: exact below the limit, estimated above."""
        if len(self.kept) < NAMES:
            return float(len(self.kept))
        return (NAMES - 1) / (self.kept[-1][0] / 2.0**64)


@dataclass(frozen=True)
class Profile:
    """The counts of some rows under a layout; add profiles with `merge`."""

    layout: Layout
    rows: int
    cells: Counts  # [columns, CELLS]
    missing: Counts  # [columns]
    unreadable: Counts  # text where a number was expected; missing as well
    infinite: Counts
    fractional: Counts  # values with a fraction, in columns of whole numbers
    sums: tuple[int, ...]  # in quanta from the centre
    squares: tuple[int, ...]  # in quanta squared
    minimum: Floats
    maximum: Floats
    products: Counts  # [paired, paired], of the bins' scores
    levels: Mapping[int, Counts] = field(default_factory=dict)  # by column
    unseen: Mapping[int, Names] = field(default_factory=dict)

    @classmethod
    def empty(cls, layout: Layout) -> Self:
        width, paired = len(layout.columns), len(layout.paired)
        return cls(
            layout=layout,
            rows=0,
            cells=np.zeros((width, CELLS), np.int64),
            missing=np.zeros(width, np.int64),
            unreadable=np.zeros(width, np.int64),
            infinite=np.zeros(width, np.int64),
            fractional=np.zeros(width, np.int64),
            sums=(0,) * width,
            squares=(0,) * width,
            minimum=np.full(width, np.inf),
            maximum=np.full(width, -np.inf),
            products=np.zeros((paired, paired), np.int64),
            levels={i: np.zeros(len(_category(layout, i).levels), np.int64) for i in _categories(layout)},
            unseen={i: Names() for i in _categories(layout)},
        )

    def merge(self, other: Profile) -> Profile:
        if self.layout is not other.layout and self.layout.fingerprint != other.layout.fingerprint:
            raise ProfileError(
                f"profiles of layouts {self.layout.fingerprint} and {other.layout.fingerprint} cannot be added: "
                "their bins differ. Count both with the same baseline."
            )
        return Profile(
            layout=self.layout,
            rows=self.rows + other.rows,
            cells=self.cells + other.cells,
            missing=self.missing + other.missing,
            unreadable=self.unreadable + other.unreadable,
            infinite=self.infinite + other.infinite,
            fractional=self.fractional + other.fractional,
            sums=tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)),
            squares=tuple(a + b for a, b in zip(self.squares, other.squares, strict=True)),
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
            products=self.products + other.products,
            levels={i: counts + other.levels[i] for i, counts in self.levels.items()},
            unseen={i: names.merge(other.unseen[i]) for i, names in self.unseen.items()},
        )

    def without(self, position: int) -> Profile:
        """The same rows, less one column."""
        kept = self.layout.paired_without(position)
        return Profile(
            layout=self.layout.without(position),
            rows=self.rows,
            cells=np.delete(self.cells, position, 0),
            missing=np.delete(self.missing, position),
            unreadable=np.delete(self.unreadable, position),
            infinite=np.delete(self.infinite, position),
            fractional=np.delete(self.fractional, position),
            sums=self.sums[:position] + self.sums[position + 1 :],
            squares=self.squares[:position] + self.squares[position + 1 :],
            minimum=np.delete(self.minimum, position),
            maximum=np.delete(self.maximum, position),
            products=self.products[np.ix_(kept, kept)],
            levels={i - (i > position): counts for i, counts in self.levels.items() if i != position},
            unseen={i - (i > position): names for i, names in self.unseen.items() if i != position},
        )

    def present(self) -> Counts:
        """Rows with a value, per column."""
        return self.rows - self.missing

    def mean(self, column: int) -> float:
        """The mean of a numeric column's finite values, to its quantum."""
        given, kept = self.layout.columns[column], self._finite(column)
        if not isinstance(given, NumericColumn) or not kept:
            return math.nan
        return given.centre + self.sums[column] * given.quantum / kept

    def deviation(self, column: int) -> float:
        """The standard deviation of a numeric column's finite values."""
        given, kept = self.layout.columns[column], self._finite(column)
        if not isinstance(given, NumericColumn) or not kept:
            return math.nan
        first, second = self.sums[column] / kept, self.squares[column] / kept
        return math.sqrt(max(second - first * first, 0.0)) * given.quantum

    def _finite(self, column: int) -> int:
        return int(self.rows - self.missing[column] - self.infinite[column])

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "layout": self.layout.fingerprint,
            "rows": self.rows,
            "cells": self.cells.tolist(),
            "missing": self.missing.tolist(),
            "unreadable": self.unreadable.tolist(),
            "infinite": self.infinite.tolist(),
            "fractional": self.fractional.tolist(),
            "sums": list(self.sums),
            "squares": list(self.squares),
            "minimum": _finite_or_none(self.minimum),
            "maximum": _finite_or_none(self.maximum),
            "products": self.products.tolist(),
            "levels": {str(i): counts.tolist() for i, counts in self.levels.items()},
            "unseen": {str(i): [list(each) for each in names.kept] for i, names in self.unseen.items()},
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any], layout: Layout) -> Self:
        if given.get("version") != VERSION:
            raise ProfileError(
                f"a profile of version {given.get('version')!r}; this program reads version {VERSION}. "
                "Make the baseline again, or use the program that made it."
            )
        if given.get("layout") != layout.fingerprint:
            raise ProfileError(
                f"a profile counted with layout {given.get('layout')!r}, expected {layout.fingerprint}: "
                "it belongs to another baseline"
            )
        try:
            return cls(
                layout=layout,
                rows=int(given["rows"]),
                cells=_shaped(given["cells"], (len(layout.columns), CELLS)),
                missing=np.array(given["missing"], np.int64),
                unreadable=np.array(given["unreadable"], np.int64),
                infinite=np.array(given["infinite"], np.int64),
                fractional=np.array(given["fractional"], np.int64),
                sums=tuple(given["sums"]),
                squares=tuple(given["squares"]),
                minimum=_or_infinite(given["minimum"], math.inf),
                maximum=_or_infinite(given["maximum"], -math.inf),
                products=_shaped(given["products"], (len(layout.paired), len(layout.paired))),
                levels={int(i): np.array(counts, np.int64) for i, counts in given["levels"].items()},
                unseen={
                    int(i): Names(tuple((int(d), str(n), int(c)) for d, n, c in kept))
                    for i, kept in given["unseen"].items()
                },
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise ProfileError(f"a profile without its parts or with parts of another shape: {problem!r}") from None


def _shaped(given: Any, shape: tuple[int, ...]) -> Counts:
    array = np.array(given, np.int64)
    if array.size == 0:
        array = array.reshape(shape)
    if array.shape != shape:
        raise ValueError(f"shape {array.shape}, expected {shape}")
    return array


def _finite_or_none(values: Floats) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _or_infinite(given: Iterable[float | None], default: float) -> Floats:
    return np.array([default if value is None else value for value in given], np.float64)


def _categories(layout: Layout) -> list[int]:
    return [i for i, column in enumerate(layout.columns) if isinstance(column, CategoryColumn)]


def _category(layout: Layout, column: int) -> CategoryColumn:
    found = layout.columns[column]
    if not isinstance(found, CategoryColumn):
        raise TypeError(f"column '{found.name}' is numeric, expected a category")
    return found


def merged(profiles: Iterable[Profile], layout: Layout) -> Profile:
    """The profile of all rows together."""
    total = Profile.empty(layout)
    for each in profiles:
        total = total.merge(each)
    return total


def count(frame: pl.DataFrame, layout: Layout, threads: int | None = None) -> Profile:
    """The profile of a frame; a column it lacks counts as missing in every row."""
    workers = min(threads or os.cpu_count() or 1, max(frame.height // (2 * BLOCK), 1))
    numeric = [_series(frame, column) for column in layout.columns if isinstance(column, NumericColumn)]
    blocks = iter(range(0, frame.height, BLOCK))  # of all workers together: who is free takes the next
    with unthreaded():
        levels = {i: _threads().submit(_count_levels, frame, _category(layout, i)) for i in _categories(layout)}
        numbers = [_threads().submit(_count_numbers, numeric, frame.height, layout, blocks) for _ in range(workers)]
        known = _with_levels(frame, layout, {i: each.result() for i, each in levels.items()})
        return merged([known, *(each.result() for each in numbers)], layout)


@cache
def _threads() -> ThreadPoolExecutor:
    """Kept for good: every new thread would get a share of the heap of its own, which is never given back."""
    return ThreadPoolExecutor(os.cpu_count() or 1, "count")


def unthreaded() -> AbstractContextManager[object]:
    """Matrix products on the calling thread alone: threads of BLAS would wait for ours, or spin beside what follows."""
    return _blas().limit(limits=1, user_api="blas")


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


@dataclass(frozen=True, slots=True)
class _Readable:
    """A numeric column of a frame, and which rows held text that is no number."""

    values: pl.Series
    unreadable: int


def _series(frame: pl.DataFrame, column: NumericColumn) -> _Readable:
    if column.name not in frame.columns:
        return _Readable(pl.repeat(None, frame.height, dtype=pl.Float64, eager=True), 0)
    given = frame[column.name]
    if given.dtype == pl.Float64:
        return _Readable(given, 0)
    if given.dtype.is_numeric():
        return _Readable(given.cast(pl.Float64), 0)
    values = as_numbers(given)
    blank = int((given.cast(pl.String).str.strip_chars() == "").sum()) if given.dtype == pl.String else 0
    return _Readable(values, values.null_count() - given.null_count() - blank)


def _count_numbers(given: list[_Readable], height: int, layout: Layout, blocks: Iterator[int]) -> Profile:
    """The numbers of the blocks that this call gets hold of, each named by its first row."""
    empty = Profile.empty(layout)
    columns = [(i, c) for i, c in enumerate(layout.columns) if isinstance(c, NumericColumn)]
    place = {column: slot for slot, column in enumerate(layout.paired)}
    scores = np.zeros((len(layout.paired), BLOCK), np.float32)
    tallies = [Tally(column) for _, column in columns]
    products = np.zeros((len(layout.paired),) * 2, np.int64)
    rows, unreadable = 0, empty.unreadable
    for start in blocks:
        size = min(BLOCK, height - start)
        rows += size
        if not start:  # known of whole columns: said once, with the first rows
            unreadable[[i for i, _ in columns]] = [readable.unreadable for readable in given]
        for (i, _), readable, tally in zip(columns, given, tallies, strict=True):
            tally.add(readable.values.slice(start, size).to_numpy(), scores[place[i], :size] if i in place else None)
        for first in range(0, size, SCORED):
            part = scores[:, first : min(first + SCORED, size)]
            products += (part @ part.T).astype(np.int64)
    sums, squares = list(empty.sums), list(empty.squares)
    for (i, _), tally in zip(columns, tallies, strict=True):
        empty.cells[i] = tally.cells
        empty.missing[i], empty.infinite[i] = tally.missing, tally.infinite
        empty.fractional[i] = tally.fractional
        empty.minimum[i], empty.maximum[i] = tally.minimum, tally.maximum
        sums[i], squares[i] = tally.total, tally.squares
    return replace(empty, rows=rows, sums=tuple(sums), squares=tuple(squares), products=products)


def _with_levels(frame: pl.DataFrame, layout: Layout, found: Mapping[int, tuple[Counts, Names, int] | None]) -> Profile:
    """The profile of the categories alone; it counts no rows, which those of the numbers do."""
    empty = Profile.empty(layout)
    levels, unseen = dict(empty.levels), dict(empty.unseen)
    for i, counted in found.items():
        if counted is None:
            empty.missing[i] = frame.height
            continue
        levels[i], unseen[i], empty.missing[i] = counted
        cell_of_level = _category(layout, i).cell_of_level
        empty.cells[i] += np.bincount(cell_of_level, weights=levels[i], minlength=CELLS).astype(np.int64)
        empty.cells[i, UNSEEN] = frame.height - int(empty.missing[i]) - int(levels[i].sum())
    return replace(empty, levels=levels, unseen=unseen)


def _count_levels(frame: pl.DataFrame, column: CategoryColumn) -> tuple[Counts, Names, int] | None:
    """Rows per known level, the unseen levels by name, and the missing rows (an empty text is missing)."""
    if column.name not in frame.columns:
        return None
    given = frame[column.name]
    found = given.rename("level").value_counts(name="rows")
    names = found["level"].cast(pl.String)
    absent = names.is_null() | (names == "").fill_null(value=False)
    if found["level"].dtype.is_float():  # whole numbers as a table with gaps holds them: 3.0 is the level "3"
        names = found["level"].cast(pl.Int64, strict=False).cast(pl.String).fill_null(names)
    where = names.replace_strict(
        list(column.levels), list(range(len(column.levels))), default=None, return_dtype=pl.Int64
    )
    counts = np.zeros(len(column.levels), np.int64)
    known = where.is_not_null() & ~absent
    np.add.at(counts, where.filter(known).to_numpy(), found["rows"].filter(known).to_numpy().astype(np.int64))
    other = found.filter(~known & ~absent)
    return (
        counts,
        Names().add(dict(zip(other["level"].cast(pl.String).to_list(), other["rows"].to_list(), strict=True))),
        int(found["rows"].filter(absent).sum()),
    )
