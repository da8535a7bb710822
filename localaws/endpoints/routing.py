"""Which variant gets a request: pure arithmetic over weights and the shares of two fleets."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Lane(Generic[T]):
    """One place traffic can go: a variant of one fleet, with that fleet's share and the variant's weight."""

    variant: str
    target: T
    fleet: int
    share: float
    weight: float


class Routes(Generic[T]):
    """An immutable table; a change of weights or shares makes a new one, so a request sees one or the other whole."""

    def __init__(self, lanes: Iterable[Lane[T]] = ()) -> None:
        self.lanes = tuple(lanes)
        self._chances = chances(self.lanes)
        self._ends = list(itertools.accumulate(self._chances))

    def chances(self) -> dict[str, float]:
        """Each variant's share of the requests that name none."""
        found: dict[str, float] = {}
        for lane, chance in zip(self.lanes, self._chances, strict=True):
            found[lane.variant] = found.get(lane.variant, 0.0) + chance
        return found

    def pick(self, point: float) -> Lane[T] | None:
        """The lane for a point in [0, 1); None when no lane has any weight."""
        total = self._ends[-1] if self._ends else 0.0
        if total <= 0:
            return None
        index = bisect.bisect_right(self._ends, point * total)
        return self.lanes[min(index, len(self.lanes) - 1)]

    def pick_variant(self, variant: str, point: float) -> Lane[T] | None:
        """The lane for a request that names its variant: weights do not count, the fleets' shares do."""
        lanes = [lane for lane in self.lanes if lane.variant == variant and lane.share > 0]
        ends = list(itertools.accumulate(lane.share for lane in lanes))
        return lanes[bisect.bisect_right(ends, point * ends[-1])] if ends else None


def chances(lanes: Sequence[Lane[T]]) -> list[float]:
    """Each lane's probability: its fleet's share, times its weight among the fleet's weights."""
    weights: dict[int, float] = {}
    for lane in lanes:
        weights[lane.fleet] = weights.get(lane.fleet, 0.0) + lane.weight
    raw = [lane.share * lane.weight / weights[lane.fleet] if weights[lane.fleet] else 0.0 for lane in lanes]
    total = sum(raw)
    return [chance / total for chance in raw] if total else raw
