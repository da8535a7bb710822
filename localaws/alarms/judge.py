"""The state an alarm should be in, out of its recent data points: M of N, with AWS's treatments of missing data.

CloudWatch looks at a few more periods than it evaluates, and takes the most recent points that are really there. Only
when fewer than N are there does the treatment of missing data matter. An alarm that treats missing data as missing (or
ignores it) still fires when every point in sight breaches and the oldest of them is at least M periods old.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

LOOKBACK = 2  # periods looked at beyond the evaluated ones


class State(StrEnum):
    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Missing(StrEnum):
    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True)
class Condition:
    """When an alarm fires: M of N periods on the wrong side of a threshold."""

    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    missing: Missing = Missing.MISSING

    @property
    def looked_at(self) -> int:
        return self.evaluation_periods + LOOKBACK

    def breaches(self, value: float) -> bool:
        return COMPARISONS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True)
class Judgement:
    """A state (None: the alarm stays as it is) and the points it rests on, as places in the sequence judged."""

    state: State | None
    evaluated: tuple[int, ...] = ()
    breaching: int = 0
    filled: int = 0


def judge(points: Sequence[float | None], condition: Condition) -> Judgement:  # noqa: PLR0911  a table of rules
    """Judge `looked_at` periods, the oldest first; None where there is no data."""
    n, m = condition.evaluation_periods, condition.datapoints_to_alarm
    there = [place for place, value in enumerate(points) if value is not None][-n:]
    breaching = [place for place in there if condition.breaches(points[place] or 0.0)]
    filled = n - len(there)

    def said(state: State | None) -> Judgement:
        return Judgement(state, tuple(there), len(breaching), filled)

    if len(breaching) >= m:
        return said(State.ALARM)
    if not filled:
        return said(State.OK)
    if condition.missing is Missing.BREACHING:
        return said(State.ALARM if len(breaching) + filled >= m else State.OK)
    if condition.missing is Missing.NOT_BREACHING:
        return said(State.OK)
    if not there:
        return said(State.INSUFFICIENT_DATA if condition.missing is Missing.MISSING else None)
    if len(breaching) < len(there):
        return said(State.OK)
    oldest = len(points) - breaching[0]
    return said(State.ALARM if condition.missing is Missing.MISSING and oldest >= m else None)
