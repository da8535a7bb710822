"""The container's first process: it opens the port, starts a worker per core, replaces one that dies, and ends them.

It uses nothing but the standard library, so it is small, and each worker starts from a clean copy of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from inference.board import Board, Field
from inference.settings import Settings

GRACE_SECONDS = 2.0  # beyond the workers' own drain time
SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM}
ATTACH_FILTER = 26  # SO_ATTACH_FILTER, which Python does not name
BACKLOG = 2048


Mask = set[int | signal.Signals]


@dataclass(slots=True)
class Supervisor:
    """The workers that run, by process id."""

    settings: Settings
    board: Board
    listener: socket.socket
    folder: Path
    lifeline: tuple[int, int] = field(default_factory=os.pipe)
    workers: dict[int, int] = field(default_factory=dict)
    draining: bool = False
    failed: bool = False

    def run(self) -> int:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        host, port = self.listener.getsockname()[:2]
        say("listening", host=host, port=port, workers=self.settings.workers, pid=os.getpid())
        for number in range(self.settings.workers):
            self._start(number, before)
        while self.workers:
            arrived = signal.sigwait(SIGNALS)
            if arrived == signal.SIGCHLD:
                self._reap(before)
            elif arrived == signal.SIGALRM:
                self._end_now()
            elif not self.draining:
                self._drain()
        say("stopped", failed=self.failed)
        return 1 if self.failed else 0

    def _start(self, number: int, mask: Mask) -> None:
        pid = os.fork()
        if pid:
            self.workers[pid] = number
            return
        code = 1
        try:
            os.close(self.lifeline[1])
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            from inference.worker import run  # only here: the supervisor never loads what workers need

            code = run(
                self.settings,
                self.board,
                number,
                listener=self.listener,
                lifeline=self.lifeline[0],
                folder=self.folder,
            )
        except BaseException as problem:  # noqa: BLE001 - this process ends here, and says why
            sys.excepthook(type(problem), problem, problem.__traceback__)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _reap(self, mask: Mask) -> None:
        """Take note of every worker that ended; start another unless we drain or it never came to serve."""
        while self.workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self.workers.pop(pid, None)
            if number is None:
                continue
            was_ready = self.board.get(number, Field.READY) == 1
            self.board.clear(number)
            if self.draining:
                continue
            say("worker_died", worker=number, pid=pid, exit_code=os.waitstatus_to_exitcode(status), served=was_ready)
            if was_ready:
                self._start(number, mask)
            else:
                self.failed = True
                self._drain()

    def _drain(self) -> None:
        self.draining = True
        self.board.drain()
        say("draining", seconds=self.settings.drain_seconds)
        refuse_new_connections(self.listener)
        self._signal(signal.SIGTERM)
        self.listener.close()
        signal.setitimer(signal.ITIMER_REAL, self.settings.drain_seconds + GRACE_SECONDS)

    def _end_now(self) -> None:
        say("drained_too_slowly", workers=len(self.workers))
        self._signal(signal.SIGKILL)

    def _signal(self, which: signal.Signals) -> None:
        for pid in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)


def serve(settings: Settings) -> int:
    """Serve until told to stop; the exit code says whether the workers could start."""
    with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
        listener = listen(settings.host, settings.port)
        return Supervisor(settings, Board(settings.workers), listener, Path(folder)).run()


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.set_inheritable(True)
    return listener


def refuse_new_connections(listener: socket.socket) -> None:
    """Have the kernel drop what would begin a connection, while those it has begun are still taken in.

    Without this, a connection made between a worker's last look and its close would be reset, and its request lost.
    The client asks again a second later, finds the port closed, and goes elsewhere.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    # Berkeley packet filter over the TCP header: flags byte, keep SYN and ACK, drop if only SYN is set.
    steps = [(0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, struct.pack("HL", len(steps), ctypes.addressof(program)))


def say(event: str, **fields: object) -> None:
    """A line of the log, before and after there are workers to write one."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"
    sys.stdout.write(json.dumps({"time": stamp, "event": event, **fields}) + "\n")
    sys.stdout.flush()
