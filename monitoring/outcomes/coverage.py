"""How many predictions have an outcome yet: to be read beside every measure of quality.

Young predictions have few outcomes, and the first to arrive are not typical (a purchase is known at once, its absence
after weeks). So coverage is told by age, and quality is compared through rates that such a delay cannot move (see
`decay`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from monitoring.outcomes.join import ARRIVED, OUTCOME, TIME
from monitoring.outcomes.measures import Measure, share

AGES = tuple(timedelta(hours=hours) for hours in (1, 6, 24, 72, 168, 336, 720))


@dataclass(frozen=True)
class Coverage:
    """The share of predictions whose outcome is known, in all and by age, and how long outcomes take."""

    share: Measure
    by_age: tuple[tuple[timedelta, Measure], ...]
    """Of the predictions at least this old: the share whose outcome came within this time."""
    median_delay: timedelta | None

    def to_json(self) -> dict[str, Any]:
        return {
            "share": self.share.to_json(),
            "by_age_hours": {f"{age.total_seconds() / 3600:g}": each.to_json() for age, each in self.by_age},
            "median_delay_hours": None if self.median_delay is None else self.median_delay.total_seconds() / 3600,
        }


def coverage(frame: pl.DataFrame, now: datetime) -> Coverage:
    """The coverage of joined predictions as of an instant."""
    taken = pl.max_horizontal(pl.col(ARRIVED) - pl.col(TIME), pl.lit(timedelta()))  # clocks differ: never before it
    delay = frame.filter(pl.col(OUTCOME).is_not_null()).select(taken).to_series()
    ages = []
    for age in AGES:
        old = frame.filter(pl.col(TIME) <= now - age)
        if old.height:
            in_time = old.filter(pl.col(OUTCOME).is_not_null() & (taken <= age)).height
            ages.append((age, share(in_time, old.height)))
    median = delay.median()
    return Coverage(
        share=share(frame[OUTCOME].count(), frame.height),
        by_age=tuple(ages),
        median_delay=median if isinstance(median, timedelta) else None,
    )
