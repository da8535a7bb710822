"""What is remembered of many values: exact while they are few, within a thousandth of each value when they are many."""

import bisect
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

EXACT = 1000  # distinct values kept as they are; beyond that they fall into bins
PRECISION = 0.001  # relative width of a bin


@dataclass(slots=True)
class Distribution:
    """Count, sum, extremes, and how often each value came.

    A statistic set adds to the first four alone, so its values are unknown and percentiles cannot be had.
    """

    count: float = 0.0
    total: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    values: dict[float, float] = field(default_factory=dict)
    valued: bool = True
    coarse: bool = False

    def add(self, value: float, count: float = 1.0) -> None:
        self.count += count
        self.total += value * count
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)
        self._keep(value, count)

    def add_set(self, count: float, total: float, minimum: float, maximum: float) -> None:
        """Add a statistic set. Its values are known only when they are all the same."""
        if minimum == maximum and count > 0:
            self.add(minimum, count)
            return
        self.count += count
        self.total += total
        self.minimum = min(self.minimum, minimum)
        self.maximum = max(self.maximum, maximum)
        self.valued = False

    def merge(self, other: "Distribution") -> None:
        self.count += other.count
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.valued = self.valued and other.valued
        for value, count in other.values.items():
            self._keep(value, count)

    def _keep(self, value: float, count: float) -> None:
        place = _bin(value) if self.coarse else value
        self.values[place] = self.values.get(place, 0.0) + count
        if not self.coarse and len(self.values) > EXACT:
            exact, self.values, self.coarse = self.values, dict[float, float](), True
            for each, times in exact.items():
                self._keep(each, times)

    def sorted(self) -> "Sorted":
        return Sorted(sorted(self.values.items()))


def _bin(value: float) -> float:
    if value == 0:
        return 0.0
    step = round(math.log(abs(value)) / math.log1p(PRECISION))
    return math.copysign(math.exp(step * math.log1p(PRECISION)), value)


@dataclass(slots=True)
class Sorted:
    """Values in order with how often each came: the ground of percentiles and trimmed means."""

    pairs: list[tuple[float, float]]
    before: list[float] = field(init=False)  # how many values come before each distinct one
    count: float = field(init=False)

    def __post_init__(self) -> None:
        self.before = list[float]()
        self.count = 0.0
        for _, count in self.pairs:
            self.before.append(self.count)
            self.count += count

    def quantile(self, fraction: float) -> float:
        """The value at `fraction` of the way, between neighbours by straight line."""
        place = fraction * (self.count - 1)
        low = self._at(math.floor(place))
        return low + (self._at(math.ceil(place)) - low) * (place - math.floor(place))

    def _at(self, rank: float) -> float:
        return self.pairs[max(0, bisect.bisect_right(self.before, rank) - 1)][0]

    def between(self, low: float, high: float) -> "Sorted":
        """The part above `low` and up to `high`, both included."""
        return Sorted([pair for pair in self.pairs if low <= pair[0] <= high])

    def clipped(self, low: float, high: float) -> "Sorted":
        merged: dict[float, float] = {}
        for value, count in self.pairs:
            held = min(max(value, low), high)
            merged[held] = merged.get(held, 0.0) + count
        return Sorted(sorted(merged.items()))

    def total(self) -> float:
        return math.fsum(value * count for value, count in self.pairs)

    def mean(self) -> float:
        return self.total() / self.count if self.count else math.nan


def of(values: Iterable[float]) -> Distribution:
    made = Distribution()
    for value in values:
        made.add(value)
    return made
