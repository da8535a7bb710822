"""Records survive the wire and refuse what they do not know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.records import CaptureRecord, Column, Manifest, Outcome, Payload, RecordError, Schema

words = st.text(min_size=1, max_size=20)
columns = st.builds(
    Column,
    name=words,
    kind=st.sampled_from(["number", "integer", "boolean", "category"]),
    levels=st.lists(words, unique=True, max_size=4).map(tuple),
    minimum=st.none() | st.floats(-1e9, 1e9),
    maximum=st.none() | st.floats(-1e9, 1e9),
    missing=st.booleans(),
)
schemas = st.builds(
    Schema,
    columns=st.lists(columns, unique_by=lambda each: each.name, max_size=5).map(tuple),
    target=words,
    task=st.just("classification"),
    classes=st.lists(words, unique=True, min_size=2, max_size=4).map(tuple),
)
payloads = st.builds(
    Payload, data=st.text(max_size=50), encoding=st.sampled_from(["CSV", "JSON"]), content_type=st.just("text/csv")
)


def manifest(schema: Schema) -> Manifest:
    return Manifest("logistic", schema, {"model.onnx": "ab"}, {"numpy": "2"}, "d" * 64, "c" * 64, 7, "slipway")


@given(schemas)
def test_a_manifest_comes_back_equal_from_its_json(schema: Schema) -> None:
    assert Manifest.from_json(manifest(schema).to_json()) == manifest(schema)


@given(words, payloads | st.none(), payloads | st.none(), words | st.none(), st.lists(words, max_size=2).map(tuple))
def test_a_capture_record_comes_back_equal_from_its_line(
    event: str, given_input: Payload | None, output: Payload | None, inference: str | None, attributes: tuple[str, ...]
) -> None:
    record = CaptureRecord(event, "2026-01-01T00:00:00Z", given_input, output, inference, attributes)
    assert CaptureRecord.from_line(record.to_line()) == record
    assert record.join_key == (inference or event)


@given(words, words.map(str.strip))
def test_an_outcome_comes_back_equal_from_its_line(key: str, value: str) -> None:
    assert Outcome.from_line(Outcome(key, value).to_line()) == Outcome(key, value)


def test_an_unknown_field_is_answered_with_the_nearest_real_one() -> None:
    with pytest.raises(RecordError, match=r"unknown field 'levles' \(did you mean 'levels'\?\)"):
        Column.from_json({"name": "plan", "kind": "category", "levles": []})


def test_every_mistake_in_a_record_is_reported_together() -> None:
    with pytest.raises(RecordError, match=r"unknown field 'sort'.*missing field 'kind'"):
        Column.from_json({"name": "plan", "sort": "category"})


@pytest.mark.parametrize("line", [b"\xff", "{", "[]", "{}", '{"eventMetadata": {}, "captureData": {}}', "[" * 5000])
def test_a_broken_line_is_an_error_that_says_so(line: str | bytes) -> None:
    with pytest.raises(RecordError):
        CaptureRecord.from_line(line)


def test_a_classification_without_classes_is_refused() -> None:
    with pytest.raises(RecordError, match="at least two"):
        Schema((), "churn", "classification", ())


def test_a_manifest_of_another_version_is_refused_with_what_to_do() -> None:
    document = manifest(Schema((), "churn", "regression")).to_json() | {"version": 2}
    with pytest.raises(RecordError, match="train again"):
        Manifest.from_json(document)
