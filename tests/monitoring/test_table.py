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
from monitoring.table import Format, TableError, format_of, frames
from monitoring.window import Source, Window, read

TABLE = pl.DataFrame({"x": [float(i) for i in range(25)], "kind": ["a", "b", "c", "d", "e"] * 5})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    TABLE.write_parquet(tmp_path / "rows.parquet")
    TABLE.write_csv(tmp_path / "rows.csv")
    TABLE.write_ndjson(tmp_path / "rows.json")
    return tmp_path


def window_of(folder: Path, name: str) -> Window:
    schema = Schema((Column("x", "number"), Column("kind", "category")), "y", "regression")
    baseline = build(lambda: [Rows(TABLE)], schema)
    return read(Source(Disk(folder), format_of(name)), [name], baseline, Span())


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


DAMAGED: dict[str, tuple[str, bytes, int, str]] = {
    "a field too many": ("rows.csv", b"1,a,b\n", 26, "3 fields in a row, expected 2"),
    "an open quote": ("rows.csv", b'"1,a\n', 26, "unexpected end"),
    "no UTF-8 in CSV": ("rows.csv", b"1,n\xf6rth\n", 26, "not UTF-8"),
    "half a line": ("rows.json", b'{"x": 1, "ki', 26, "truncated"),
    "no UTF-8 in JSON": ("rows.json", b'{"x": 1, "kind": "n\xf6rth"}\n', 26, "UTF-8"),
    "no object": ("rows.json", b"[1, 2]\n", 26, "no JSON object"),
}


@pytest.mark.parametrize(("name", "bad", "line", "says"), DAMAGED.values(), ids=DAMAGED)
def test_a_bad_line_of_a_table_is_quarantined_and_no_other_row_is_lost(
    folder: Path, name: str, bad: bytes, line: int, says: str
) -> None:
    good = (folder / name).read_bytes()
    (folder / name).write_bytes(good + bad)
    window = window_of(folder, name)
    assert window.profile.rows == 25
    assert (window.tally.records, window.tally.quarantined, window.tally.carefully) == (26, 1, 1)
    assert says in next(iter(window.tally.reasons))
    assert window.tally.examples[0].line in (line, line + 1)


def test_rows_that_came_before_the_damage_was_met_are_counted_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.table.frames.__defaults__", (4,))
    rows = b"".join(b"%d,a\n" % number for number in range(5_000))
    (folder / "rows.csv").write_bytes(b"x,kind\n" + rows + b"1,a,b\n" + rows)
    window = window_of(folder, "rows.csv")
    assert (window.profile.rows, window.tally.records, window.tally.quarantined) == (10_000, 10_001, 1)


def test_a_table_of_which_nothing_can_be_read_is_a_damaged_file(folder: Path) -> None:
    (folder / "rows.parquet").write_bytes((folder / "rows.parquet").read_bytes()[:-10])
    tally = window_of(folder, "rows.parquet").tally
    assert (tally.records, tally.quarantined, tally.damaged) == (0, 1, 1)


@pytest.mark.parametrize("last", ['{"x": 60.409}', '{"x": "sixty"}', '{"x": null}'])
def test_the_last_row_of_json_lines_may_be_of_another_type(tmp_path: Path, last: str) -> None:
    (tmp_path / "rows.jsonl").write_text('{"x": 1}\n' * 12_000 + last + "\n")
    assert sum(part.height for part in frames(tmp_path / "rows.jsonl", "json")) == 12_001


@pytest.mark.parametrize("value", [1e308, -1.7e308, 5e-324])
def test_a_constant_at_the_edge_of_floats_has_a_baseline(value: float) -> None:
    schema = Schema((Column("x", "number"),), "y", "regression")
    made = build(lambda: [Rows(pl.DataFrame({"x": [value] * 100}))], schema)
    assert made.profile.rows == 100
