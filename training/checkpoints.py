"""What a run keeps so that the same run, started again, goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

FILE = "fit.checkpoint"
MOMENT = 0.01  # seconds


class StoppedError(BaseException):
    """SIGTERM came: the machine is being taken away. Not an Exception, so nothing on the way takes it for a fault."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Within this, SIGTERM ends the work at once; what was kept is whole, because keeping is a rename.

    Where nothing may be raised, in a `__del__` or in what C called, Python drops what is: it is raised anew after that.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise StoppedError

    def dropped(what: sys.UnraisableHookArgs) -> None:
        if what.exc_type is StoppedError:
            signal.setitimer(signal.ITIMER_REAL, MOMENT)
        else:
            hook(what)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGALRM)}
    hook, sys.unraisablehook = sys.unraisablehook, dropped
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def key_of(**parts: object) -> str:
    """What makes a run the same run: everything that could change its result."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class FileJournal:
    """Keeps the last state of a fit in a folder that outlives the machine, and prints its progress as metric lines."""

    folder: Path
    key: str
    say: Callable[[str], None] = print

    def resume(self) -> bytes | None:
        """The kept state, if it is whole and of this same run."""
        path = self.folder / FILE
        if not path.is_file():
            return None
        head, _, state = path.read_bytes().partition(b"\n")
        kept = _read_head(head)
        if kept.get("sha256") != hashlib.sha256(state).hexdigest():
            self.say("checkpoint: damaged, and left aside; the fit begins anew")
            return None
        if kept.get("key") != self.key:
            self.say("checkpoint: of another run (other data, code or settings), and left aside")
            return None
        self.say(f"checkpoint: going on after {kept['done']} of {kept['of']}")
        return state

    def checkpoint(self, done: int, of: int, state: Callable[[], bytes], scores: Mapping[str, float]) -> None:
        content = state()
        head = {"key": self.key, "done": done, "of": of, "sha256": hashlib.sha256(content).hexdigest()}
        write_whole(self.folder / FILE, json.dumps(head).encode() + b"\n" + content)
        lines = " ".join(f"train_{name}={value:.8g}" for name, value in scores.items())
        self.say(f"checkpoint: kept {done} of {of} {lines}".rstrip())

    def clear(self) -> None:
        (self.folder / FILE).unlink(missing_ok=True)


def _read_head(head: bytes) -> dict[str, Any]:
    try:
        kept = json.loads(head)
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that whoever reads it, whenever the machine went away, finds all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
