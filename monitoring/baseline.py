"""What windows are compared with: the profile of the training data, made once and kept with the model."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self, get_args

import numpy as np
import polars as pl

from contract.records import Column, RecordError, Schema
from monitoring import capture, predictions
from monitoring.bins import Floats
from monitoring.layout import Layout, NumericColumn, lay_out, numbers
from monitoring.profile import Profile, ProfileError, count
from monitoring.repeats import Repeats, hashes_of_rows
from monitoring.verdict import Reference, reference_of

Season = Literal["none", "hour-of-day", "day-of-week", "hour-of-week"]
LASTS: Mapping[Season, timedelta] = {
    "hour-of-day": timedelta(hours=1), "day-of-week": timedelta(days=1), "hour-of-week": timedelta(hours=1),
}  # fmt: skip
VERSION = 1
AGE = 1e11  # seconds: no time is so long after 1970, and what is larger counts parts of a second
SAMPLE = 100_000  # rows that decide where bins are cut

Passes = Callable[[], Iterable["Rows"]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a table, and when each was seen (when that is known)."""

    frame: pl.DataFrame
    times: pl.Series | None = None


@dataclass(frozen=True)
class Baseline:
    """The profile of the rows a model was made from, and optionally one per season."""

    schema: Schema
    profile: Profile
    scatter: Floats  # how far each pair's correlation scatters, in units of the normal curve's
    season: Season = "none"
    seasons: Mapping[str, Profile] = field(default_factory=dict)
    rows: Repeats | None = None  # how often rows repeat one another; what has no rows does not know

    @property
    def layout(self) -> Layout:
        return self.profile.layout

    def profile_at(self, instant: datetime | None) -> Profile:
        """The profile of the instant's season, or of all rows when the season was never seen."""
        if instant is None or self.season == "none":
            return self.profile
        return self.seasons.get(season_at(instant, self.season), self.profile)

    def reference_at(self, instant: datetime | None = None) -> Reference:
        """The same object for the same season: windows that share a reference are not compared with two."""
        season = season_at(instant, self.season) if instant is not None else ""
        known = season if season in self.seasons else ""
        if known not in self._references:
            profile = self.seasons.get(known, self.profile)
            self._references[known] = reference_of(profile, self.scatter, self._learned, self.profile)
        return self._references[known]

    @functools.cached_property
    def _references(self) -> dict[str, Reference]:
        return {}

    @property
    def undated(self) -> int:
        """Rows that are in no season, because their time could not be read."""
        return self.profile.rows - sum(each.rows for each in self.seasons.values()) if self.season != "none" else 0

    def check_length(self, length: timedelta) -> None:
        """Refuse to compare a window with one season when it lasts for several."""
        longest = LASTS.get(self.season)
        if longest is not None and length > longest:
            raise RecordError(
                f"a window of {length} and a baseline of season '{self.season}': expected at most {longest}, because a "
                "window is compared with the season it starts in. Judge shorter windows, or make a baseline without "
                "seasons for long ones."
            )

    @functools.cached_property
    def _learned(self) -> Mapping[int, float]:
        """The share of the rows that taught a column its levels, where the schema names none and a sample did."""
        named = {column.name for column in self.schema.columns if column.levels}
        stride = thinned(self.profile.rows)
        columns = self.layout.columns if stride > 1 else ()
        return {
            i: 1 / stride for i, column in enumerate(columns) if column.role == "feature" and column.name not in named
        }

    def merge(self, other: Baseline) -> Baseline:
        """The baseline of both shares of rows, counted with one layout."""
        own, their = max(self.profile.rows, 1), max(other.profile.rows, 1)
        names = {*self.seasons, *other.seasons}
        empty = Profile.empty(self.layout)
        return Baseline(
            schema=self.schema,
            profile=self.profile.merge(other.profile),
            scatter=(self.scatter * own + other.scatter * their) / (own + their),
            season=self.season,
            seasons={
                name: self.seasons.get(name, empty).merge(other.seasons.get(name, empty)) for name in sorted(names)
            },
            rows=self.rows.merge(other.rows) if self.rows is not None and other.rows is not None else None,
        )

    def without(self, column: str) -> Baseline:
        """The baseline less one column, for rows that were chosen by it; the same when there is no such column."""
        if column not in self.layout.names:
            return self
        if len(self.layout.columns) == 1:
            raise RecordError(f"'{column}' is the baseline's only column: a slice by it leaves nothing to be judged")
        position = self.layout.names.index(column)
        slots = self.layout.paired_without(position)
        return replace(
            self,
            profile=self.profile.without(position),
            scatter=self.scatter[np.ix_(slots, slots)],
            seasons={name: profile.without(position) for name, profile in self.seasons.items()},
            rows=None,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "schema": self.schema.to_json(),
            "layout": self.layout.to_json(),
            "profile": self.profile.to_json(),
            "scatter": self.scatter.round(4).tolist(),
            "season": self.season,
            "seasons": {name: profile.to_json() for name, profile in self.seasons.items()},
            "rows": self.rows.to_json() if self.rows else None,
        }

    def to_bytes(self) -> bytes:
        return json.dumps(self.to_json(), separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        if given.get("version") != VERSION:
            raise ProfileError(
                f"a baseline of version {given.get('version')!r}; this program reads version {VERSION}: "
                "make it again with `monitor baseline`"
            )
        try:
            layout = Layout.from_json(given["layout"])
            paired = len(layout.paired)
            return cls(
                schema=Schema.from_json(given["schema"]),
                profile=Profile.from_json(given["profile"], layout),
                scatter=np.array(given["scatter"], np.float64).reshape(paired, paired),
                season=given.get("season", "none"),
                seasons={name: Profile.from_json(each, layout) for name, each in given.get("seasons", {}).items()},
                rows=Repeats.from_json(given["rows"]) if given.get("rows") else None,
            )
        except (KeyError, TypeError, ValueError) as problem:
            if isinstance(problem, ProfileError | RecordError):
                raise
            raise ProfileError(f"a baseline without its parts: {problem!r}") from None

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        try:
            document = json.loads(content)
        except ValueError as problem:
            raise ProfileError(f"a baseline that is not JSON: {problem}") from None
        if not isinstance(document, dict):
            raise ProfileError(f"a baseline must be a JSON object, got {type(document).__name__}")
        return cls.from_json(document)


def build(passes: Passes, schema: Schema, season: Season = "none") -> Baseline:
    """Two passes over the rows: a sample to cut the bins, then the counts.

    `passes` gives the same rows each time it is called; predictions are counted when the rows carry them.
    """
    if season not in get_args(Season):
        raise RecordError(f"season is '{season}', expected one of {', '.join(get_args(Season))}")
    sample = sampled(rows.frame for rows in passes())
    if sample.height == 0:
        raise ProfileError("no rows: a baseline needs the data the model was trained on")
    absent = [name for name in schema.names if name not in sample.columns]
    if len(absent) == len(schema.names):
        raise ProfileError(
            f"none of the schema's columns are in the data: expected {', '.join(schema.names[:10])}; "
            f"got {', '.join(sample.columns[:10])}"
        )
    layout = lay_out(sample, schema.columns, answered(sample, schema))
    return counted(passes, schema, layout, sample, season)


def with_layout(passes: Passes, schema: Schema, layout: Layout, season: Season = "none") -> Baseline:
    """A share of a baseline, counted with a layout that was made for all of it."""
    return counted(passes, schema, layout, sampled(rows.frame for rows in passes()), season)


def answered(sample: pl.DataFrame, schema: Schema) -> tuple[Column, ...]:
    """The prediction columns that the rows carry."""
    return tuple(
        column
        for column in predictions.columns(schema)
        if column.name in sample.columns and sample[column.name].null_count() < sample.height
    )


def counted(passes: Passes, schema: Schema, layout: Layout, sample: pl.DataFrame, season: Season) -> Baseline:
    """The second pass, with a layout that is already known."""
    total = Profile.empty(layout)
    seasons: dict[str, Profile] = {}
    met = Repeats()
    for rows in passes():
        met = met.add(hashes_of_rows(rows.frame, schema.columns))
        total = total.merge(count(rows.frame, layout))
        for name, part in by_season(rows, season):
            seasons[name] = seasons.get(name, Profile.empty(layout)).merge(count(part, layout))
    if season != "none" and total.rows and not seasons:
        raise ProfileError(f"season '{season}' needs the time of every row, and none of {total.rows:,} could be read")
    return Baseline(schema, total, scatter_of(sample, layout), season, seasons, met)


def sampled(frames: Iterable[pl.DataFrame], limit: int = SAMPLE) -> pl.DataFrame:
    """Every so-many-th row, evenly over all frames: the same rows give the same sample."""
    kept: list[pl.DataFrame] = []
    stride, seen = 1, 0
    for frame in frames:
        kept.append(frame.gather_every(stride, -seen % stride))
        seen += frame.height
        while sum(each.height for each in kept) > 2 * limit:
            joined = pl.concat(kept, how="diagonal_relaxed")
            kept, stride = [joined.gather_every(2)], stride * 2
    return pl.concat(kept, how="diagonal_relaxed") if kept else pl.DataFrame()


def thinned(rows: int, limit: int = SAMPLE) -> int:
    """Every how-many-th of so many rows `sampled` keeps."""
    stride = 1
    while -(-rows // stride) > 2 * limit:
        stride *= 2
    return stride


def by_season(rows: Rows, season: Season) -> Iterable[tuple[str, pl.DataFrame]]:
    if season == "none":
        return
    if rows.times is None:
        raise ProfileError(
            f"season '{season}' needs the time of every row: name its column with --time-column, or read capture lines"
        )
    names = season_names(rows.times, season)
    for name in names.drop_nulls().unique().sort().to_list():
        yield name, rows.frame.filter(names == name)


def instants_of(times: pl.Series) -> pl.Series:
    """Times in UTC, which they are when they do not say; text that is no ISO time is null.

    Numbers are seconds since 1970, or thousandths, millionths or billionths of one: as their size says.
    """
    if times.dtype == pl.String:
        known = times.unique().drop_nulls()
        read = pl.Series([capture.instant(text) for text in known.to_list()], dtype=pl.Datetime("us", "UTC"))
        return times.replace_strict(known, read, default=None, return_dtype=read.dtype)
    if isinstance(times.dtype, pl.Datetime):
        return times.dt.convert_time_zone("UTC") if times.dtype.time_zone else times.dt.replace_time_zone("UTC")
    if times.dtype == pl.Date:
        return times.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if times.dtype.is_numeric():
        seconds = times.cast(pl.Float64)
        largest = float(np.abs(numbers(seconds)).max(initial=0.0, where=np.isfinite(numbers(seconds))))
        unit = next((unit for unit in (1.0, 1e3, 1e6) if largest / unit < AGE), 1e9)
        micros = (seconds.fill_nan(None) / unit * 1e6).cast(pl.Int64, strict=False)
        return micros.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    raise ProfileError(f"column '{times.name}' holds {times.dtype}, expected times: ISO text, timestamps or seconds")


def season_names(times: pl.Series, season: Season) -> pl.Series:
    if times.dtype == pl.Date and season != "day-of-week":
        raise ProfileError(
            f"column '{times.name}' holds dates, and season '{season}' needs the hour: expected times, or day-of-week"
        )
    instants = instants_of(times)
    day, hour = instants.dt.weekday().cast(pl.String), instants.dt.hour().cast(pl.String)
    if season == "hour-of-day":
        return hour
    return day if season == "day-of-week" else pl.select(pl.concat_str([day, hour], separator=" ")).to_series()


def season_at(instant: datetime, season: Season) -> str:
    utc = instant.astimezone(UTC)
    day, hour = str(utc.isoweekday()), str(utc.hour)
    return {"none": "", "hour-of-day": hour, "day-of-week": day, "hour-of-week": f"{day} {hour}"}[season]


def scatter_of(sample: pl.DataFrame, layout: Layout) -> Floats:
    """The variance of each pair's Fisher z, against the normal curve's: one, unless the dependence is not linear.

    From the influence of each row on the correlation, u*v - r*(u*u + v*v)/2, squared and averaged.
    """
    columns = [column for i, column in enumerate(layout.columns) if i in set(layout.paired)]
    scores = np.zeros((len(columns), sample.height))
    for i, column in enumerate(columns):
        if isinstance(column, NumericColumn) and column.name in sample.columns:
            values = numbers(sample[column.name])
            there = ~np.isnan(values)
            scores[i, there] = np.array(column.scores, np.float64)[column.bins.find(values[there])]
    rows = max(sample.height, 1)
    scores -= scores.mean(1, keepdims=True)
    scores /= np.maximum(scores.std(1, keepdims=True), 1e-12)
    squares = scores**2
    r = np.clip(scores @ scores.T / rows, -0.999, 0.999)
    both = squares @ squares.T / rows
    fourth = (squares**2).mean(1)
    cubic = (scores**3) @ scores.T / rows
    influence = both + r**2 / 4 * (fourth[:, None] + fourth[None, :] + 2 * both) - r * (cubic + cubic.T)
    result: Floats = np.clip(influence / (1 - r**2) ** 2, 0.0, 1e6)
    return result
