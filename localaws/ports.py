"""What the embedded AWS needs from outside itself: a way to run a container's program, and the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from localaws.clock import Clock


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
    port: int | None = None  # the loopback port a server must listen on; None for a job


class Running(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int: ...

    @property
    def base(self) -> str:
        """Where the program itself finds its folder: `/opt/ml`, or what SAGEMAKER_BASE_DIR says."""
        ...

    def lines(self) -> Iterator[str]:
        """What it prints (both streams), line by line, until it ends; to be read once, or it blocks on a full pipe."""
        ...

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code (128 + n when signal n ended it), or None when it still runs after `timeout` real seconds."""
        ...

    def terminate(self, grace: float) -> int:
        """SIGTERM to its first process, SIGKILL to all of them after `grace` real seconds; the exit code."""
        ...


class Runner(Protocol):
    """Starts containers' programs. A spec that cannot start raises `RunError` with the reason."""

    def run(self, spec: RunSpec) -> Running: ...

    def program(self, name: str, argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> Running:
        """Start a program of this machine that is no container's, in a folder; it ends with the server too."""
        ...


class RunError(Exception):
    """A program could not be started: no such image here, no interpreter, a broken Dockerfile."""


__all__ = ["Clock", "RunError", "RunSpec", "Runner", "Running"]
