"""Reading capture lines: fast when a file is as it should be, and without losing a good record when it is not.

A file is first read optimistically: all lines, then all payloads of one kind joined and parsed at once. Every bulk
parser gives up a whole file over one bad record, so whenever anything about the file is odd it is read again record by
record; what cannot be read is quarantined with its reason, and nothing else is lost.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import re
import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from contract.records import Column, Schema
from monitoring import predictions
from monitoring.bins import Floats
from monitoring.lines import Lines, Side, read_at_once
from monitoring.repeats import Repeats, hashes_of

VERSION = "0"  # of SageMaker's line format
KEPT = 100  # quarantined records whose text is kept for the reader of the report
SHOWN = 300  # characters of it
GZIP = b"\x1f\x8b"
MARK = b"\xef\xbb\xbf"  # that some programs put before UTF-8
HOUR = re.compile(r"(?:^|/)(\d{4})/(\d{2})/(\d{2})/(\d{2})/[^/]*$")
NAMES = 1_000  # extra column names that are kept


class _Side(msgspec.Struct, gc=False):
    data: str = ""
    encoding: str = "CSV"


class _Captured(msgspec.Struct, gc=False):
    endpointInput: _Side | None = None  # noqa: N815 (SageMaker's spelling)
    endpointOutput: _Side | None = None  # noqa: N815


class _Metadata(msgspec.Struct, gc=False):
    eventId: str  # noqa: N815
    inferenceTime: str = ""  # noqa: N815
    inferenceId: str | None = None  # noqa: N815


class _Record(msgspec.Struct, gc=False):
    captureData: _Captured  # noqa: N815
    eventMetadata: _Metadata  # noqa: N815
    eventVersion: str = "0"  # noqa: N815


_decode = msgspec.json.Decoder(_Record).decode
_decode_json = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Span:
    """The instants a window lies between, the first included and the last not."""

    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, instant: datetime) -> bool:
        return (self.since is None or instant >= self.since) and (self.until is None or instant < self.until)

    def meets(self, other: Span) -> bool:
        """Whether some instant may lie in both."""
        ends, starts = (self.until, other.until), (other.since, self.since)
        return all(start is None or end is None or start < end for start, end in zip(starts, ends, strict=True))

    @property
    def is_open(self) -> bool:
        return self.since is None and self.until is None


def reach_of(name: str) -> Span | None:
    """The times that records may have in a file that is filed by the hour; nothing is known of any other.

    A record may be filed an hour from its own time: clocks differ, and files are written late.
    """
    found = HOUR.search(name)
    if found is None:
        return None
    try:
        year, month, day, clock = (int(part) for part in found.groups())
        hour = datetime(year, month, day, clock, tzinfo=UTC)
    except ValueError:
        return None
    return Span(hour - timedelta(hours=1), hour + timedelta(hours=2))


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that could not be read: where it stands, why, and how it begins."""

    file: str
    line: int
    reason: str
    text: str


@dataclass(slots=True)
class Tally:
    """What was met while reading, beside the rows."""

    files: int = 0
    records: int = 0
    quarantined: int = 0
    outside: int = 0  # records of other times, left out
    astray: int = 0  # records whose own time is far from the hour they are filed under
    repeated: int = 0  # records whose event stands twice in one file
    events: Repeats = field(default_factory=Repeats)  # of all files
    damaged: int = 0  # files that ended too early or could not be unpacked
    carefully: int = 0  # files that were read record by record
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[Quarantined] = field(default_factory=list)
    extra: Counter[str] = field(default_factory=Counter)  # columns that the schema does not have
    absent: Counter[str] = field(default_factory=Counter)  # columns that a record lacked
    earliest: str = ""
    latest: str = ""
    newest: str = ""  # of all records, those of other times too

    def refuse(self, file: str, line: int, reason: str, text: bytes | str) -> None:
        self.quarantined += 1
        self.reasons[reason] += 1
        if len(self.examples) < KEPT:
            shown = text[:SHOWN].decode("utf-8", "replace") if isinstance(text, bytes) else text[:SHOWN]
            self.examples.append(Quarantined(file, line, reason, shown))

    def met(self, times: Collection[str]) -> None:
        if times:
            self.earliest = min(filter(None, (self.earliest, min(times))), default="")
            self.latest = max(self.latest, *times)

    def dated(self, times: Mapping[datetime, int], span: Span, reach: Span | None) -> None:
        """Count the records of each time: those of other times than the span, and those no file of theirs may hold."""
        self.outside += sum(records for when, records in times.items() if when not in span)
        if reach is not None:
            self.astray += sum(records for when, records in times.items() if when not in reach)
        self.newest = max(self.newest, *(when.astimezone(UTC).isoformat() for when in times), "")

    def happened(self, events: pl.Series) -> None:
        """Count the events of one file that stand in it twice, and remember them for those of other files."""
        hashes = hashes_of(events)
        self.repeated += len(hashes) - pl.Series(hashes).n_unique()
        self.events = self.events.add(hashes)

    @property
    def repeated_events(self) -> int:
        """Records whose event stands twice in any file: at least so many as stand twice in one."""
        return max(self.repeated, round(self.events.share * self.events.things))

    def merge(self, other: Tally) -> None:
        self.files += other.files
        self.records += other.records
        self.quarantined += other.quarantined
        self.outside += other.outside
        self.astray += other.astray
        self.repeated += other.repeated
        self.events = self.events.merge(other.events)
        self.damaged += other.damaged
        self.carefully += other.carefully
        self.reasons.update(other.reasons)
        self.examples = (self.examples + other.examples)[:KEPT]
        self.extra.update(other.extra)
        self.absent.update(other.absent)
        self.earliest = min(filter(None, (self.earliest, other.earliest)), default="")
        self.latest = max(self.latest, other.latest)
        self.newest = max(self.newest, other.newest)

    def to_json(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "records": self.records,
            "quarantined": self.quarantined,
            "outside": self.outside,
            "astray": self.astray,
            "repeated": self.repeated,
            "events": self.events.to_json(),
            "damaged": self.damaged,
            "carefully": self.carefully,
            "reasons": dict(self.reasons.most_common()),
            "examples": [
                {"file": each.file, "line": each.line, "reason": each.reason, "text": each.text}
                for each in self.examples
            ],
            "extra": dict(self.extra.most_common(NAMES)),
            "absent": dict(self.absent.most_common(NAMES)),
            "earliest": self.earliest,
            "latest": self.latest,
            "newest": self.newest,
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Tally:
        fields: dict[str, Any] = dict(given)
        fields |= {name: Counter(given[name]) for name in ("reasons", "extra", "absent")}
        fields["events"] = Repeats.from_json(given["events"]) if "events" in given else Repeats()
        fields["examples"] = [Quarantined(**each) for each in given["examples"]]
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows in the order of the schema, then of its prediction columns; and one line of keys per row."""

    frame: pl.DataFrame
    keys: pl.DataFrame | None = None  # join_key, time, row (within its record); when asked for


@dataclass(frozen=True)
class Reader:
    """Reads the capture lines of one model."""

    schema: Schema
    span: Span = field(default_factory=Span)
    keyed: bool = False

    @property
    def inputs(self) -> tuple[Column, ...]:
        return self.schema.columns

    @property
    def outputs(self) -> tuple[Column, ...]:
        return predictions.columns(self.schema)

    def read(self, content: bytes | Path, file: str, tally: Tally) -> Batch:
        """The rows of one file; what is met on the way goes into the tally."""
        tally.files += 1
        if not isinstance(content, Path) or not _is_plain(content):
            content = unpacked(content.read_bytes() if isinstance(content, Path) else content, file, tally)
        lines = read_at_once(content, VERSION)
        batch = self._at_once(lines, file, tally) if lines is not None else None
        if batch is not None:
            return batch
        text = content.read_bytes() if isinstance(content, Path) else content
        records, numbers = self._decode(text, file, tally)
        records, numbers = self._within(records, numbers, file, tally)
        tally.met({record.eventMetadata.inferenceTime for record in records})
        tally.happened(pl.Series([record.eventMetadata.eventId for record in records], dtype=pl.String))
        batch = _bulk(_lines_of(records), self)
        if batch is None:
            tally.carefully += 1
            batch = _carefully(records, numbers, self, file, tally)
        return batch

    def _at_once(self, lines: Lines, file: str, tally: Tally) -> Batch | None:
        """The rows of a file whose lines are all good; nothing is counted when one of them turns out not to be."""
        records, times = len(lines), lines.time.unique()
        dated: Counter[datetime] = Counter()
        if not self.span.is_open:
            inside = []
            for time, count in lines.time.value_counts(name="records").iter_rows():
                when = instant(time)
                if when is None:
                    return None
                dated[when] += count
                if when in self.span:
                    inside.append(time)
            if len(inside) < len(times):
                lines = lines.where(lines.time.is_in(inside))
                times = lines.time.unique()
        batch = _bulk(lines, self)
        if batch is not None:
            tally.records += records
            tally.dated(dated, self.span, reach_of(file))
            tally.met(times.to_list())
            tally.happened(lines.event)
        return batch

    def _decode(self, content: bytes, file: str, tally: Tally) -> tuple[list[_Record], Sequence[int]]:
        """The records of a file, with their line numbers."""
        lines = content.split(b"\n")
        if not lines[-1]:
            lines.pop()
        try:
            records = [_decode(line) for line in lines]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _decode_each(lines, file, tally)
        if {record.eventVersion for record in records} - {VERSION}:
            return _decode_each(lines, file, tally)
        tally.records += len(records)
        return records, range(1, len(records) + 1)

    def _within(
        self, records: list[_Record], numbers: Sequence[int], file: str, tally: Tally
    ) -> tuple[list[_Record], Sequence[int]]:
        if self.span.is_open:
            return records, numbers
        kept: list[_Record] = []
        kept_numbers: list[int] = []
        instants: dict[str, datetime | None] = {}
        dated: Counter[datetime] = Counter()
        for record, number in zip(records, numbers, strict=True):
            time = record.eventMetadata.inferenceTime
            if time not in instants:
                instants[time] = instant(time)
            when = instants[time]
            if when is None:
                tally.refuse(file, number, "inferenceTime is not a time", time)
                continue
            dated[when] += 1
            if when in self.span:
                kept.append(record)
                kept_numbers.append(number)
        tally.dated(dated, self.span, reach_of(file))
        return kept, kept_numbers


def _decode_each(lines: Sequence[bytes], file: str, tally: Tally) -> tuple[list[_Record], list[int]]:
    records: list[_Record] = []
    numbers: list[int] = []
    for number, line in enumerate(lines, 1):
        if not line or line.isspace():
            continue
        tally.records += 1
        try:
            record = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
            tally.refuse(file, number, _reason(problem), line)
            continue
        if record.eventVersion != VERSION:
            tally.refuse(file, number, f"eventVersion {record.eventVersion[:20]!r}, expected '{VERSION}'", line)
            continue
        records.append(record)
        numbers.append(number)
    return records, numbers


def instant(text: str) -> datetime | None:
    """A time as SageMaker writes it, or in any other ISO form, in UTC; it is UTC when it does not say."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _is_plain(path: Path) -> bool:
    """Whether a file is text that can be read where it is."""
    with path.open("rb") as opened:
        return not opened.read(len(MARK)).startswith((GZIP, MARK))


def unpacked(content: bytes, file: str, tally: Tally) -> bytes:
    """The text of a file; of a gzip that is cut off, as much as can be had."""
    if not content.startswith(GZIP):
        return content.removeprefix(MARK)
    parts: list[bytes] = []
    try:
        while content:
            stream = zlib.decompressobj(wbits=31)
            parts.append(stream.decompress(content))
            parts.append(stream.flush())
            if not stream.eof:
                tally.damaged += 1
                tally.refuse(file, 0, "gzip ends before its end", b"")
                break
            content = stream.unused_data
    except zlib.error as problem:
        tally.damaged += 1
        tally.refuse(file, 0, f"gzip is damaged: {problem}", b"")
    return b"".join(parts).removeprefix(MARK)


def _reason(problem: Exception) -> str:
    text = str(problem)
    if isinstance(problem, msgspec.ValidationError):
        return f"not a capture record: {text}"
    if "utf-8" in text.lower():
        return "not UTF-8"
    return "not JSON (cut off or damaged)"


def _lines_of(records: Sequence[_Record]) -> Lines:
    """Records that were decoded one by one, as columns."""
    captured, metadata = [each.captureData for each in records], [each.eventMetadata for each in records]
    sides = [[each.endpointInput for each in captured], [each.endpointOutput for each in captured]]
    given, told = (
        Side.of([each.data if each else None for each in side], [each.encoding if each else None for each in side])
        for side in sides
    )
    event, time, inference = (
        pl.Series(values, dtype=pl.String)
        for values in (
            [each.eventId for each in metadata],
            [each.inferenceTime for each in metadata],
            [each.inferenceId for each in metadata],
        )
    )
    return Lines(given, told, event, time, inference)


def keys_of(lines: Lines, rows: pl.Series | None = None) -> pl.DataFrame:
    """The keys of each row: what an outcome names, and the time; a record of several rows repeats its key.

    Rows are numbered within their record: one that was captured twice gives the same rows twice, not more of them.
    """
    named = lines.inference.is_not_null() & (lines.inference != "").fill_null(value=False)
    keys = pl.DataFrame({"join_key": lines.inference.zip_with(named, lines.event), "time": lines.time})
    heights = np.ones(len(lines), np.int64) if rows is None else rows.to_numpy().astype(np.int64)
    first = np.repeat(heights.cumsum() - heights, heights)
    numbers = pl.Series("row", np.arange(len(first)) - first, pl.UInt32)
    if rows is not None:
        keys = keys[pl.Series(np.repeat(np.arange(len(heights), dtype=np.uint32), heights))]
    return keys.with_columns(numbers)


# --- The fast way: all payloads of a file at once, or nothing.


def _bulk(lines: Lines, reader: Reader) -> Batch | None:
    texts = _texts(lines.given)
    if texts is None or not len(texts):
        return None
    frame = _table(texts, reader.inputs)
    if frame is None:
        return None
    rows = None if frame.height == len(lines) else _rows(texts)
    if rows is not None and rows.sum() != frame.height:
        return None
    answers = _answers(lines.told, reader, frame.height)
    if answers is None:
        return None
    return Batch(frame.hstack(answers), keys_of(lines, rows) if reader.keyed else None)


def _texts(side: Side) -> pl.Series | None:
    """The CSV text of each payload, when all of them are CSV."""
    if side.are("CSV"):
        return side.data
    if side.are("BASE64"):
        try:
            texts = side.data.str.decode("base64").cast(pl.String)
        except pl.exceptions.PolarsError:  # not base64, or not of UTF-8
            return None
        return None if texts.str.contains(r"^\s*[{\[]").any() else texts
    return None


def _joined(texts: pl.Series) -> bytes | None:
    """All bodies as one text; None when one of them is empty or anything is quoted."""
    if (texts == "").any():
        return None
    content: bytes = texts.str.join("\n").cast(pl.Binary).item()
    if b'"' in content:
        return None
    if b"\r" in content or texts[0][-1] == "\n" or texts[-1][-1] == "\n":
        bare = texts.str.strip_chars("\r\n")
        content = b"" if (bare == "").any() else bare.str.join("\n").cast(pl.Binary).item().replace(b"\r\n", b"\n")
    return content or None


def _rows(texts: pl.Series) -> pl.Series:
    return texts.str.strip_chars_end("\r\n").str.count_matches("\n", literal=True) + 1


def _table(texts: pl.Series, columns: Sequence[Column]) -> pl.DataFrame | None:
    """Parsed in one go; None when a field is quoted, missing, too much, or of another type."""
    content = _joined(texts)
    if content is None:
        return None
    kinds = {column.name: pl.String if column.is_category else pl.Float64 for column in columns}
    try:
        frame = pl.read_csv(content, has_header=False, schema=kinds)
    except pl.exceptions.PolarsError:
        return None
    if not any(frame.null_count().row(0)):
        return frame
    if len(columns) == 1:
        return None
    # Too many fields raise; too few become nulls silently, and this count tells them from empty ones.
    commas = np.count_nonzero(np.frombuffer(content, np.uint8) == ord(","))
    return frame if commas == frame.height * (len(columns) - 1) else None


def _answers(side: Side, reader: Reader, height: int) -> pl.DataFrame | None:
    if side.is_absent:
        return pl.DataFrame([pl.Series(column.name, [None] * height, _kind(column)) for column in reader.outputs])
    texts = _texts(side)
    told = _csv_answers(texts, reader) if texts is not None else _json_answers(side, reader)
    return told if told is not None and told.height == height else None


def _kind(column: Column) -> Any:
    return pl.String if column.is_category else pl.Float64


def _csv_answers(texts: pl.Series, reader: Reader) -> pl.DataFrame | None:
    """A value; a label; a probability for each class; or a label and them."""
    classes, fields = reader.schema.classes, texts[0].split("\n", 1)[0].count(",") + 1
    if not classes:
        return _table(texts, reader.outputs) if fields == 1 else None
    labels = [Column(predictions.PREDICTED, "category")] if fields in (1, len(classes) + 1) else []
    numbers = [Column(f"probability {i}", "number") for i in range(fields - len(labels))]
    if len(numbers) not in (0, len(classes)):
        return None
    table = _table(texts, [*labels, *numbers])
    if table is None or table.null_count().sum_horizontal()[0]:
        return None
    if numbers:
        told = table.drop(predictions.PREDICTED, strict=False).to_numpy()
        return _with_probabilities(told, table[predictions.PREDICTED] if labels else None, classes)
    return _lone(table[predictions.PREDICTED], classes)


def _lone(given: pl.Series, classes: Sequence[str]) -> pl.DataFrame:
    """One field per answer: labels, or the probability of the last of two classes (as XGBoost's container answers)."""
    unknown = given.filter(~given.is_in(list(classes)))
    chance = unknown.cast(pl.Float64, strict=False)
    if len(unknown) < len(given) or len(classes) != 2 or chance.null_count():
        nothing = pl.Series(predictions.PROBABILITY, [None] * len(given), pl.Float64)
        return pl.DataFrame([given.alias(predictions.PREDICTED), nothing])
    last = chance.to_numpy()
    return _with_probabilities(np.stack([1 - last, last], 1), None, classes)


def _with_probabilities(told: Floats, labels: pl.Series | None, classes: Sequence[str]) -> pl.DataFrame:
    best = told.argmax(1)
    named = labels if labels is not None else pl.Series(list(classes), dtype=pl.String).gather(best)
    chance = told[:, -1] if len(classes) == 2 else told[np.arange(len(told)), best]
    return pl.DataFrame([named.alias(predictions.PREDICTED), pl.Series(predictions.PROBABILITY, chance)])


class _Prediction(msgspec.Struct, gc=False):
    label: str | None = None
    probabilities: list[float] | None = None
    value: float | None = None


class _Told(msgspec.Struct, gc=False):
    predictions: list[_Prediction]


_decode_told = msgspec.json.Decoder(_Told).decode


def _json_answers(side: Side, reader: Reader) -> pl.DataFrame | None:
    """The serving container's own JSON: anything else is read carefully."""
    if not side.are("JSON"):
        return None
    try:
        told = [_decode_told(data).predictions for data in side.data.to_list()]
    except (msgspec.MsgspecError, RecursionError):
        return None
    rows = [row for each in told for row in each]
    classes = reader.schema.classes
    if not classes:
        values = pl.Series(predictions.PREDICTED, [row.value for row in rows], pl.Float64)
        return values.to_frame() if not values.null_count() else None
    labels = pl.Series([row.label for row in rows], dtype=pl.String)
    if all(row.probabilities is not None and len(row.probabilities) == len(classes) for row in rows):
        chances = np.array([row.probabilities for row in rows], np.float64).reshape(-1, len(classes))
        return _with_probabilities(chances, labels if not labels.null_count() else None, classes)
    return None


# --- The careful way: a record at a time.


def _carefully(records: list[_Record], numbers: Sequence[int], reader: Reader, file: str, tally: Tally) -> Batch:
    rows: list[tuple[Any, ...]] = []
    heights: list[int] = []
    for record, number in zip(records, numbers, strict=True):
        try:
            found = _rows_of(record, reader, tally)
        except (ValueError, TypeError, OverflowError, RecursionError, csv.Error) as problem:
            tally.refuse(file, number, _one_line(problem), msgspec.json.encode(record))
            heights.append(0)
            continue
        rows.extend(found)
        heights.append(len(found))
    frame = _as_frame(rows, (*reader.inputs, *reader.outputs))
    return Batch(frame, keys_of(_lines_of(records), pl.Series(heights, dtype=pl.UInt32)) if reader.keyed else None)


def _one_line(problem: Exception) -> str:
    return str(problem).split("\n", 1)[0][:200] or type(problem).__name__


def _rows_of(record: _Record, reader: Reader, tally: Tally) -> list[tuple[Any, ...]]:
    captured = record.captureData
    given, told = captured.endpointInput, captured.endpointOutput
    if given is None and told is None:
        raise ValueError("neither input nor output was captured")
    inputs: list[tuple[Any, ...]] = [] if given is None else _input_rows(given, reader.inputs, tally)
    outputs: list[tuple[Any, ...]] = (
        [] if told is None else answer_rows(_text(told), reader.schema, csv_first=_is_csv(told))
    )
    blank_in, blank_out = (None,) * len(reader.inputs), (None,) * len(reader.outputs)
    if given is None:
        return [(*blank_in, *answer) for answer in outputs]
    if told is None:
        return [(*row, *blank_out) for row in inputs]
    if len(inputs) != len(outputs):
        raise ValueError(f"{len(inputs)} rows were sent and {len(outputs)} answers came back")
    return [(*row, *answer) for row, answer in zip(inputs, outputs, strict=True)]


def _text(side: _Side) -> str:
    if side.encoding in ("CSV", "JSON"):
        return side.data
    if side.encoding != "BASE64":
        raise ValueError(f"encoding {side.encoding[:20]!r}, expected CSV, JSON or BASE64")
    try:
        return base64.b64decode(side.data, validate=True).decode()
    except (binascii.Error, ValueError) as problem:
        raise ValueError(f"a BASE64 payload that is not base64 of UTF-8 text: {problem}") from None


def _is_csv(side: _Side) -> bool:
    """By what it looks like when it is BASE64: SageMaker encodes so whatever type it was not told of."""
    return side.encoding == "CSV" or (side.encoding == "BASE64" and not _looks_like_json(_text(side)))


def _looks_like_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def _input_rows(side: _Side, columns: Sequence[Column], tally: Tally) -> list[tuple[Any, ...]]:
    text = _text(side)
    if not text.strip():
        raise ValueError("the request's body is empty")
    return _csv_rows(text, columns) if _is_csv(side) else _json_rows(text, columns, tally)


def _csv_rows(text: str, columns: Sequence[Column]) -> list[tuple[Any, ...]]:
    rows = [tuple(row) for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    names = tuple(column.name for column in columns)
    if rows and tuple(field.strip() for field in rows[0]) == names:
        rows = rows[1:]
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"{len(row)} fields in a row, expected {len(columns)}")
    return rows


def _json_rows(text: str, columns: Sequence[Column], tally: Tally) -> list[tuple[Any, ...]]:
    names = [column.name for column in columns]
    document = _document(text)
    records = document
    if isinstance(document, dict):
        if isinstance(document.get("columns"), list) and isinstance(document.get("data"), list):
            names, records = _named(document["columns"], names, tally), document["data"]
            return [_fields(row, names, columns, tally) for row in records]
        records = next(
            (document[name] for name in ("instances", "inputs", "rows", "records") if name in document), document
        )
        if isinstance(records, dict) and records and all(isinstance(each, list) for each in records.values()):
            heights = {len(each) for each in records.values()}
            if len(heights) != 1:
                raise ValueError("columns of different lengths")
            records = [dict(zip(records, values, strict=True)) for values in zip(*records.values(), strict=True)]
    if isinstance(records, dict):
        records = [records]
    if isinstance(records, list) and records and not isinstance(records[0], (list, dict)):
        records = [records]
    if not isinstance(records, list):
        raise TypeError("a JSON body that holds no rows")
    return [_fields(row, names, columns, tally) for row in records]


def _document(text: str) -> Any:
    """JSON, or JSON lines."""
    try:
        return _decode_json(text)
    except msgspec.DecodeError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        return [_decode_json(line) for line in lines]


def _named(given: Sequence[Any], names: list[str], tally: Tally) -> list[str]:
    found = [str(each) for each in given]
    tally.extra.update(name for name in found[:NAMES] if name not in names)
    tally.absent.update(name for name in names if name not in found)
    return found


def _fields(row: Any, names: Sequence[str], columns: Sequence[Column], tally: Tally) -> tuple[Any, ...]:
    """One row in the order of the columns."""
    if isinstance(row, dict):
        inner = row.get("features")
        if isinstance(inner, (list, dict)) and "features" not in names:
            return _fields(inner, names, columns, tally)
        wanted = {column.name for column in columns}
        if row.keys() != wanted:
            tally.extra.update(islice((name for name in row if name not in wanted), NAMES))
            tally.absent.update(wanted - row.keys())
            if not wanted & row.keys():
                raise ValueError("none of the model's columns are named in the request")
        return tuple(_plain(row.get(column.name)) for column in columns)
    if not isinstance(row, list):
        raise TypeError(f"a row that is a {type(row).__name__}, expected a list or an object")
    if len(row) != len(names):
        raise ValueError(f"{len(row)} fields in a row, expected {len(names)}")
    if len(names) == len(columns) and all(name == column.name for name, column in zip(names, columns, strict=True)):
        return tuple(_plain(value) for value in row)
    by_name = dict(zip(names, row, strict=True))
    return tuple(_plain(by_name.get(column.name)) for column in columns)


def _plain(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, (list, dict)) else value


def answer_rows(text: str, schema: Schema, *, csv_first: bool = False) -> list[tuple[Any, ...]]:
    """The predictions of one answer."""
    if csv_first:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        if len(lines) > 1 and lines[0] and lines[0][0] == schema.target:
            lines = lines[1:]
        return [_known(predictions.from_fields(line, schema)) for line in lines if line]
    document = _document(text)
    if isinstance(document, dict):
        document = next(
            (document[name] for name in ("predictions", "outputs", "results") if name in document), document
        )
    records = document if isinstance(document, list) else [document]
    return [_known(predictions.from_record(each, schema)) for each in records]


def _known(row: tuple[Any, ...] | None) -> tuple[Any, ...]:
    if row is None:
        raise ValueError("an answer that is no prediction of this model")
    return row


def _as_frame(rows: Sequence[tuple[Any, ...]], columns: Sequence[Column]) -> pl.DataFrame:
    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    return pl.DataFrame([_series(column, given) for column, given in zip(columns, values, strict=True)])


def _series(column: Column, values: Sequence[Any]) -> pl.Series:
    """Numbers when all of them are; else text, which the profile reads and counts what it cannot."""
    if not column.is_category and all(value is None or type(value) in (float, int) for value in values):
        return pl.Series(
            column.name, [None if value is None else predictions.as_float(value) for value in values], pl.Float64
        )
    return pl.Series(column.name, [None if value is None else _spelled(value) for value in values], pl.String)


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        value
        if isinstance(value, str)
        else str(int(value) if isinstance(value, float) and value.is_integer() else value)
    )
