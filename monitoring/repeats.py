"""How much of what was met was met before, in bounded memory: the same for any split and any order.

Kept are the things with the smallest hashes, each with its exact count: a fair sample of the distinct ones, however
often each was met. Below the limit everything is exact; above it, how many are distinct is known to a few percent.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from contract.records import Column
from monitoring.layout import Counts, numbers

KEPT = 2_048  # distinct things that are kept: 22 KB as JSON
BLOCK = 1 << 16  # hashes that are sorted at once
SURE = 3.0  # standard errors that the number of distinct things is off by at most
Hashes = npt.NDArray[np.uint64]


def _no_hashes() -> Hashes:
    return np.empty(0, np.uint64)


def _no_counts() -> Counts:
    return np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class Repeats:
    """Some things by their hashes: how many there were, and those that are kept.

    >>> met = Repeats().add(hashes_of(pl.Series(["a", "b", "a", "a"])))
    >>> met.merge(met).distinct, met.share
    (2.0, 0.5)
    """

    things: int = 0
    hashes: Hashes = field(default_factory=_no_hashes)
    counts: Counts = field(default_factory=_no_counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Repeats) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.things, self.hashes.tobytes(), self.counts.tobytes()))

    def add(self, hashes: Hashes) -> Repeats:
        met = self
        for start in range(0, len(hashes), BLOCK):
            block = hashes[start : start + BLOCK]
            low = block[block <= met.hashes[-1]] if len(met.hashes) == KEPT else block
            found, counts = np.unique(low, return_counts=True)
            met = met.merge(Repeats(len(block), found, counts.astype(np.int64)))
        return met

    def merge(self, other: Repeats) -> Repeats:
        both = np.concatenate([self.hashes, other.hashes])
        found, where = np.unique(both, return_inverse=True)
        counts = np.zeros(len(found), np.int64)
        np.add.at(counts, where, np.concatenate([self.counts, other.counts]))
        return Repeats(self.things + other.things, found[:KEPT], counts[:KEPT])

    @property
    def distinct(self) -> float:
        """How many different things there were: exact below the limit, estimated above."""
        if len(self.hashes) < KEPT:
            return float(len(self.hashes))
        # By how dense the smallest hashes are, whatever the counts; within what that leaves open, by the counts kept.
        dense = (KEPT - 1) / (float(self.hashes[-1]) / 2.0**64)
        spread = 1 + SURE / KEPT**0.5
        return float(np.clip(self.things * KEPT / self.counts.sum(), dense / spread, min(dense * spread, self.things)))

    @property
    def share(self) -> float:
        """The share of things that repeat another."""
        return max(1 - self.distinct / self.things, 0.0) if self.things else 0.0

    def expected(self, things: int) -> float:
        """How many of so many other things from the same source would be distinct.

        What was met once only stands for what is new each time.
        """
        if not self.things:
            return float(things)
        scale = self.distinct / len(self.hashes)
        again = self.counts[self.counts > 1] / self.things
        new = float((self.counts == 1).sum()) / self.things * things
        return float(min(scale * (new + (1 - (1 - np.minimum(again, 1.0)) ** things).sum()), things))

    def to_json(self) -> dict[str, Any]:
        often = np.flatnonzero(self.counts > 1)
        return {
            "things": self.things,
            "hashes": base64.b64encode(self.hashes.astype("<u8").tobytes()).decode(),
            "counts": {str(i): int(self.counts[i]) for i in often},
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        hashes = np.frombuffer(base64.b64decode(given["hashes"]), "<u8").astype(np.uint64)
        counts = np.ones(len(hashes), np.int64)
        for i, count in given["counts"].items():
            counts[int(i)] = count
        return cls(int(given["things"]), hashes, counts)


def hashes_of(values: pl.Series) -> Hashes:
    return _even(values.hash().to_numpy())


def hashes_of_rows(frame: pl.DataFrame, columns: Sequence[Column]) -> Hashes:
    """A hash of each row's inputs, however its file spelled them; a row that has none is left out."""
    kept = [_spelled(frame[column.name], column) for column in columns if column.name in frame.columns]
    if not kept:
        return _no_hashes()
    inputs = pl.DataFrame(kept)
    there = inputs.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    return _even(inputs.hash_rows().filter(there).to_numpy())


def _spelled(given: pl.Series, column: Column) -> pl.Series:
    """Numbers as numbers and levels as text; what is missing or unreadable is null."""
    if column.is_category:
        return given.cast(pl.String)
    values = given if given.dtype == pl.Float64 else pl.Series(column.name, numbers(given))
    return values.fill_nan(None)


def _even(hashes: Hashes) -> Hashes:
    """Spread evenly over 64 bits, as hashes of whole rows are not (the last steps of splitmix64)."""
    mixed = hashes.copy()
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed
