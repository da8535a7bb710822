"""The guardian: a small process of its own that starts the containers and ends them when the server is gone.

Why not start them from the server: a death signal (PR_SET_PDEATHSIG) follows the *thread* that forked, forking a large
threaded process is slow and unsafe, and a server ended with SIGKILL can end nothing. The guardian has one thread and no
dependencies. It is in a session of its own, so what hits the server's process group does not hit it. When the server's
end of the socket closes, it kills every container with all that container started, and exits. Should the guardian
itself be killed, each container's death signal fires, and the server ends what those had started.

One JSON object per packet: it is told `start` (with the log pipe's descriptor) and `signal`; it answers `started`,
`failed`, `exited`. Every process carries its container's key in its environment, so that a stray can be recognised.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MARK = "LOCALAWS_CONTAINER"
PACKET = 1 << 20
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LIBC = ctypes.CDLL(None, use_errno=True)


class Guardian:
    """Owns the containers of one server."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._parent = os.getppid()
        self._running: dict[int, tuple[str, list[str]]] = {}  # pid -> container, cleanup command
        self._own = os.getpid()

    def serve(self) -> None:
        """Serve until the server is gone, then end everything."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        events = selectors.DefaultSelector()
        events.register(wake_read, selectors.EVENT_READ)
        events.register(self._server, selectors.EVENT_READ)
        try:
            while os.getppid() == self._parent:
                ready = [key.fileobj for key, _ in events.select(timeout=1.0)]
                if wake_read in ready:
                    os.read(wake_read, 4096)
                self._reap()
                if self._server in ready and not self._receive():
                    return
        except OSError:
            return
        finally:
            self._end_all()

    def _receive(self) -> bool:
        data, descriptors = _receive(self._server)
        if not data:
            return False
        message = json.loads(data)
        match message["do"]:
            case "start":
                self._start(message, descriptors)
            case "signal":
                self._signal(message["container"], message["number"])
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _start(self, message: dict[str, Any], descriptors: list[int]) -> None:
        container = message["container"]

        def before_exec() -> None:
            for number in _DEAF_TO:  # what is ignored here would stay ignored in the container
                signal.signal(number, signal.SIG_DFL)
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self._own:  # the guardian died before the death signal was set
                os._exit(1)

        try:
            child = subprocess.Popen(
                message["argv"],
                env={**message["environment"], MARK: container},
                cwd=message["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=descriptors[0],
                stderr=descriptors[0],
                start_new_session=True,
                preexec_fn=before_exec,  # noqa: PLW1509 - safe: this process has one thread
            )
        except (OSError, subprocess.SubprocessError) as error:
            self._send({"event": "failed", "container": container, "error": str(error)})
            return
        child.returncode = 0  # reaped below with every other child, not by Popen
        self._running[child.pid] = (container, message["cleanup"])
        self._send({"event": "started", "container": container, "pid": child.pid})

    def _signal(self, container: str, number: int) -> None:
        """As docker does: a signal goes to the first process alone, an end to all of them."""
        for pid, (name, _) in self._running.items():
            if name == container:
                with contextlib.suppress(ProcessLookupError):
                    (os.killpg if number == signal.SIGKILL else os.kill)(pid, number)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._running:
                container, cleanup = self._running.pop(pid)
                self._end_rest(pid, container, cleanup)
                code = os.waitstatus_to_exitcode(status)
                self._send({"event": "exited", "container": container, "code": code if code >= 0 else 128 - code})

    def _end_rest(self, pid: int, container: str, cleanup: list[str]) -> None:
        """A container ends with its first process: whatever else it started goes too."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        kill_marked(container, _descendants(self._own))
        if cleanup:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(cleanup, capture_output=True, timeout=30, check=False)

    def _end_all(self) -> None:
        cleanups = [cleanup for _, cleanup in self._running.values() if cleanup]
        for pid in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        for cleanup in cleanups:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(cleanup, capture_output=True, timeout=30, check=False)
        # What left its process group is adopted by us, the subreaper, as its parents die; go on until none is left.
        while children := _children(self._own):
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, 0)

    def _send(self, message: dict[str, object]) -> None:
        with contextlib.suppress(OSError):
            self._server.send(json.dumps(message).encode())


def _receive(server: socket.socket) -> tuple[bytes, list[int]]:
    descriptors = array.array("i")
    size = socket.CMSG_SPACE(4 * descriptors.itemsize)
    data, ancillary, _, _ = server.recvmsg(PACKET, size, socket.MSG_CMSG_CLOEXEC)
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
    return data, list(descriptors)


def kill_marked(container: str, among: Iterable[int]) -> None:
    """SIGKILL to those of the processes that belong to a container (or to all whose key begins like this)."""
    for pid in among:
        if _mark(pid).startswith(container):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):  # one file per thread that forked
        with contextlib.suppress(OSError):
            found += [int(word) for word in listed.read_text().split()]
    return found


def _descendants(pid: int) -> list[int]:
    children = _children(pid)
    return [*children, *(further for child in children for further in _descendants(child))]


def _mark(pid: int) -> str:
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    prefix = f"{MARK}=".encode()
    return next((entry[len(prefix) :].decode() for entry in entries if entry.startswith(prefix)), "")


def main() -> None:
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    with socket.socket(fileno=int(sys.argv[1])) as server:
        server.set_inheritable(False)
        Guardian(server).serve()


if __name__ == "__main__":
    main()
