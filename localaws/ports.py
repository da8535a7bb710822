"""What the embedded AWS needs from outside itself: a clock, and a way to run a container's program."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """The time every resource, schedule, bake and period follows; seconds since 1970."""

    def now(self) -> float: ...

    def call_at(self, when: float, action: Callable[[], None]) -> Callable[[], None]:
        """Do `action` when the clock reaches `when`, on a thread of the clock; what comes back cancels it."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the calling thread until the clock moved on by so many of its own seconds."""
        ...


@dataclass(frozen=True)
class RunSpec:
    """One process of a container: what to run, with what, in which folder (which stands for `/opt/ml`)."""

    name: str  # for logs and thread names: "training-job/churn-1/algo-1"
    image: str  # an image URI; its last path segment names the Dockerfile's folder
    folder: Path  # becomes /opt/ml (mounted there, or passed as SAGEMAKER_BASE_DIR)
    arguments: tuple[str, ...] = ()  # "train", "serve", or what the request gave
    entrypoint: tuple[str, ...] = ()  # replaces the image's own when not empty
    environment: Mapping[str, str] = field(default_factory=dict)
    isolated: bool = False  # EnableNetworkIsolation


class Running(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int: ...

    def lines(self) -> Iterator[str]:
        """What it prints (both streams), line by line, until it ends."""
        ...

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, or None when it still runs after `timeout` real seconds."""
        ...

    def terminate(self, grace: float) -> int:
        """SIGTERM to its process group, SIGKILL after `grace` real seconds; the exit code."""
        ...


class Runner(Protocol):
    """Starts containers' programs. A spec that cannot start raises `RunError` with the reason."""

    def run(self, spec: RunSpec) -> Running: ...


class RunError(Exception):
    """A program could not be started: no such image here, no interpreter, a broken Dockerfile."""


class WallClock:
    """The machine's own time, for when no other clock is given; it cannot be moved."""

    def now(self) -> float:
        return time.time()

    def call_at(self, when: float, action: Callable[[], None]) -> Callable[[], None]:
        import threading

        timer = threading.Timer(max(0.0, when - self.now()), action)
        timer.daemon = True
        timer.start()
        return timer.cancel

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
