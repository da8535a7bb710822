"""Reading capture lines: every shape that was seen in the wild, and everything that can be wrong with a file."""

from __future__ import annotations

import base64
import gzip
import json
import math
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from contract.records import CaptureRecord, Column, Payload, Schema
from monitoring import capture, lines
from monitoring.capture import Batch, Reader, Span, Tally
from monitoring.layout import as_numbers
from monitoring.predictions import PREDICTED, PROBABILITY

SCHEMA = Schema(
    (Column("a", "number"), Column("b", "number"), Column("k", "category")), "y", "classification", ("no", "yes")
)
REGRESSION = Schema((Column("a", "number"), Column("k", "category")), "y", "regression")


def record(
    given: Payload | None, told: Payload | None = None, number: int = 1, time: str = "2026-11-20T10:00:00Z"
) -> str:
    return CaptureRecord(str(uuid.UUID(int=number)), time, given, told).to_line()


def csv(text: str) -> Payload:
    return Payload(text, "CSV", "text/csv")


def as_json(value: object) -> Payload:
    return Payload(json.dumps(value), "JSON", "application/json")


def as_base64(text: str, content_type: str = "text/csv") -> Payload:
    return Payload(base64.b64encode(text.encode()).decode(), "BASE64", content_type)


def read(content: bytes | str | list[str], schema: Schema = SCHEMA, **settings: Any) -> tuple[Batch, Tally]:
    """Line by line, and as a large file is read; both must say the same."""
    text = "\n".join(content) + "\n" if isinstance(content, list) else content
    whole = text.encode() if isinstance(text, str) else text
    found: list[tuple[Batch, Tally]] = []
    for least in (1 << 60, 0):
        tally = Tally()
        with patch.object(lines, "LEAST", least):
            found.append((Reader(schema, **settings).read(whole, "f.jsonl", tally), tally))
    (batch, tally), (again, same) = found
    assert same.to_json() == tally.to_json()
    assert_frame_equal(again.frame, batch.frame)
    assert (again.keys is None) == (batch.keys is None)
    if batch.keys is not None and again.keys is not None:
        assert_frame_equal(again.keys, batch.keys)
    return batch, tally


ROW = {"a": 1.5, "b": 2.0, "k": "x"}


@pytest.mark.parametrize(
    "payload",
    [
        csv("1.5,2.0,x"),
        csv("1.5,2.0,x\n"),
        csv("1.5,2.0,x\r\n"),
        csv('1.5,2.0,"x"'),
        csv("a,b,k\n1.5,2.0,x"),
        as_base64("1.5,2.0,x"),
        as_base64(json.dumps([1.5, 2.0, "x"]), "application/octet-stream"),
        as_json([1.5, 2.0, "x"]),
        as_json([[1.5, 2.0, "x"]]),
        as_json({"a": 1.5, "b": 2.0, "k": "x"}),
        as_json({"instances": [[1.5, 2.0, "x"]]}),
        as_json({"instances": [{"features": [1.5, 2.0, "x"]}]}),
        as_json({"inputs": {"a": [1.5], "b": [2.0], "k": ["x"]}}),
        as_json({"columns": ["k", "b", "a"], "data": [["x", 2.0, 1.5]]}),
        Payload('{"a": 1.5, "b": 2.0, "k": "x"}\n', "JSON", "application/jsonlines"),
    ],
    ids=["plain", "newline", "CRLF", "quoted", "header", "base64", "base64 of JSON", "list", "rows", "object",
         "instances", "features", "columns", "split", "JSON line"],
)  # fmt: skip
def test_every_form_of_a_request_is_the_same_row(payload: Payload) -> None:
    batch, tally = read([record(payload, csv("yes"))])
    assert tally.quarantined == 0
    row = batch.frame.row(0, named=True)
    assert {**row, "a": float(row["a"]), "b": float(row["b"])} == {**ROW, PREDICTED: "yes", PROBABILITY: None}


@pytest.mark.parametrize(
    ("told", "label", "probability"),
    [
        (csv("yes"), "yes", None),
        (csv("0.75"), "yes", 0.75),
        (csv("0.25,0.75\n"), "yes", 0.75),
        (csv("yes,0.25,0.75"), "yes", 0.75),
        (csv("y,y=no,y=yes\nyes,0.25,0.75"), "yes", 0.75),
        (
            as_json({"predictions": [{"label": "yes", "probabilities": [0.25, 0.75]}], "classes": ["no", "yes"]}),
            "yes",
            0.75,
        ),
        (as_json({"predictions": [0.75]}), "yes", 0.75),
        (as_json({"predictions": [{"predicted_label": "yes", "score": 0.75}]}), "yes", 0.75),
        (Payload('{"label":"yes","probabilities":[0.25,0.75]}\n', "JSON", "application/jsonlines"), "yes", 0.75),
        (
            as_base64(json.dumps({"predictions": [{"label": "yes", "probabilities": [0.25, 0.75]}]}), "text/html"),
            "yes",
            0.75,
        ),
        (None, None, None),
    ],
    ids=[
        "label",
        "score",
        "probabilities",
        "all",
        "header",
        "ours",
        "bare",
        "AWS",
        "lines",
        "text/html",
        "not captured",
    ],
)
def test_every_form_of_an_answer_is_the_same_prediction(told: Payload | None, label: str, probability: float) -> None:
    batch, tally = read([record(csv("1,2,x"), told)])
    assert tally.quarantined == 0
    assert batch.frame.select(PREDICTED, PROBABILITY).row(0) == (label, probability)


@pytest.mark.parametrize(
    "told", [csv("3.5"), as_json({"predictions": [{"value": 3.5}]}), as_json([3.5]), as_base64("3.5\n")]
)
def test_a_regressions_answer_is_a_number(told: Payload) -> None:
    batch, _ = read([record(csv("1,x"), told)], REGRESSION)
    assert float(batch.frame[PREDICTED][0]) == 3.5


def test_an_answer_may_be_captured_without_its_request() -> None:
    batch, tally = read([record(None, csv("yes"))])
    assert (batch.frame[PREDICTED].to_list(), batch.frame["a"].null_count(), tally.quarantined) == (["yes"], 1, 0)


def test_a_request_of_several_rows_gives_them_all_one_key() -> None:
    batch, _ = read([record(csv("1,2,x\n3,4,y\n"), csv("yes\nno\n")), record(csv("5,6,z"), csv("no"), 2)], keyed=True)
    assert batch.frame["a"].to_list() == [1, 3, 5]
    assert batch.keys is not None
    assert batch.keys["join_key"].n_unique() == 2
    assert batch.keys["row"].to_list() == [0, 1, 0]


def test_forms_may_be_mixed_in_one_file() -> None:
    lines = [
        record(csv("1,2,x")), record(as_json([1, 2, "x"]), None, 2), record(as_base64("1,2,x"), None, 3),
        record(csv('1,2,"a, b"'), None, 4),
    ]  # fmt: skip
    batch, tally = read(lines)
    assert batch.frame.height == 4
    assert tally.quarantined == 0


GOOD = [record(csv(f"{i},{i}.5,x"), csv("yes,0.2,0.8"), i) for i in range(5)]
BAD: dict[str, tuple[bytes, str]] = {
    "half a line": (GOOD[0][:60].encode(), "cut off"),
    "not UTF-8": (GOOD[0].replace("CSV", "C\udcffV").encode("utf-8", "surrogateescape"), "UTF-8"),
    "UTF-16": (GOOD[0].encode("utf-16"), ""),
    "another version": (GOOD[0].replace('"eventVersion": "0"', '"eventVersion": "7"').encode(), "eventVersion"),
    "not an object": (b"[1, 2, 3]", "not a capture record"),
    "no metadata": (b'{"captureData": {}, "eventVersion": "0"}', "eventMetadata"),
    "nothing captured": (record(None).encode(), "neither"),
    "too many fields": (record(csv("1,2,x,4,5")).encode(), "5 fields in a row, expected 3"),
    "too few fields": (record(csv("1,2")).encode(), "2 fields in a row, expected 3"),
    "an empty body": (record(csv("")).encode(), "empty"),
    "broken base64": (record(Payload("@@@", "BASE64", "text/csv")).encode(), "base64"),
    "an unknown encoding": (record(csv("1,2,x")).replace('"CSV"', '"MORSE"').encode(), "MORSE"),
    "broken JSON": (record(Payload('{"a": ', "JSON", "application/json")).encode(), ""),
    "deep JSON": (record(Payload("[" * 5_000 + "]" * 5_000, "JSON", "application/json")).encode(), ""),
    "no columns of ours": (record(as_json({"p": 1, "q": 2})).encode(), "none of the model's columns"),
    "rows and answers that differ": (
        record(csv("1,2,x\n3,4,y"), csv("yes")).encode(),
        "2 rows were sent and 1 answers",
    ),
    "an answer that is none": (record(csv("1,2,x"), as_json({"error": "boom"})).encode(), "no prediction"),
    "an unclosed quote": (record(csv('1,2,"x')).encode(), ""),
}


@pytest.mark.parametrize(("bad", "says"), BAD.values(), ids=BAD)
def test_a_bad_record_is_quarantined_with_its_reason_and_no_other_is_lost(bad: bytes, says: str) -> None:
    good = [each.encode() for each in GOOD]
    batch, tally = read(b"\n".join([*good[:2], bad, *good[2:]]) + b"\n")
    assert batch.frame["a"].cast(pl.Float64).to_list() == [0, 1, 2, 3, 4]
    assert tally.quarantined >= 1
    assert any(says in reason for reason in tally.reasons)
    assert tally.examples[0].line == 3


def test_text_where_a_number_belongs_keeps_the_row() -> None:
    batch, tally = read([*GOOD, record(csv("n/a,2,x"), csv("yes,0.2,0.8"), 9)])
    assert (batch.frame.height, tally.quarantined) == (6, 0)


def test_missing_values_and_strange_numbers_are_read() -> None:
    batch, tally = read([record(csv("NaN,,x")), record(csv("1e400,-inf,x"), None, 2)])
    assert (batch.frame.height, tally.quarantined) == (2, 0)
    assert batch.frame["b"][0] is None


@pytest.mark.parametrize("answer", [{"probabilities": [10**400, 0.4]}, {"score": -(10**400)}, [0.4, 10**400]])
def test_a_whole_number_beyond_every_float_is_infinite_and_stops_nothing(answer: object) -> None:
    lines = [*GOOD, record(as_json([10**400, -(10**400), "x"]), as_json({"predictions": [answer]}), 9)]
    batch, tally = read(lines)
    assert (batch.frame.height, tally.quarantined) == (6, 0)
    assert (as_floats(batch.frame["a"])[-1], as_floats(batch.frame["b"])[-1]) == (math.inf, -math.inf)
    batch, _ = read([record(as_json([10**400, "x"]), as_json({"value": 10**400}))], REGRESSION)
    assert as_floats(batch.frame[PREDICTED]) == [math.inf]


@pytest.mark.parametrize("cut", [30, 5], ids=["cut in its middle", "cut at its end"])
def test_a_gzip_that_ends_early_gives_what_it_held(cut: int) -> None:
    content = gzip.compress("\n".join(GOOD * 50).encode())
    batch, tally = read(content[:-cut])
    assert batch.frame.height > 0
    assert any("gzip" in reason for reason in tally.reasons)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_mark_before_utf8_loses_no_record(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    content = pack(b"\xef\xbb\xbf" + ("\n".join(GOOD) + "\n").encode())
    batch, tally = read(content)
    assert (batch.frame.height, tally.quarantined) == (5, 0)
    (tmp_path / "a.jsonl").write_bytes(content)
    assert Reader(SCHEMA).read(tmp_path / "a.jsonl", "a.jsonl", Tally()).frame.height == 5


def test_a_whole_gzip_is_read_like_text() -> None:
    batch, tally = read(gzip.compress(("\n".join(GOOD) + "\n").encode()))
    assert (batch.frame.height, tally.quarantined) == (5, 0)


@pytest.mark.parametrize(
    "content", [b"", b"\n\n\n", b"\x1f\x8b", b"\x00" * 100], ids=["empty", "blank", "gzip head", "zeros"]
)
def test_a_file_of_nothing_gives_no_rows(content: bytes) -> None:
    batch, _ = read(content)
    assert batch.frame.height == 0
    assert batch.frame.columns == ["a", "b", "k", PREDICTED, PROBABILITY]


def test_only_records_between_the_instants_are_taken() -> None:
    times = ["2026-11-20T09:59:59Z", "2026-11-20T10:00:00Z", "2026-11-20T10:59:59Z", "2026-11-20T11:00:00Z", "noon"]
    lines = [record(csv(f"{i},2,x"), None, i, time) for i, time in enumerate(times)]
    hour = Span(datetime(2026, 11, 20, 10, tzinfo=UTC), datetime(2026, 11, 20, 11, tzinfo=UTC))
    batch, tally = read(lines, span=hour)
    assert batch.frame["a"].to_list() == [1, 2]
    assert (tally.outside, tally.quarantined) == (2, 1)


def test_records_filed_under_an_hour_far_from_their_own_time_are_counted() -> None:
    times = ["2026-11-20T10:00:00Z", "2026-11-20T09:00:00Z", "2026-11-20T11:59:59Z", "2027-11-20T10:00:00Z"]
    lines = "\n".join(record(csv("1,2,x"), None, i, time) for i, time in enumerate([*times, times[-1]])) + "\n"
    hour = Span(datetime(2026, 11, 20, 10, tzinfo=UTC), datetime(2026, 11, 20, 11, tzinfo=UTC))
    for name, astray in (("champion/2026/11/20/10/a.jsonl", 2), ("a.jsonl", 0)):
        for text in (lines, lines + record(csv("1"), None, 9)):
            tally = Tally()
            Reader(SCHEMA, hour).read(text.encode(), name, tally)
            assert (tally.outside, tally.astray, tally.newest) == (4, astray, "2027-11-20T10:00:00+00:00")


def test_repeated_events_are_counted() -> None:
    _, tally = read([*GOOD, GOOD[0]])
    assert tally.repeated == 1


def test_columns_that_come_and_go_are_named() -> None:
    _, tally = read([record(as_json({"a": 1, "k": "x", "new": 3}))])
    assert (dict(tally.extra), dict(tally.absent)) == ({"new": 1}, {"b": 1})


value = st.one_of(
    st.floats(allow_nan=False, width=32).map(str), st.just(""), st.sampled_from(["NaN", "7", "-0.0", "1e400"])
)
level = st.text(
    st.characters(codec="utf-8", exclude_characters='",\r\n', exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=6
)


@given(st.lists(st.tuples(value, value, level, st.sampled_from(["yes", "no"])), min_size=1, max_size=20))
@settings(max_examples=80)
def test_the_fast_way_and_the_careful_way_read_the_same(rows: list[tuple[str, str, str, str]]) -> None:
    lines = [record(csv(f"{a},{b},{k.strip()}"), csv(told), i) for i, (a, b, k, told) in enumerate(rows)]
    fast, tally = read(lines)
    careful, other = read([*lines, record(csv("too,few"), None, 999)])
    assert other.quarantined == 1
    if tally.quarantined:
        return
    for column in ("a", "b"):
        assert as_floats(fast.frame[column]) == pytest.approx(as_floats(careful.frame[column]), nan_ok=True)
    assert fast.frame["k"].fill_null("").to_list() == careful.frame["k"].fill_null("").to_list()
    assert fast.frame[PREDICTED].to_list() == careful.frame[PREDICTED].to_list()


def as_floats(given: pl.Series) -> list[float]:
    return as_numbers(given).fill_null(math.nan).to_list()


def test_a_good_file_is_read_the_fast_way_and_a_bad_one_carefully() -> None:
    assert read(GOOD)[1].carefully == 0
    assert read([*GOOD, record(csv("1,2"), None, 9)])[1].carefully == 1


def test_a_tally_survives_its_json_form() -> None:
    _, tally = read([*GOOD, record(csv("1,2"), None, 9)])
    assert Tally.from_json(json.loads(json.dumps(tally.to_json()))) == tally
    assert capture.VERSION == "0"


def large_file(tmp_path: Path, name: str = "a.jsonl", records: int = 6_000) -> Path:
    path = tmp_path / name
    path.write_text("".join(record(csv(f"{i},{i / 2},x"), csv("yes,0.1,0.9"), i) + "\n" for i in range(records)))
    assert path.stat().st_size > lines.LEAST
    return path


def test_a_large_file_is_read_at_once_and_in_order(tmp_path: Path) -> None:
    found = lines.read_at_once(large_file(tmp_path), "0")
    assert found is not None
    assert found.given.data.to_list() == [f"{i},{i / 2},x" for i in range(6_000)]


def test_one_bad_line_makes_a_large_file_be_read_line_by_line_and_loses_nothing_else(tmp_path: Path) -> None:
    path = large_file(tmp_path)
    with path.open("a") as out:
        out.write('{"captureData": {"endpointInput": {"da')
    assert lines.read_at_once(path, "0") is None
    tally = Tally()
    assert Reader(SCHEMA).read(path, path.name, tally).frame.height == 6_000
    assert (tally.records, tally.quarantined) == (6_001, 1)


def test_a_file_whose_name_is_a_pattern_is_not_taken_for_others(tmp_path: Path) -> None:
    large_file(tmp_path, "a1.jsonl", 7_000)
    path = large_file(tmp_path, "a[1].jsonl")
    assert Reader(SCHEMA).read(path, path.name, Tally()).frame.height == 6_000


def test_a_large_file_is_read_alike_from_a_place_that_is_no_disk_and_packed(tmp_path: Path) -> None:
    path, packed = large_file(tmp_path), tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    found = [Reader(SCHEMA).read(each, "f", Tally()).frame for each in (path, path.read_bytes(), packed)]
    assert_frame_equal(found[1], found[0])
    assert_frame_equal(found[2], found[0])


def test_a_file_of_nothing_has_no_keys() -> None:
    batch, _ = read(b"", keyed=True)
    assert batch.keys is not None
    assert batch.keys.height == 0
