"""What a worker tells about its work: a JSON object per line on standard output, gathered for a moment first."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

HELD_BYTES = 65_536
_plain = msgspec.json.Encoder().encode


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
        self._lines: list[bytes] = []
        self._held = 0

    def say(self, event: str, **fields: Any) -> None:
        self.line({"time": self._clock(), "event": event, **fields})

    def line(self, fields: Mapping[str, Any] | msgspec.Struct) -> None:
        line = _plain(fields)
        first = not self._lines
        self._lines.append(line)
        self._held += len(line)
        if self._later is None or self._held > HELD_BYTES:
            self.flush()
        elif first:
            self._later(self.flush)

    def flush(self) -> None:
        if self._lines:
            self._lines.append(b"")
            gathered = b"\n".join(self._lines)
            self._lines, self._held = list[bytes](), 0
            self._write(gathered)


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
