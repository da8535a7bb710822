"""What every service of the embedded AWS is given: settings, store, clock, runner, clients, and the gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from localaws.aws import Clients
from localaws.board import Board
from localaws.clock import Clock
from localaws.events.courier import Courier
from localaws.faults.processes import Processes
from localaws.gateway import Gateway
from localaws.store import Store
from localaws.watch import Watch


class SettingsError(Exception):
    """Two settings that do not go together; the text says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """How one embedded AWS is started; read once, at the edge."""

    containers: Path  # the root that image names and `-r requirements/...` are read below
    work: Path  # scratch: job folders, model copies; emptied at start
    state: Path | None = None  # where resources survive a restart; None keeps them in memory
    host: str = "127.0.0.1"
    port: int = 0
    clock: str = "real"  # or scaled:FACTOR, stepped, stepped:INSTANT
    interpreter: str | None = None  # run containers with this Python instead of making their environments
    backend: str | None = None  # docker, namespace or process; None takes the best one that works here
    behind: str | None = None  # URL of another AWS (LocalStack, moto) for what is not ours
    enforce_iam: bool = False

    def __post_init__(self) -> None:
        if self.behind and self.enforce_iam:
            raise SettingsError(
                f"Permissions cannot be enforced with {self.behind} behind: its roles and policies are not kept here. "
                "Leave --enforce-iam out, or leave --behind out and let moto answer in this process."
            )


@dataclass
class Plane:
    """The parts of one embedded AWS, wired once in `app.compose`."""

    settings: Settings
    store: Store
    clock: Clock
    runner: Processes
    gateway: Gateway
    clients: Clients
    url: str
    watch: Watch  # metrics and alarm states
    courier: Courier  # events to EventBridge
    board: Board = field(default_factory=Board)  # the jobs that run now
    closers: list[Callable[[], None]] = field(default_factory=list)
