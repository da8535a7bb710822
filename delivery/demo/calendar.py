"""The demo's clock: the embedded AWS stands at an instant until it is told to go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from delivery.local import PLAIN, clock_of

PATIENCE = 120.0  # real seconds for work that holds the clock, on a slow machine


class CalendarError(Exception):
    """The clock cannot go on; the text says what holds it."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Time of one embedded AWS."""

    url: str

    def now(self) -> datetime:
        return datetime.fromtimestamp(clock_of(self.url).json()["epoch"], UTC)

    def on(self, span: timedelta) -> datetime:
        """Let time pass, with everything that is due in it."""
        return self.to(self.now() + span)

    def to(self, instant: datetime) -> datetime:
        given = {"to": instant.isoformat(), "patience": PATIENCE}
        place = f"{self.url}/_localaws/clock"
        answer = httpx.post(place, json=given, timeout=None, verify=PLAIN)  # noqa: S113 its patience ends it
        if answer.is_error:
            raise CalendarError(answer.json()["error"])
        return datetime.fromtimestamp(answer.json()["epoch"], UTC)

    def at(self, hour: int, *, days: int = 0) -> datetime:
        """That hour of today, or of a day to come."""
        return self.now().replace(hour=hour, minute=0, second=0, microsecond=0) + timedelta(days=days)

    def play(self, until: datetime, step: timedelta, act: Callable[[datetime], None]) -> None:
        """Do something, let a step pass, and so on until an instant."""
        while (now := self.now()) < until:
            act(now)
            self.to(min(now + step, until))
