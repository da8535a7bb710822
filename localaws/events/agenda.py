"""What is to happen by the clock: one timer for each recurring thing, set again after it fired."""

import logging
import threading
from collections.abc import Callable

from localaws.clock import Clock, Timer
from localaws.events.recurrence import Recurrence

log = logging.getLogger(__name__)


class Agenda:
    """Recurring errands by key; planning a key again replaces it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timers: dict[str, Timer] = {}
        self._lock = threading.RLock()

    def plan(
        self,
        key: str,
        recurrence: Recurrence,
        errand: Callable[[float], object],
        ended: Callable[[], object] | None = None,
    ) -> None:
        """Do `errand` (it is told its instant) whenever it recurs; `ended` after the last time."""
        first = recurrence.first(self._clock.now())
        self._set(key, first, recurrence, errand, ended)

    def drop(self, key: str) -> None:
        with self._lock:
            timer = self._timers.pop(key, None)
            if timer:
                timer.cancel()

    def next(self, key: str) -> float | None:
        """When a key is due."""
        timer = self._timers.get(key)
        return timer.due if timer else None

    def _set(
        self,
        key: str,
        due: float | None,
        recurrence: Recurrence,
        errand: Callable[[float], object],
        ended: Callable[[], object] | None,
    ) -> None:
        def fire(at: float) -> None:
            self._set(key, recurrence.next(max(at, self._clock.now() - 1e-6)), recurrence, errand, ended)
            try:
                errand(at)
            except Exception:
                log.exception("%s failed", key)
            if ended and recurrence.next(at) is None:
                ended()

        with self._lock:
            self.drop(key)
            if due is not None:
                self._timers[key] = self._clock.call_at(due, lambda: fire(due), key)
