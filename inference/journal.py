"""What a worker tells about its work: a JSON object per line on standard output, gathered for a moment first."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

HELD_LINES = 64
_to_lines = msgspec.json.Encoder().encode_lines
Fields = Mapping[str, Any] | msgspec.Struct


class Journal:
    """Lines for a log; `later` is asked to call `flush` when a first line waits."""

    def __init__(
        self,
        write: Callable[[bytes], object] | None = None,
        later: Callable[[Callable[[], None]], object] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._write = write or _to_standard_output
        self._later = later
        self._clock = clock
        self._lines: list[Fields | Callable[[], Fields]] = []

    def say(self, event: str, **fields: Any) -> None:
        self.line({"time": self._clock(), "event": event, **fields})

    def line(self, fields: Fields | Callable[[], Fields]) -> None:
        """Tell a line, or what will make it when it is written."""
        self._lines.append(fields)
        held = len(self._lines)
        if self._later is None or held >= HELD_LINES:
            self.flush()
        elif held == 1:
            self._later(self.flush)

    def flush(self) -> None:
        if self._lines:
            lines = [each() if callable(each) else each for each in self._lines]
            self._lines.clear()
            self._write(_to_lines(lines))


def _to_standard_output(content: bytes) -> None:
    """Write all of it; a log that nobody reads any more must not stop the serving."""
    view = memoryview(content)
    while view:
        try:
            view = view[os.write(sys.stdout.fileno(), view) :]
        except BlockingIOError:
            continue
        except OSError:
            return
