"""How many copies there should be: pure arithmetic of the scaling policies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """What a scalable target may have."""

    minimum: int
    maximum: int

    def hold(self, capacity: int) -> int:
        return min(max(capacity, self.minimum), self.maximum)


def track(current: int, measured: float, target: float, bounds: Bounds) -> int:
    """Enough copies for the measured load (per copy) to be at its target; never none while there is load."""
    wanted = math.ceil(current * measured / target - 1e-9)
    return bounds.hold(max(wanted, 1) if measured > 0 else wanted)


@dataclass(frozen=True)
class Step:
    """One row of a step policy: bounds are relative to the alarm's threshold, None is open."""

    lower: float | None
    upper: float | None
    adjustment: int

    def covers(self, breach: float) -> bool:
        """Above the threshold the lower bound belongs to the step; below it the upper one does."""
        low = -math.inf if self.lower is None else self.lower
        high = math.inf if self.upper is None else self.upper
        return low <= breach < high if breach >= 0 else low < breach <= high


@dataclass(frozen=True)
class StepPolicy:
    """What a step policy does with a breach."""

    kind: str  # ChangeInCapacity, PercentChangeInCapacity, ExactCapacity
    steps: Sequence[Step]
    least: int = 0  # MinAdjustmentMagnitude

    def capacity(self, current: int, breach: float, bounds: Bounds) -> int:
        """The new capacity; the current one when no step covers the breach."""
        step = next((step for step in self.steps if step.covers(breach)), None)
        if step is None:
            return current
        return bounds.hold(self._adjusted(current, step.adjustment))

    def _adjusted(self, current: int, adjustment: int) -> int:
        match self.kind:
            case "ExactCapacity":
                return adjustment
            case "PercentChangeInCapacity":
                change = whole(current * adjustment / 100)
                if abs(change) < self.least and change:
                    change = int(math.copysign(self.least, change))
                return current + change
            case _:
                return current + adjustment


def whole(change: float) -> int:
    """AWS rounds towards zero, except that less than one copy is one copy."""
    if 0 < abs(change) < 1:
        return int(math.copysign(1, change))
    return math.trunc(change)
