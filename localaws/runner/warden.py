"""The server's side of the guardian: starts it, speaks to it, and turns its packets into running containers."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localaws.ports import RunError
from localaws.runner.backends import Command
from localaws.runner.guardian import PACKET, kill_marked

_GUARDIAN = Path(__file__).with_name("guardian.py")
_START_TIMEOUT = 30.0
SWEEPS, PAUSE = 4, 0.1  # further looks for what a killed guardian left, and real seconds before each
_KILLED = 128 + signal.SIGKILL


class Started:
    """One container as the server sees it."""

    def __init__(self, warden: Warden, key: str, name: str, base: str, log: int) -> None:
        self._warden = warden
        self._log = log
        self.key = key
        self.name = name
        self.base = base
        self.pid = 0
        self.exit_code: int | None = None
        self.error = ""
        self.answered = threading.Event()
        self.gone = threading.Event()

    def lines(self) -> Iterator[str]:
        with os.fdopen(self._log, encoding="utf-8", errors="replace", newline="\n") as log:
            for line in log:
                yield line.rstrip("\r\n")

    def wait(self, timeout: float | None = None) -> int | None:
        return self.exit_code if self.gone.wait(timeout) else None

    def terminate(self, grace: float) -> int:
        if not self.gone.is_set():
            self._warden.signal(self.key, signal.SIGTERM)
            if not self.gone.wait(grace):
                self._warden.signal(self.key, signal.SIGKILL)
        self.gone.wait()
        return _KILLED if self.exit_code is None else self.exit_code

    def ended(self, exit_code: int) -> None:
        self.exit_code = exit_code
        self.gone.set()
        self.answered.set()

    def failed(self, error: str) -> None:
        self.error = error
        self.ended(_KILLED)


class Warden:
    """Starts containers through one guardian process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PACKET)
        self._socket = ours
        with theirs:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARDIAN), str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
        self._mark = uuid.uuid4().hex
        self._numbers = itertools.count(1)
        self._containers: dict[str, Started] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._listener = threading.Thread(target=self._listen, name="guardian", daemon=True)
        self._listener.start()

    @property
    def guardian_pid(self) -> int:
        return self._guardian.pid

    @property
    def lost(self) -> bool:
        """Whether its guardian is gone."""
        return self._closed

    def start(self, name: str, command: Command) -> Started:
        read, write = os.pipe2(os.O_CLOEXEC)
        container = Started(self, f"{self._mark}.{next(self._numbers)}.", name, command.base, read)
        try:
            self._ask(container, command, write)
        except RunError:
            os.close(read)
            raise
        finally:
            os.close(write)
        return container

    def _ask(self, container: Started, command: Command, log: int) -> None:
        with self._lock:
            if self._closed:
                raise RunError(f"'{container.name}' was not started: the runner is closed.")
            self._containers[container.key] = container
        message = {
            "do": "start",
            "container": container.key,
            "argv": command.argv,
            "environment": dict(command.environment),
            "cwd": str(command.cwd),
            "cleanup": command.cleanup,
        }
        try:
            socket.send_fds(self._socket, [json.dumps(message).encode()], [log])
        except OSError as error:
            raise RunError(f"'{container.name}' was not started: cannot reach the guardian ({error}).") from error
        if not container.answered.wait(_START_TIMEOUT) or container.error:
            raise RunError(f"'{container.name}' was not started: {container.error or 'the guardian did not answer'}.")

    def signal(self, key: str, number: int) -> None:
        with contextlib.suppress(OSError):  # the guardian is gone, so the containers are
            self._socket.send(json.dumps({"do": "signal", "container": key, "number": int(number)}).encode())

    def close(self) -> None:
        """Close our end: the guardian ends every container and exits."""
        with self._lock:
            self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._guardian.wait()
        self._listener.join()
        self._socket.close()

    def _listen(self) -> None:
        while data := self._next():
            self._heard(json.loads(data))
        with self._lock:
            lost = not self._closed
            self._closed = True
            left = list(self._containers.values())
        self._sweep()
        for _ in range(SWEEPS if lost else 0):
            time.sleep(PAUSE)
            self._sweep()
        for container in left:
            container.failed("the guardian process is gone")

    def _sweep(self) -> None:
        """End what containers had started: if the guardian was killed they died with it, but that may not have.

        What was just starting shows no environment for a moment, so after a kill one look is not enough.
        """
        kill_marked(self._mark, [int(path.name) for path in Path("/proc").glob("[0-9]*")])

    def _next(self) -> bytes:
        try:
            return self._socket.recv(PACKET)
        except OSError:
            return b""

    def _heard(self, message: dict[str, Any]) -> None:
        with self._lock:
            container = self._containers[message["container"]]
            if message["event"] != "started":
                del self._containers[container.key]
        match message["event"]:
            case "started":
                container.pid = message["pid"]
                container.answered.set()
            case "failed":
                container.failed(message["error"])
            case "exited":
                container.ended(message["code"])
