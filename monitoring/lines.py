"""Capture lines as columns: a whole file read at once by duckdb, the fastest reader there is, or nothing.

It refuses a file over one bad line. What it reads is what the careful reader of `capture.py` would have read.
"""

from __future__ import annotations

import atexit
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

LEAST = 1 << 20  # bytes; for a smaller file it takes longer to ask than to read
GLOB = re.compile(r"[*?\[\]{}]")  # what duckdb reads as a pattern in a path

_QUERY = """
    SELECT captureData.endpointInput.data AS given, captureData.endpointInput.encoding AS given_as,
           captureData.endpointOutput.data AS told, captureData.endpointOutput.encoding AS told_as,
           eventMetadata.eventId AS event, eventMetadata.inferenceTime AS time, eventMetadata.inferenceId AS inference,
           eventVersion AS version
    FROM read_json($path, format = 'newline_delimited', compression = 'uncompressed', columns = {
        'captureData': 'STRUCT(endpointInput STRUCT(data VARCHAR, encoding VARCHAR),
                               endpointOutput STRUCT(data VARCHAR, encoding VARCHAR))',
        'eventMetadata': 'STRUCT(eventId VARCHAR, inferenceTime VARCHAR, inferenceId VARCHAR)',
        'eventVersion': 'VARCHAR'
    })
"""
_OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


@dataclass(frozen=True, slots=True)
class Side:
    """What was sent, or what was answered: payloads, and how each is encoded; null where it was not captured."""

    data: pl.Series
    encoding: pl.Series

    @classmethod
    def of(cls, data: Sequence[str | None], encoding: Sequence[str | None]) -> Side:
        return cls(pl.Series(data, dtype=pl.String), pl.Series(encoding, dtype=pl.String))

    @property
    def is_absent(self) -> bool:
        return self.data.null_count() == len(self.data)

    def are(self, encoding: str) -> bool:
        """Whether all payloads are there, in that encoding."""
        return not self.data.null_count() and self.encoding.unique().to_list() == [encoding]


@dataclass(frozen=True, slots=True)
class Lines:
    """The records of a file, column by column."""

    given: Side
    told: Side
    event: pl.Series
    time: pl.Series
    inference: pl.Series

    def __len__(self) -> int:
        return len(self.event)

    def where(self, kept: pl.Series) -> Lines:
        given, told = (Side(side.data.filter(kept), side.encoding.filter(kept)) for side in (self.given, self.told))
        return Lines(given, told, self.event.filter(kept), self.time.filter(kept), self.inference.filter(kept))


@dataclass(frozen=True, slots=True)
class _Stream:
    """A relation as a stream of Arrow; polars remembers types it meets, and duckdb's must not outlive its module."""

    relation: Any

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.relation.__arrow_c_stream__(requested_schema)


def read_at_once(content: Path | bytes, version: str) -> Lines | None:
    """The records of a large text; nothing when it is small, or when anything about a line is odd."""
    if isinstance(content, Path):
        is_large = content.stat().st_size >= LEAST
        return _read_file(content, version) if is_large and not GLOB.search(str(content)) else None
    if len(content) < LEAST:
        return None
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as place:
        place.write(content)
        place.flush()
        return _read_file(Path(place.name), version)


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    """Opened once: that takes as long as reading a few megabytes. Let go before duckdb's own module is."""
    atexit.register(_connection.cache_clear)
    return duckdb.connect(config={**_OFFLINE, "threads": pl.thread_pool_size()})


def _read_file(path: Path, version: str) -> Lines | None:
    try:
        with _connection().cursor() as cursor:
            found = pl.DataFrame(_Stream(cursor.sql(_QUERY, params={"path": str(path)})))
    except (duckdb.Error, pl.exceptions.PolarsError):
        return None
    if found["event"].null_count() or found["time"].null_count() or (found["version"] != version).any():
        return None
    given, told = Side(found["given"], found["given_as"]), Side(found["told"], found["told_as"])
    return Lines(given, told, found["event"], found["time"], found["inference"])
