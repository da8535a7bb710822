"""The embedded AWS as a service of this repository: start it, find it, stop it, wipe it.

It runs as a process of its own and is reached over HTTP only. What it needs to be found again stands in one folder
(`.slipway/local`): the ready file it writes itself, its log and its state. A ready file whose process is gone means
that it was killed; starting again picks up its state.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

START_SECONDS = 30.0
STOP_SECONDS = 20.0
PORT_SECONDS = 2.0
POLL_SECONDS = 0.05
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Of no authority: it speaks plain HTTP, and to read all certificates takes longer than its answer."""


class LocalError(Exception):
    """The embedded AWS cannot be started, found or stopped; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where it answers, and as which process."""

    url: str
    pid: int


@dataclass(frozen=True, slots=True)
class LocalCloud:
    """The embedded AWS kept in one folder, serving the containers of one repository."""

    folder: Path
    containers: Path
    interpreter: str | None = None  # one Python for all containers, instead of an environment per lock

    @property
    def ready_file(self) -> Path:
        return self.folder / "ready.json"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def find(self) -> Running | None:
        """The running one, or nothing: never started, stopped, or killed."""
        try:
            found = Running(**json.loads(self.ready_file.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return found if alive(found.pid) and answers(found.url) else None

    def start(self, *, clock: str = "real", port: int | None = None) -> Running:
        """Start it unless it runs already; return where it answers."""
        with self.alone():
            found = self.find()
            return found if found is not None else self.launch(clock, self.port_before() if port is None else port)

    def stop(self) -> bool:
        """End it and everything it started; false when it did not run."""
        with self.alone():
            found = self.find()
            if found is None:
                self.ready_file.unlink(missing_ok=True)
                return False
            os.kill(found.pid, signal.SIGTERM)
            if not until(lambda: not alive(found.pid), STOP_SECONDS):
                os.kill(found.pid, signal.SIGKILL)
                until(lambda: not alive(found.pid), STOP_SECONDS)
            self.ready_file.unlink(missing_ok=True)
            return True

    def reset(self) -> None:
        """Stop it and forget all it holds."""
        self.stop()
        for name in ("state", "work"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def launch(self, clock: str, port: int) -> Running:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "localaws", "--port", str(port), "--clock", clock]
        command += ["--containers", str(self.containers), "--state", str(self.folder / "state")]
        command += ["--work", str(self.folder / "work"), "--ready-file", str(self.ready_file)]
        command += ["--interpreter", self.interpreter] if self.interpreter else []
        pid = spawn(command, self.log, self.containers)
        if until(lambda: self.ready_file.exists() or not alive(pid), START_SECONDS) and alive(pid):
            return Running(**json.loads(self.ready_file.read_text()))
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
        raise LocalError(
            f"the embedded AWS did not start. The end of {self.log}:\n{self.log_end()}\n"
            "If the port is taken, give another with --port; if its state is broken, `slipway local reset` forgets it."
        )

    def log_end(self, lines: int = 12) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def port_before(self) -> int:
        """The port it had last time when that is free, so that addresses people kept go on working; else any."""
        remembered = self.folder / "port"
        port = int(remembered.read_text()) if remembered.exists() else free_port()
        # A killed process lets go of its port a moment after it is gone.
        if not until(lambda: is_free(port), PORT_SECONDS):
            port = free_port()
        self.folder.mkdir(parents=True, exist_ok=True)
        remembered.write_text(str(port))
        return port

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One start or stop at a time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / "lock", timeout=START_SECONDS + STOP_SECONDS):
                yield
        except Timeout:
            raise LocalError(
                f"another command is starting or stopping the embedded AWS in {self.folder}; wait for it."
            ) from None


def spawn(command: list[str], log: Path, containers: Path) -> int:
    """Start a process that outlives this one, in a session of its own, its output appended to the log."""
    environment = os.environ | {"PYTHONPATH": str(containers)}
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(command[0], command, environment, file_actions=actions, setsid=True)


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and waits to be collected does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")
    except (ProcessLookupError, FileNotFoundError):
        return False


def answers(url: str) -> bool:
    try:
        return clock_of(url).status_code < 500
    except httpx.HTTPError:
        return False


def clock_of(url: str) -> httpx.Response:
    """What the embedded AWS there says of its clock."""
    return httpx.get(f"{url}/_localaws/clock", timeout=5, verify=PLAIN)


def until(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait in small steps until it holds; false when the time is over."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
