"""The one source of time of the embedded AWS: real, scaled, or stepped by hand.

Everything in the control plane asks a `Clock` what time it is and asks it to be woken, so bakes, schedules, periods and
retention all follow the same time:

- **real**: wall time.
- **scaled**: time runs `rate` times faster while nothing is being done, and at its natural pace while work is being
  done, so a job never seems to take hours because the clock is fast.
- **stepped**: time stands still until `advance` is called. Then timers fire one by one, in order, each at its exact
  instant, and the next one waits until all the work started by the one before has settled. Nothing depends on how fast
  the machine is, so a week of schedules plays in seconds and gives the same result twice.

Work announces itself with `busy` or `spawn`. A thread that waits through `sleep` or a `ClockEvent` does not count as
busy, but counts again from the instant it is woken. One that must block on something else says so with `idle`, but
prefer a `ClockEvent`: what wakes a thread out of `idle` cannot be counted until that thread has really run.
"""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

log = logging.getLogger(__name__)


class Mode(StrEnum):
    REAL = "real"
    SCALED = "scaled"
    STEPPED = "stepped"


class ClockStoppedError(Exception):
    """The clock was closed while a thread waited on it: the thread should end."""


class ClockStuckError(Exception):
    """A stepped clock cannot go on because work that holds it does not settle."""


class ClockModeError(Exception):
    """The request does not fit the clock's mode."""


@dataclass(order=True)
class Timer:
    """One action at one virtual instant; `every` makes it come again."""

    due: float
    order: int
    action: Callable[[], object] = field(compare=False)
    name: str = field(compare=False)
    every: float = field(compare=False, default=0.0)
    cancelled: bool = field(compare=False, default=False)

    def cancel(self) -> None:
        self.cancelled = True

    __call__ = cancel  # what `call_at` returns is called to take it back


class ClockEvent:
    """A flag that threads wait for on virtual time; whoever sets it hands the waiting threads back to work at once."""

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self.flag = False
        self.waiters: list[Waiter] = []

    def set(self) -> None:
        self._clock.raise_flag(self)

    def clear(self) -> None:
        self.flag = False

    def is_set(self) -> bool:
        return self.flag

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until set or until `seconds` of virtual time passed; tell whether it is set."""
        return self._clock.wait_for(self, seconds)


@dataclass(eq=False)
class Waiter:
    work: list[str]
    woken: bool = False


class Clock:
    """Virtual time and its timers. Use `Clock.real()`, `Clock.scaled(rate)` or `Clock.stepped(start)`."""

    def __init__(self, mode: Mode = Mode.REAL, rate: float = 1.0, start: datetime | None = None) -> None:
        if rate <= 0:
            raise ClockModeError(f"a clock cannot run at rate {rate}: give a number above 0 (or use a stepped clock)")
        self.mode = mode
        self.rate = rate
        self._anchor = start.timestamp() if start else time.time()
        self._anchored_at = time.monotonic()
        self._target = self._anchor
        self._timers: list[Timer] = []
        self._order = itertools.count()
        self._firing: Timer | None = None
        self._fired = 0
        self._busy: list[str] = []
        self._mine = threading.local()
        self._changed = threading.Condition(threading.RLock())
        self._closed = False
        self._dispatcher = threading.Thread(target=self._dispatch, name="clock", daemon=True)
        self._dispatcher.start()

    @classmethod
    def real(cls) -> "Clock":
        return cls(Mode.REAL)

    @classmethod
    def scaled(cls, rate: float, start: datetime | None = None) -> "Clock":
        return cls(Mode.SCALED, rate, start)

    @classmethod
    def stepped(cls, start: datetime | None = None) -> "Clock":
        return cls(Mode.STEPPED, start=start)

    @classmethod
    def from_text(cls, text: str) -> "Clock":
        """The clock a setting names: `real`, `scaled:60`, `stepped` or `stepped:2026-01-05T00:00:00Z`."""
        mode, _, detail = text.partition(":")
        try:
            match mode, detail:
                case "real", "":
                    return cls.real()
                case "scaled", rate:
                    return cls.scaled(float(rate))
                case "stepped", start:
                    return cls.stepped(datetime.fromisoformat(start) if start else None)
        except ValueError:
            pass
        raise ClockModeError(
            f"there is no clock '{text}': give real, scaled:60 (so many times faster), stepped, "
            "or stepped:2026-01-05T00:00:00Z (standing at that instant)"
        )

    # -- reading ----------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Virtual seconds since the epoch."""
        with self._changed:
            return self._time()

    def moment(self) -> datetime:
        """Virtual now as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def _time(self) -> float:
        if self.mode is Mode.REAL:
            return time.time()
        if self._firing:
            return self._anchor
        flowed = self._anchor + (time.monotonic() - self._anchored_at) * self._pace()
        return min(flowed, max(self._timers[0].due, self._anchor)) if self._timers else flowed

    def _pace(self) -> float:
        if self.mode is Mode.STEPPED:
            return 0.0
        return min(1.0, self.rate) if self._busy else self.rate

    def _anchor_at(self, instant: float) -> None:
        self._anchor = instant
        self._anchored_at = time.monotonic()

    # -- being woken ------------------------------------------------------------------------------------------------

    def call_at(self, when: datetime | float, action: Callable[[], object], name: str = "") -> Timer:
        """Run `action` on the clock's thread at `when`. It must be short; longer work goes through `spawn`."""
        due = when.timestamp() if isinstance(when, datetime) else when
        return self._add(Timer(due, next(self._order), action, name or action.__qualname__))

    def call_later(self, seconds: float, action: Callable[[], object], name: str = "") -> Timer:
        with self._changed:
            return self.call_at(self._time() + seconds, action, name)

    def every(self, seconds: float, action: Callable[[], object], name: str = "") -> Timer:
        """Run `action` whenever virtual time is a multiple of `seconds` since the epoch."""
        with self._changed:
            first = (self._time() // seconds + 1) * seconds
            return self._add(Timer(first, next(self._order), action, name or action.__qualname__, every=seconds))

    def _add(self, timer: Timer) -> Timer:
        with self._changed:
            heapq.heappush(self._timers, timer)
            self._changed.notify_all()
        return timer

    def sleep(self, seconds: float) -> None:
        """Block this thread for `seconds` of virtual time."""
        self.event().wait(seconds)

    def event(self) -> ClockEvent:
        return ClockEvent(self)

    # -- work that holds the clock ------------------------------------------------------------------------------------

    @contextmanager
    def busy(self, name: str) -> Iterator[None]:
        """Say that this thread works: a stepped clock waits for it, a scaled one runs at natural pace meanwhile."""
        self._begin(name)
        self._held().append(name)
        try:
            yield
        finally:
            self._held().remove(name)
            self._end(name)

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Say that this thread, though busy, only waits for other threads inside this block."""
        work = list(self._held())
        self._held().clear()
        for name in work:
            self._end(name)
        try:
            yield
        finally:
            for name in work:
                self._begin(name)
            self._held().extend(work)

    def hold(self, name: str) -> Callable[[], None]:
        """Count work that no thread has taken up yet; calling what comes back says that it is done."""
        self._begin(name)
        return lambda: self._end(name)

    def spawn(self, work: Callable[[], object], name: str) -> threading.Thread:
        """Start a thread that is busy from this moment until `work` returns."""
        self._begin(name)

        def run() -> None:
            self._held().append(name)
            try:
                work()
            except ClockStoppedError:
                pass
            except Exception:
                log.exception("%s failed", name)
            finally:
                self._held().remove(name)
                self._end(name)

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    def _held(self) -> list[str]:
        if not hasattr(self._mine, "work"):
            self._mine.work = []
        held: list[str] = self._mine.work
        return held

    def _begin(self, name: str) -> None:
        with self._changed:
            self._anchor_at(self._time())
            self._busy.append(name)

    def _end(self, name: str) -> None:
        with self._changed:
            self._anchor_at(self._time())
            self._busy.remove(name)
            self._changed.notify_all()

    def wait_for(self, event: ClockEvent, seconds: float | None) -> bool:
        """Block this thread until `event` is set or `seconds` of virtual time passed."""
        waiter = Waiter(list(self._held()))
        with self._changed:
            if self._closed:
                raise ClockStoppedError("the clock was closed")
            if event.is_set():
                return True
            event.waiters.append(waiter)
            timer = (
                None if seconds is None else self.call_later(seconds, lambda: self._wake(waiter), "a waiting thread")
            )
            self._anchor_at(self._time())
            for name in waiter.work:
                self._busy.remove(name)
            self._changed.notify_all()
            self._changed.wait_for(lambda: waiter.woken or self._closed)
            self._wake(waiter)
            if timer:
                timer.cancel()
            if waiter in event.waiters:
                event.waiters.remove(waiter)
            if self._closed:
                raise ClockStoppedError("the clock was closed")
            return event.is_set()

    def raise_flag(self, event: ClockEvent) -> None:
        """Set `event` and hand its waiting threads back to work."""
        with self._changed:
            event.flag = True
            for waiter in event.waiters:
                self._wake(waiter)
            event.waiters.clear()

    def _wake(self, waiter: Waiter) -> None:
        """Hand a waiting thread back to work, counted as busy before it has even been scheduled."""
        with self._changed:
            if not waiter.woken:
                waiter.woken = True
                self._anchor_at(self._time())
                self._busy.extend(waiter.work)
                self._changed.notify_all()

    # -- moving -----------------------------------------------------------------------------------------------------

    def advance(self, seconds: float = 0.0, patience: float = 60.0) -> datetime:
        """Move a stepped clock on, firing everything due on the way and letting it settle.

        `patience` is how many real seconds may pass without progress before the work that holds the clock is named
        in a `ClockStuckError`.
        """
        if self.mode is not Mode.STEPPED:
            raise ClockModeError(
                f"only a stepped clock can be advanced, and this one is {self.mode}: it moves by itself"
            )
        if seconds < 0:
            raise ClockModeError(f"time cannot go back {-seconds} s")
        if threading.current_thread() is self._dispatcher:
            raise ClockModeError("a timer's own action cannot advance the clock")
        with self.idle(), self._changed:
            self._target = max(self._target, self._anchor + seconds)
            self._changed.notify_all()
            self._until(self._arrived, patience)
            return datetime.fromtimestamp(self._anchor, UTC)

    def settle(self, patience: float = 60.0) -> None:
        """Wait until no work is going on and nothing is due at this instant."""
        with self.idle(), self._changed:
            self._until(self._settled, patience)

    def _until(self, reached: Callable[[], bool], patience: float) -> None:
        while not reached():
            progress = (self._fired, tuple(self._busy))
            gave_up_at = time.monotonic() + patience
            while progress == (self._fired, tuple(self._busy)) and not (reached() or self._closed):
                if not self._changed.wait(gave_up_at - time.monotonic()):
                    raise ClockStuckError(self._what_holds(patience))
            if self._closed:
                raise ClockStoppedError("the clock was closed")

    def _what_holds(self, patience: float) -> str:
        holding = ", ".join(sorted(self._busy)) or (self._firing.name if self._firing else "nothing known")
        return (
            f"the clock stands at {self.moment():%Y-%m-%dT%H:%M:%SZ}: after {patience:g} real seconds this work had "
            f"still not settled: {holding}. Look at its log, stop it, or wait longer with a larger patience."
        )

    def _settled(self) -> bool:
        now = self._time()
        return not self._busy and not self._firing and not any(t.due <= now and not t.cancelled for t in self._timers)

    def _arrived(self) -> bool:
        return self._anchor >= self._target and self._settled()

    def set_rate(self, rate: float) -> None:
        """Let a scaled clock run faster or slower from now on."""
        if self.mode is not Mode.SCALED:
            raise ClockModeError(f"only a scaled clock has a rate, and this one is {self.mode}")
        if rate <= 0:
            raise ClockModeError(f"a clock cannot run at rate {rate}: give a number above 0")
        with self._changed:
            self._anchor_at(self._time())
            self.rate = rate
            self._changed.notify_all()

    def close(self) -> None:
        """Stop firing, and end every thread that waits on this clock."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def describe(self) -> dict[str, object]:
        """What `/_localaws/clock` shows."""
        with self._changed:
            pending = sorted(timer for timer in self._timers if not timer.cancelled)[:20]
            return {
                "mode": str(self.mode),
                "rate": self.rate if self.mode is Mode.SCALED else None,
                "now": self.moment().isoformat().replace("+00:00", "Z"),
                "epoch": self._time(),
                "busy": sorted(self._busy),
                "timers": [{"due": timer.due, "name": timer.name} for timer in pending],
            }

    # -- the clock's own thread -------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        with self._changed:
            while not self._closed:
                self._drop_cancelled()
                if self.mode is Mode.STEPPED:
                    self._step()
                else:
                    self._flow()

    def _drop_cancelled(self) -> None:
        while self._timers and self._timers[0].cancelled:
            heapq.heappop(self._timers)

    def _step(self) -> None:
        if self._busy:
            self._changed.wait()
        elif self._timers and self._timers[0].due <= max(self._anchor, self._target):
            self._fire(heapq.heappop(self._timers))
        elif self._anchor < self._target:
            self._anchor_at(self._target)
            self._changed.notify_all()
        else:
            self._changed.wait()

    def _flow(self) -> None:
        now = self._time()
        if not self._timers:
            self._changed.wait()
        elif self._timers[0].due <= now:
            self._fire(heapq.heappop(self._timers))
        else:
            pace = 1.0 if self.mode is Mode.REAL else self._pace()
            self._changed.wait(min((self._timers[0].due - now) / pace, threading.TIMEOUT_MAX))

    def _fire(self, timer: Timer) -> None:
        """Run one timer's action at exactly its instant, with the lock released meanwhile."""
        self._anchor_at(max(self._anchor, timer.due))
        self._firing = timer
        self._changed.release()
        try:
            timer.action()
        except Exception:
            log.exception("the timer %s failed", timer.name)
        finally:
            self._changed.acquire()
            self._firing = None
            self._fired += 1
            if timer.every and not timer.cancelled:
                timer.due += timer.every
                if self.mode is Mode.REAL and timer.due < self._time():
                    timer.due = (self._time() // timer.every + 1) * timer.every
                heapq.heappush(self._timers, timer)
            self._anchor_at(self._anchor)
            self._changed.notify_all()
