"""Tables in files: a bounded number of rows at a time, in order, and all of them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from contract.records import Column, Schema
from monitoring.baseline import Rows, build
from monitoring.capture import Span
from monitoring.profile import count
from monitoring.storage import Disk
from monitoring.table import Format, TableError, frames
from monitoring.window import Source, read

TABLE = pl.DataFrame({"x": [float(i) for i in range(25)], "kind": ["a", "b", "c", "d", "e"] * 5})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    TABLE.write_parquet(tmp_path / "rows.parquet")
    TABLE.write_csv(tmp_path / "rows.csv")
    TABLE.write_ndjson(tmp_path / "rows.json")
    return tmp_path


@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
def test_all_rows_come_in_order_and_never_more_than_asked_for(folder: Path, kind: Format) -> None:
    parts = list(frames(folder / f"rows.{kind}", kind, 10))
    assert all(part.height <= 10 for part in parts)
    assert pl.concat(parts).with_columns(pl.col("x").cast(pl.Float64)).equals(TABLE)


def test_a_large_parquet_file_comes_in_smaller_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.table.PIECE", 4)
    path = folder / "rows.parquet"
    assert [part.height for part in frames(path, "parquet", 20)] == [4] * 6 + [1]
    assert [part.height for part in frames(path, "parquet", 25)] == [25]


def test_a_file_that_is_no_table_is_refused_by_name(folder: Path) -> None:
    (folder / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(TableError, match=r"broken\.parquet cannot be read as parquet"):
        list(frames(folder / "broken.parquet", "parquet"))
    with pytest.raises(TableError, match="format 'capture', expected parquet, csv or json"):
        list(frames(folder / "rows.csv", "capture"))


@pytest.mark.parametrize("flush", [1, 30, 1_000])
def test_a_window_is_the_same_however_many_rows_are_collected_before_they_are_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, flush: int
) -> None:
    schema = Schema((Column("x", "number"), Column("kind", "category")), "y", "regression")
    baseline = build(lambda: [Rows(TABLE)], schema)
    monkeypatch.setattr("monitoring.window.FLUSH", flush)
    window = read(Source(Disk(folder), "parquet"), ["rows.parquet", "rows.csv", "rows.parquet"], baseline, Span())
    assert window.profile.to_json() == count(pl.concat([TABLE] * 3), baseline.layout).to_json()
    assert window.tally.records == 75
