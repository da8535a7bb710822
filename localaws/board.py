"""The jobs that run now, and how others reach them: to stop one, or to tell it that its machine is gone."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Exited:
    """All hosts ended by themselves."""

    codes: tuple[int, ...]


@dataclass(frozen=True)
class Ended:
    """Hosts were ended from outside: "stop", "timeout" or "interrupt"."""

    why: str


class Live:
    """A job that runs now: what it was asked, and what happened to the hosts of its present run."""

    def __init__(self) -> None:
        self.asked: str | None = None
        self.done = threading.Event()
        self.happenings: queue.Queue[Ended | int] = queue.Queue()
        self._lock = threading.Lock()

    def fresh(self) -> queue.Queue[Ended | int]:
        """A new run begins: forget the exits of the one before, but not what was asked."""
        with self._lock:
            self.happenings = queue.Queue()
            if self.asked:
                self.happenings.put(Ended(self.asked))
            return self.happenings

    def resume(self) -> None:
        """An interruption is over."""
        with self._lock:
            self.asked = None if self.asked == "interrupt" else self.asked

    def ask(self, what: str) -> None:
        """Ask it to "stop", or tell it that its host is gone ("interrupt")."""
        with self._lock:
            self.asked = what if what == "stop" else self.asked or what
            self.happenings.put(Ended(what))


class Board:
    """The jobs that run now, by ARN."""

    def __init__(self) -> None:
        self._live: dict[str, Live] = {}
        self._lock = threading.Lock()

    def open(self, arn: str) -> Live:
        with self._lock:
            return self._live.setdefault(arn, Live())

    def get(self, arn: str) -> Live | None:
        return self._live.get(arn)

    def close(self, arn: str) -> None:
        with self._lock:
            live = self._live.pop(arn, None)
        if live:
            live.done.set()

    def running(self) -> list[str]:
        with self._lock:
            return list(self._live)
