"""One run at a time per environment; who comes second is told who holds it."""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from delivery.engine.errors import LockedError
from delivery.engine.machine import Workplace


@contextmanager
def alone(workplace: Workplace, doing: str) -> Iterator[None]:
    """Hold the environment while doing something to it; a process that dies lets go."""
    workplace.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(workplace.lock, timeout=0)
    try:
        with lock:
            workplace.holder.write_text(json.dumps(me(doing)))
            try:
                yield
            finally:
                workplace.holder.unlink(missing_ok=True)
    except Timeout:
        raise LockedError(
            f"environment '{workplace.environment}' is in use by {holder(workplace)}. "
            "Nothing was changed. Wait until it is done, then try again; if that process hangs, end it first."
        ) from None


def me(doing: str) -> dict[str, str | int]:
    return {
        "doing": doing,
        "who": f"{getpass.getuser()}@{socket.gethostname()}",
        "pid": os.getpid(),
        "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }


def holder(workplace: Workplace) -> str:
    try:
        found = json.loads(workplace.holder.read_text())
    except (OSError, ValueError):
        return "another slipway command"
    return f"`slipway {found['doing']}` of {found['who']}, process {found['pid']}, since {found['since']}"
