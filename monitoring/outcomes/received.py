"""What was received, as frames that can be joined: captured predictions and delivered outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl

from contract.records import RecordError, Schema
from monitoring.capture import HOUR, Reader, Span, Tally, unpacked
from monitoring.outcomes.join import (
    ARRIVED,
    KEY,
    LEARNED,
    OUTCOMES,
    PREDICTED,
    PREDICTIONS,
    PROBABILITY,
    ROW,
    TIME,
    VARIANT,
)
from monitoring.storage import Folder
from monitoring.window import files_of


class _Truth(msgspec.Struct, gc=False):
    data: str | float | int | bool | None = None


class _Metadata(msgspec.Struct, gc=False):
    eventId: str | None = None  # noqa: N815 (SageMaker's spelling)
    inferenceTime: str | None = None  # noqa: N815


class _Line(msgspec.Struct, gc=False):
    groundTruthData: _Truth  # noqa: N815
    eventMetadata: _Metadata  # noqa: N815


ANSWER = (PREDICTED, PROBABILITY)
FILED = "filed"

_decode = msgspec.json.Decoder(_Line).decode


@dataclass(frozen=True)
class Received:
    """A frame to join, and what was met while reading it."""

    frame: pl.DataFrame
    tally: Tally


def read_predictions(
    folder: Folder, files: Mapping[str, Sequence[str]], schema: Schema, span: Span, beside: Sequence[str] = ()
) -> Received:
    """The captured predictions of a span, by variant; `beside` names input columns to keep (slices, a covariate)."""
    unknown = sorted(set(beside) - set(schema.names))
    if unknown:
        raise RecordError(f"no input column named {', '.join(unknown)}; the model has {', '.join(schema.names)}")
    reader, tally = Reader(schema, span, keyed=True), Tally()
    frames = []
    for variant, names in files.items():
        for name in files_of(names, span):
            batch = reader.read(folder.read(name), name, tally)
            if batch.keys is not None and batch.frame.height:
                told = batch.frame.select(each for each in batch.frame.columns if each in {*ANSWER, *beside})
                frames.append(_predictions_of(told.hstack(batch.keys), variant, beside))
    empty = pl.DataFrame(schema=dict(PREDICTIONS) | dict.fromkeys(beside, pl.String))
    return Received(pl.concat(frames, how="vertical_relaxed") if frames else empty, tally)


def _predictions_of(rows: pl.DataFrame, variant: str, beside: Sequence[str]) -> pl.DataFrame:
    probability = pl.col(PROBABILITY) if PROBABILITY in rows.columns else pl.lit(None)
    return rows.select(
        pl.col(KEY),
        pl.col(ROW),
        pl.lit(variant).alias(VARIANT),
        pl.col(TIME).str.to_datetime(time_zone="UTC", time_unit="us", strict=False),
        pl.col(PREDICTED).cast(pl.String),
        probability.cast(pl.Float64).alias(PROBABILITY),
        *(pl.col(each) for each in beside),
    )


def read_outcomes(folder: Folder, names: Sequence[str], span: Span) -> Received:
    """The outcomes whose files' hour lies in a span, and those of files that are not filed by hour.

    An outcome arrived when it was learned, if that was within its file's hour; else by the end of that hour. Without
    an hour it is when the file was last modified. Nothing arrives after the span.
    """
    tally = Tally()
    hours = Span(span.since and _floor(span.since), span.until)
    rows: list[tuple[Any, ...]] = []
    for name in names:
        hour = hour_of(name)
        if hour is None or hour in hours:
            tally.files += 1
            latest = folder.modified(name) if hour is None else hour + timedelta(hours=1)
            arrived = latest if span.until is None else min(latest, span.until)
            content = unpacked(folder.read(name), name, tally)
            rows.extend((*each, arrived, hour) for each in _outcomes_of(content, name, tally))
    return Received(_as_outcomes(rows), tally)


def hour_of(name: str) -> datetime | None:
    """The hour a file is filed under."""
    found = HOUR.search(name)
    if found is None:
        return None
    try:
        year, month, day, hour = (int(part) for part in found.groups())
        return datetime(year, month, day, hour, tzinfo=UTC)
    except ValueError:
        return None


def _floor(instant: datetime) -> datetime:
    return instant - timedelta(minutes=instant.minute, seconds=instant.second, microseconds=instant.microsecond)


def _outcomes_of(content: bytes, name: str, tally: Tally) -> Iterable[tuple[Any, ...]]:
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        tally.records += 1
        try:
            found = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
            tally.refuse(name, number, f"not an outcome: {str(problem)[:100]}", line)
            continue
        metadata, data = found.eventMetadata, found.groundTruthData.data
        for row, value in enumerate(_values(data)):
            yield metadata.eventId, row, value, metadata.inferenceTime


def _values(data: str | float | bool | None) -> Sequence[str | None]:
    """One outcome for each row of the request: a line each."""
    if data is None:
        return (None,)
    if isinstance(data, bool):
        return ("true" if data else "false",)
    if isinstance(data, float) and data.is_integer():
        return (str(int(data)),)
    return str(data).strip().splitlines() or ("",)


def _as_outcomes(rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    schema = dict(OUTCOMES) | {LEARNED: pl.String, FILED: OUTCOMES[ARRIVED]}
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.col(LEARNED).str.to_datetime(time_zone="UTC", time_unit="us", strict=False)
    )
    within = (pl.col(LEARNED) >= pl.col(FILED)) & (pl.col(LEARNED) < pl.col(ARRIVED))
    return frame.with_columns(pl.when(within).then(LEARNED).otherwise(ARRIVED).alias(ARRIVED)).drop(FILED)
