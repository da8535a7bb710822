"""Whatever is in the capture folder, a run ends with a report that says so."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.records import CaptureRecord, Payload
from monitoring import cli
from monitoring.cli import Outside

Spoil = Callable[[list[str]], bytes]


def bodies(change: Callable[[str], str]) -> Spoil:
    """Every record with its request changed."""

    def spoil(lines: list[str]) -> bytes:
        records = [CaptureRecord.from_line(line) for line in lines]
        texts = [change(record.input.data) if record.input else "" for record in records]
        return "\n".join(
            CaptureRecord(record.event_id, record.time, Payload(text, "CSV", "text/csv"), record.output).to_line()
            for record, text in zip(records, texts, strict=True)
        ).encode()

    return spoil


def as_objects(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Spoil:
    """Every record as a JSON object of named values, changed."""

    def spoil(lines: list[str]) -> bytes:
        records = [CaptureRecord.from_line(line) for line in lines]
        kept = []
        for record in records:
            age, income, region = (record.input.data if record.input else "").split(",")
            text = json.dumps(change({"age": float(age), "income": float(income), "region": region}))
            kept.append(
                CaptureRecord(
                    record.event_id, record.time, Payload(text, "JSON", "application/json"), record.output
                ).to_line()
            )
        return "\n".join(kept).encode()

    return spoil


def plain(lines: list[str]) -> bytes:
    return "\n".join(lines).encode()


def without(name: str) -> Spoil:
    return as_objects(lambda row: {key: value for key, value in row.items() if key != name})


def later(lines: list[str]) -> bytes:
    """Times of a clock that is a year ahead, in the folders of now."""
    return plain([line.replace("2026-11-20", "2027-11-20") for line in lines])


CASES: dict[str, tuple[Spoil, str, str]] = {
    "a truncated gzip": (lambda lines: gzip.compress(plain(lines))[:-40], "records_check", "gzip"),
    "half lines": (lambda lines: plain([line[:80] for line in lines]), "records_check", "cut off"),
    "the wrong encoding": (lambda lines: plain(lines).decode().encode("utf-16"), "records_check", "could not be read"),
    "another schema version": (
        lambda lines: plain([line.replace('"eventVersion": "0"', '"eventVersion": "3"') for line in lines]),
        "records_check", "eventVersion",
    ),
    "a column that vanished": (without("income"), "missing_column_check", "income"),
    "a field too few": (bodies(lambda text: text.split(",", 1)[1]), "records_check", "2 fields in a row, expected 3"),
    "10,000 new columns": (
        as_objects(lambda row: row | {f"new {i}": i for i in range(10_000)}), "extra_column_check", "no such column",
    ),
    "all missing": (bodies(lambda text: f",,{text.split(',')[2]}"), "completeness_check", "age"),
    "NaN": (bodies(lambda text: f"nan,NaN,{text.split(',')[2]}"), "completeness_check", "age"),
    "constant": (bodies(lambda _: "40,20000,north"), "baseline_drift_check", "age"),
    "infinite": (bodies(lambda text: f"inf,-1e400,{text.split(',')[2]}"), "range_check", "age"),
    "text for numbers": (bodies(lambda text: f"old,{text.split(',', 1)[1]}"), "data_type_check", "not numbers"),
    "levels never seen": (
        bodies(lambda text: f"{text.rsplit(',', 1)[0]},moon"), "categorical_values_check", "moon",
    ),
    "a fast clock": (later, "freshness_check", "A clock is wrong"),
    "nothing at all": (lambda _: b"", "volume_check", "0 rows"),
    "bytes of chance": (lambda _: np.random.default_rng(1).bytes(50_000), "records_check", "could not be read"),
}  # fmt: skip


@pytest.fixture
def made(tmp_path: Path, training_data: Path, schema_file: Path, now: datetime) -> Callable[..., tuple[int, str]]:
    def run(*arguments: str) -> tuple[int, str]:
        said: list[str] = []
        outside = Outside({"SAGEMAKER_BASE_DIR": str(tmp_path / "ml")}, now=lambda: now, say=said.append)
        return cli.main(arguments, outside), " ".join(said)

    data = ["--data", str(training_data), "--schema", str(schema_file)]
    assert run("baseline", *data, "--output", str(tmp_path / "baseline.json"))[0] == 0
    return run


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_garbage_ends_with_a_report_that_says_so(
    made: Callable[..., tuple[int, str]], capture: Callable[..., Path], tmp_path: Path, case: tuple[Spoil, str, str]
) -> None:
    spoil, check, says = case
    folder = capture(rows=120, files=1)
    (path,) = folder.rglob("*.jsonl")
    path.write_bytes(spoil(path.read_text().splitlines()))
    given = ["--baseline", str(tmp_path / "baseline.json"), "--capture", str(folder), "--output", str(tmp_path / "out")]
    assert made("window", *given, *(["--rows-at-least", "10"] if check == "volume_check" else []))[0] == 0
    violations = json.loads((tmp_path / "out" / "constraint_violations.json").read_text())["violations"]
    found = [each for each in violations if each["constraint_check_type"] == check]
    assert any(says in f"{each['feature_name']} {each['description']}" for each in found), violations
    assert (tmp_path / "out" / "report.html").stat().st_size < 2_000_000
