"""A small model's schema, its training data, and capture files as SageMaker would have written them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contract.records import CaptureRecord, Column, Payload, Schema

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CaptureWriter = Callable[..., Path]


@pytest.fixture(scope="session")
def schema() -> Schema:
    columns = (Column("age", "number"), Column("income", "number"), Column("region", "category"))
    return Schema(columns, "churned", "classification", ("no", "yes"))


@pytest.fixture(scope="session")
def people() -> Callable[..., pl.DataFrame]:
    """Draws rows with the answers of a small model."""
    return answered


def answered(rows: int, seed: int, *, shift: float = 0.0) -> pl.DataFrame:
    """Rows with the answers of a small model."""
    rng = np.random.default_rng(seed)
    age, income = rng.normal(40, 10, rows) + 10 * shift, rng.lognormal(10, 0.5, rows)
    region = rng.choice(["north", "south", "east"], p=[0.5, 0.3, 0.2], size=rows)
    chance = 1 / (1 + np.exp(-(age - 40) / 20))
    return pl.DataFrame(
        {
            "age": age.round(3),
            "income": income.round(2),
            "region": region,
            "predicted": np.where(chance > 0.5, "yes", "no"),
            "predicted_probability": chance.round(6),
        }
    )


def line(row: tuple[object, ...], number: int, at: datetime, form: str = "csv") -> str:
    age, income, region, label, chance = row
    identity = str(uuid.UUID(int=number))
    time = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    given = Payload(f"{age},{income},{region}", "CSV", "text/csv")
    if form == "json":
        told = {
            "predictions": [{"label": label, "probabilities": [1 - float(str(chance)), chance]}],
            "classes": ["no", "yes"],
        }
        return CaptureRecord(identity, time, given, Payload(json.dumps(told), "JSON", "application/json")).to_line()
    return CaptureRecord(
        identity, time, given, Payload(f"{label},{1 - float(str(chance))},{chance}", "CSV", "text/csv")
    ).to_line()


@pytest.fixture
def capture(tmp_path: Path) -> CaptureWriter:
    """Writes an hour of traffic of one variant, in several files; returns the capture folder."""

    def write(
        rows: int = 600, *, hour: datetime = NOW - timedelta(hours=1), variant: str = "champion", shift: float = 0.0,
        files: int = 3, seed: int = 5, form: str = "csv",
    ) -> Path:  # fmt: skip
        place = tmp_path / "capture" / "churn" / variant / hour.strftime("%Y/%m/%d/%H")
        place.mkdir(parents=True, exist_ok=True)
        lines = [
            line(row, seed * 1_000_000 + i, hour + timedelta(seconds=3599 * i / max(rows, 1)), form)
            for i, row in enumerate(answered(rows, seed, shift=shift).iter_rows())
        ]
        for number in range(files):
            (place / f"{number:02d}-00-000-{uuid.UUID(int=number)}.jsonl").write_text(
                "\n".join(lines[number::files]) + "\n"
            )
        return tmp_path / "capture" / "churn"

    return write


@pytest.fixture
def training_data(tmp_path: Path) -> Path:
    path = tmp_path / "train.parquet"
    answered(20_000, 1).write_parquet(path)
    return path


@pytest.fixture
def schema_file(tmp_path: Path, schema: Schema) -> Path:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"schema": schema.to_json()}))
    return path


@pytest.fixture
def now() -> datetime:
    return NOW
