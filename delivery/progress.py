"""How far something is that takes its time, and how long it may take still."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Which share is done, and how many seconds are left, where that is known."""

    share: float
    seconds_left: float | None
