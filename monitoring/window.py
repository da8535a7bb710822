"""The records between two instants, read in shards and counted: any sharding gives the same window."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import polars as pl

from contract.records import Column, RecordError
from monitoring.baseline import Baseline
from monitoring.capture import Reader, Span, Tally, reach_of, unpacked
from monitoring.layout import Layout, as_numbers, numbers
from monitoring.profile import Profile, ProfileError, count
from monitoring.repeats import Repeats, hashes_of_rows
from monitoring.storage import Folder
from monitoring.table import Format, TableError, format_of, frames, readable

FLUSH = 1 << 16  # rows that are collected from small files before they are counted
VERSION = 1


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows where one column has one value."""

    column: str
    value: str

    @classmethod
    def from_text(cls, text: str) -> Self:
        column, equals, value = text.partition("=")
        if not equals or not column:
            raise RecordError(f"slice '{text}': expected COLUMN=VALUE, such as region=eu")
        return cls(column, value)

    def __str__(self) -> str:
        return f"{self.column}={self.value}"

    @property
    def folder(self) -> str:
        """A name for what is kept of the slice: no part of it is a path."""
        return f"{quote(self.column, safe='')}={quote(self.value, safe='')}"

    def of(self, frame: pl.DataFrame, columns: Sequence[Column] = ()) -> pl.DataFrame:
        """The rows that have the value; a number is compared as one, so that 40 is 40.0."""
        if self.column not in frame.columns:
            raise RecordError(f"slice column '{self.column}' is not among {', '.join(frame.columns)}")
        given = frame[self.column]
        named = next((column for column in columns if column.name == self.column), None)
        if not given.dtype.is_numeric() and (named is None or named.is_category):
            return frame.filter(given.cast(pl.String) == self.value)
        wanted = as_numbers(pl.Series([self.value]))[0]
        if wanted is None:
            raise RecordError(f"slice '{self}': '{self.column}' holds numbers, and '{self.value}' is none")
        return frame.filter(pl.Series(numbers(given)) == wanted)


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen between two instants."""

    profile: Profile
    tally: Tally
    span: Span = field(default_factory=Span)
    where: Slice | None = None
    rows: Repeats | None = None  # the inputs of captured rows; of tables it is not counted how often they repeat

    def merge(self, other: Window) -> Window:
        tally = Tally()
        tally.merge(self.tally)
        tally.merge(other.tally)
        return Window(self.profile.merge(other.profile), tally, self.span, self.where, _both(self.rows, other.rows))

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "since": self.span.since.isoformat() if self.span.since else None,
            "until": self.span.until.isoformat() if self.span.until else None,
            "slice": str(self.where) if self.where else None,
            "tally": self.tally.to_json(),
            "rows": self.rows.to_json() if self.rows else None,
            "profile": self.profile.to_json(),
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any], layout: Layout) -> Self:
        if given.get("version") != VERSION:
            raise ProfileError(f"a window of version {given.get('version')!r}; this program reads version {VERSION}")
        times = [datetime.fromisoformat(given[name]) if given.get(name) else None for name in ("since", "until")]
        where = Slice.from_text(given["slice"]) if given.get("slice") else None
        profile, tally = Profile.from_json(given["profile"], layout), Tally.from_json(given["tally"])
        return cls(profile, tally, Span(*times), where, Repeats.from_json(given["rows"]) if given.get("rows") else None)


def _both(one: Repeats | None, other: Repeats | None) -> Repeats | None:
    return one.merge(other) if one is not None and other is not None else None


@dataclass(frozen=True)
class Source:
    """Where a window's files are and how they are read."""

    folder: Folder
    format: Format = "capture"
    where: Slice | None = None

    def rows_of(self, name: str, reader: Reader, tally: Tally) -> Iterator[pl.DataFrame]:
        if self.format == "capture":
            yield self._sliced(reader.read(self.folder.content(name), name, tally).frame, reader)
            return
        tally.files += 1
        with self.folder.on_disk(name) as path:
            for frame in _frames(path, name, format_of(name, self.format), tally):
                tally.records += frame.height
                known = {column.name for column in (*reader.inputs, *reader.outputs)}
                tally.extra.update({column: frame.height for column in frame.columns if column not in known})
                tally.absent.update({c.name: frame.height for c in reader.inputs if c.name not in frame.columns})
                yield self._sliced(frame, reader)

    def _sliced(self, frame: pl.DataFrame, reader: Reader) -> pl.DataFrame:
        return frame if self.where is None else self.where.of(frame, (*reader.inputs, *reader.outputs))


def _frames(path: Path, name: str, kind: Format, tally: Tally) -> Iterator[pl.DataFrame]:
    """The rows of a table; of one that is damaged, those that can be had."""
    done = 0
    try:
        for frame in frames(path, kind):
            done += frame.height
            yield frame
    except TableError as problem:
        try:
            yield from _salvaged(path, name, kind, tally, done)
        except TableError:
            tally.damaged += 1
            tally.refuse(name, 0, str(problem), b"")


def _salvaged(path: Path, name: str, kind: Format, tally: Tally, done: int) -> Iterator[pl.DataFrame]:
    """The rows of a damaged text after those that were read already, one line at a time."""
    if kind == "parquet":
        raise TableError(f"{name}: of a damaged Parquet file nothing can be read")

    def refuse(line: int, reason: str, text: bytes) -> None:
        tally.records += 1
        tally.refuse(name, line, reason, text)

    with tempfile.TemporaryDirectory() as folder:
        good = Path(folder) / Path(name).name.removesuffix(".gz")
        good.write_bytes(readable(unpacked(path.read_bytes(), name, tally), kind, refuse))
        for frame in frames(good, kind):
            yield frame.slice(done)
            done = max(done - frame.height, 0)
    tally.carefully += 1


def files_of(names: Iterable[str], span: Span, variant: str | None = None) -> list[str]:
    """The files that may hold records of the span: by the hour in their path, when there is one."""
    return [name for name in names if _may_hold(name, span) and (variant is None or f"/{variant}/" in f"/{name}")]


def _may_hold(name: str, span: Span) -> bool:
    if name.rsplit("/", 1)[-1].startswith("."):
        return False
    reach = reach_of(name)
    return reach is None or reach.meets(span)


def shard(names: Sequence[str], number: int, of: int) -> list[str]:
    """One of several shares of the files."""
    return list(names[number::of])


def read(source: Source, names: Sequence[str], baseline: Baseline, span: Span, processes: int = 1) -> Window:
    """The window of those files; with several processes each reads its own share of them."""
    if processes <= 1 or len(names) < 2:
        return _read_share(source, names, baseline, span)
    shares = [shard(names, number, processes) for number in range(min(processes, len(names)))]
    content = baseline.to_bytes()
    with ProcessPoolExecutor(len(shares), mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(_read_elsewhere, source, share, content, span) for share in shares]
        parts = [Window.from_json(task.result(), baseline.layout) for task in tasks]
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return replace(total, span=span)


def _read_elsewhere(source: Source, names: Sequence[str], baseline: bytes, span: Span) -> dict[str, Any]:
    return _read_share(source, names, Baseline.from_bytes(baseline), span, threads=1).to_json()


def _read_share(
    source: Source, names: Sequence[str], baseline: Baseline, span: Span, threads: int | None = None
) -> Window:
    reader, tally = Reader(baseline.schema, span), Tally()
    counts = _Counts(baseline, threads, Repeats() if source.format == "capture" else None)
    held = list[pl.DataFrame]()
    for name in names:
        for frame in source.rows_of(name, reader, tally):
            if held and held[0].schema != frame.schema:
                counts.add(held)
            if frame.height:
                held.append(frame)
            del frame  # or it would still be there while the next is read
            if sum(each.height for each in held) >= FLUSH:
                counts.add(held)
    counts.add(held)
    return Window(counts.profile, tally, span, source.where, counts.rows)


class _Counts:
    """What is kept of the rows of a share."""

    def __init__(self, baseline: Baseline, threads: int | None, rows: Repeats | None) -> None:
        self.profile, self.rows = Profile.empty(baseline.layout), rows
        self._columns, self._threads = baseline.schema.columns, threads

    def add(self, held: list[pl.DataFrame]) -> None:
        """Count some rows, and let go of them."""
        if not held:
            return
        frame = pl.concat(held)
        held.clear()
        self.profile = self.profile.merge(count(frame, self.profile.layout, self._threads))
        if self.rows is not None:
            self.rows = self.rows.add(hashes_of_rows(frame, self._columns))
