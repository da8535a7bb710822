"""Seasons: every time is compared in UTC, however it was written, and what has no season is said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from contract.records import Column, RecordError, Schema
from monitoring.baseline import Baseline, Rows, Season, build
from monitoring.profile import ProfileError

SCHEMA = Schema((Column("x", "number"),), "y", "regression")
START = datetime(2026, 11, 1, tzinfo=UTC)
TIMES = pl.Series("t", [START + timedelta(minutes=10 * i) for i in range(2_000)], pl.Datetime("us", "UTC"))


def made(times: pl.Series, season: Season = "hour-of-day") -> Baseline:
    frame = pl.DataFrame({"x": np.random.default_rng(1).normal(size=len(times))})
    return build(lambda: [Rows(frame, times)], SCHEMA, season)


WRITTEN: dict[str, pl.Series] = {
    "in Berlin's time": TIMES.dt.convert_time_zone("Europe/Berlin"),
    "without a zone": TIMES.dt.replace_time_zone(None),
    "as text with an offset": pl.Series([each.isoformat() for each in TIMES.dt.convert_time_zone("Europe/Berlin")]),
    "as text of two forms": pl.Series(
        [each.isoformat() if i % 2 else f"{each:%Y-%m-%d %H:%M}" for i, each in enumerate(TIMES)]
    ),
    "in seconds": TIMES.dt.epoch("s"),
    "in milliseconds": TIMES.dt.epoch("ms"),
    "in nanoseconds": TIMES.dt.epoch("ns"),
    "in seconds with a fraction": TIMES.dt.epoch("s").cast(pl.Float64) + 0.5,
}


@pytest.mark.parametrize("times", WRITTEN.values(), ids=WRITTEN)
def test_the_same_instants_are_the_same_seasons_however_they_are_written(times: pl.Series) -> None:
    expected, found = made(TIMES), made(times)
    assert {name: each.to_json() for name, each in found.seasons.items()} == {
        name: each.to_json() for name, each in expected.seasons.items()
    }
    assert found.undated == 0


def test_an_instant_belongs_to_its_season_in_utc() -> None:
    baseline = made(TIMES)
    local = datetime.fromisoformat("2026-11-20T10:00:00+02:00")
    assert baseline.profile_at(local) is baseline.seasons["8"]
    assert baseline.reference_at(local) is baseline.reference_at(datetime(2026, 11, 21, 8, 30, tzinfo=UTC))


def test_rows_whose_time_cannot_be_read_are_counted() -> None:
    texts = [each.isoformat() if i % 4 else f"{each:%d.%m.%Y %H:%M}" for i, each in enumerate(TIMES)]
    assert made(pl.Series(texts)).undated == 500
    with pytest.raises(ProfileError, match="none of 2,000 could be read"):
        made(pl.Series(["noon"] * 2_000))


def test_dates_have_days_and_no_hours() -> None:
    days = pl.Series("t", [date(2026, 11, 2) + timedelta(days=i % 7) for i in range(700)])
    assert sorted(made(days, "day-of-week").seasons) == list("1234567")
    with pytest.raises(ProfileError, match="'t' holds dates, and season 'hour-of-day' needs the hour"):
        made(days)
    with pytest.raises(ProfileError, match="expected times"):
        made(pl.Series("t", [True] * 10))


def test_a_window_of_several_seasons_is_refused() -> None:
    made(TIMES).check_length(timedelta(hours=1))
    made(TIMES, "day-of-week").check_length(timedelta(days=1))
    made(TIMES, "none").check_length(timedelta(days=30))
    with pytest.raises(RecordError, match="a window of 1 day, 0:00:00 and a baseline of season 'hour-of-day'"):
        made(TIMES).check_length(timedelta(days=1))
