"""Sample data: a seeded churn table that behaves like a real one, and the classic sets of scikit-learn.

    python -m training sample churn --rows 20000 --seed 7 --out data/train/churn.parquet

All churn tables come from one world (the same cities, devices and habits), so a table of another seed is what the same
company sees later. `drift` moves that world, `concept` changes why people leave, and outcomes arrive after a delay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

TARGET = "churned"
WORLD = 20_261_120
CATEGORIES = {"plan": 6, "payment_method": 5, "region": 60, "device_model": 700, "city": 3000}
NEW_DEVICES = 40  # models that come to market only with drift
MISSING = {
    "age": 0.08,
    "rating": 0.35,
    "network_quality": 0.05,
    "days_since_contact": 0.12,
    "city": 0.02,
    "region": 0.01,
}

Numbers = npt.NDArray[np.float64]


class SampleError(ValueError):
    """A sample table cannot be made as asked; the text says what was given and what can be."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """How a table differs from the world at training time; all zero is no difference.

    `drift` 1 is a year of change: dearer plans, more data, new devices. `concept` 1 makes price matter as much as
    service did. `missing` scales how much is missing (1 as usual, 2 twice). `delay_days` is how long the median
    outcome takes.
    """

    drift: float = 0.0
    concept: float = 0.0
    missing: float = 1.0
    delay_days: float = 30.0

    def __post_init__(self) -> None:
        for name, least in (("drift", -1), ("missing", 0), ("delay_days", 0)):
            if not getattr(self, name) >= least:
                raise SampleError(f"{name} is {getattr(self, name)}, expected a number of at least {least}")


TRAINING = Knobs()


def churn(rows: int, seed: int, knobs: Knobs = TRAINING) -> pl.DataFrame:
    """Customers with 20 numbers, 5 categories and whether they left; about a quarter did."""
    if rows < 1 or seed < 0:
        raise SampleError(f"{rows} rows with seed {seed} were asked for, expected at least 1 row and a seed from 0")
    rng = np.random.default_rng([WORLD, seed])
    numbers = _numbers(rows, rng, knobs)
    levels = _levels(rows, rng, knobs)
    left = rng.random(rows) < _chance_of_leaving(numbers, levels, knobs)
    columns: dict[str, pl.Series] = {name: pl.Series(name, values) for name, values in numbers.items()}
    columns |= {name: _names(name, values) for name, values in levels.items()}
    frame = pl.DataFrame(columns).with_columns(
        pl.col("support_calls", "late_payments", "household", "devices", "outages", "referrals").cast(pl.Int64)
    )
    return _with_gaps(frame, rng, knobs).with_columns(pl.Series(TARGET, np.where(left, "yes", "no")))


def outcomes(table: pl.DataFrame, seed: int, knobs: Knobs = TRAINING) -> pl.DataFrame:
    """When the truth about each row is known, in days: leaving shows early, staying only with time."""
    rng = np.random.default_rng([WORLD, seed, 1])
    days = rng.gamma(2.0, knobs.delay_days / 1.678, len(table))  # 1.678: the median of a gamma of shape 2
    left = (table[TARGET] == "yes").to_numpy()
    return pl.DataFrame(
        {"row": np.arange(len(table)), "value": table[TARGET], "known_after_days": np.where(left, days * 0.7, days)}
    )


def _numbers(rows: int, rng: np.random.Generator, knobs: Knobs) -> dict[str, Numbers]:
    drift = knobs.drift
    tenure = np.minimum(rng.exponential(30, rows), 180)
    charge = rng.lognormal(3.6, 0.45, rows) * (1 + 0.2 * drift)
    usage = rng.lognormal(0, 0.6, rows)
    return {
        "tenure_months": tenure.round(1),
        "monthly_charge": np.round(charge, 2),
        "total_charge": np.round(charge * tenure * rng.uniform(0.85, 1.05, rows), 2),
        "data_gb": np.round(8 * usage * rng.lognormal(0.5 * drift, 0.5, rows), 3),
        "voice_minutes": np.round(120 * rng.lognormal(-0.25 * drift, 0.9, rows), 1),
        "messages": np.round(40 * rng.lognormal(-0.5 * drift, 1.1, rows)),
        "support_calls": rng.poisson(0.9 + 0.4 * drift, rows).astype(np.float64),
        "days_since_contact": np.round(rng.exponential(60, rows)),
        "late_payments": rng.poisson(0.35, rows).astype(np.float64),
        "discount_percent": np.where(rng.random(rows) < 0.3, rng.uniform(5, 40, rows), 0).round(1),
        "contract_months_left": np.round(rng.uniform(0, 24, rows)),
        "age": np.round(np.clip(rng.normal(44, 16, rows), 18, 99)),
        "household": 1 + rng.poisson(1.2, rows).astype(np.float64),
        "devices": 1 + rng.poisson(0.8 + 0.3 * drift, rows).astype(np.float64),
        "network_quality": np.round(rng.beta(8, 2, rows), 4),
        "speed_mbps": np.round(rng.gamma(3, 30 * (1 + 0.5 * drift), rows), 1),
        "outages": rng.poisson(0.6, rows).astype(np.float64),
        "app_sessions": np.round(15 * usage * rng.lognormal(0.2 * drift, 0.8, rows)),
        "rating": np.round(np.clip(rng.normal(7, 2, rows), 0, 10), 1),
        "referrals": rng.poisson(0.2, rows).astype(np.float64),
    }


def _levels(rows: int, rng: np.random.Generator, knobs: Knobs) -> dict[str, npt.NDArray[np.int64]]:
    """Level numbers: few are common and most are rare, as in life; drift brings devices nobody had before."""
    levels = {}
    for name, count in CATEGORIES.items():
        popularity = 1 / np.arange(1, count + 1) ** 0.9
        levels[name] = rng.choice(count, rows, p=popularity / popularity.sum())
    fresh = rng.random(rows) < min(0.25 * knobs.drift, 1)
    new = CATEGORIES["device_model"] + rng.integers(0, NEW_DEVICES, rows)
    return levels | {"device_model": np.where(fresh, new, levels["device_model"])}


def _chance_of_leaving(numbers: dict[str, Numbers], levels: dict[str, npt.NDArray[np.int64]], knobs: Knobs) -> Numbers:
    world = np.random.default_rng(WORLD)
    service = (
        0.45 * numbers["support_calls"]
        + 0.5 * numbers["outages"] * (numbers["network_quality"] < 0.8)
        - 0.18 * (numbers["rating"] - 7)
    )
    price = 0.02 * (numbers["monthly_charge"] - 40) - 0.03 * numbers["discount_percent"]
    tie = -0.9 * np.log1p(numbers["tenure_months"] / 12) - 0.05 * numbers["contract_months_left"]
    habits = (
        0.35 * numbers["late_payments"] - 0.3 * numbers["referrals"] - 0.02 * np.minimum(numbers["app_sessions"], 60)
    )
    score = -0.55 + service * (1 - 0.7 * knobs.concept) + price * (1 + 2 * knobs.concept) + tie + habits
    for name, spread in {"plan": 0.5, "payment_method": 0.4, "region": 0.3, "device_model": 0.35, "city": 0.4}.items():
        extra = NEW_DEVICES if name == "device_model" else 0
        effect = world.normal(0, spread, CATEGORIES[name] + extra)
        score = score + effect[levels[name]]
    return np.asarray(1 / (1 + np.exp(-score)), dtype=np.float64)


def _names(column: str, levels: npt.NDArray[np.int64]) -> pl.Series:
    width = len(str(CATEGORIES[column]))
    return pl.Series(column, [f"{column}-{level:0{width}d}" for level in levels.tolist()])


def _with_gaps(frame: pl.DataFrame, rng: np.random.Generator, knobs: Knobs) -> pl.DataFrame:
    gaps = {name: rng.random(len(frame)) < min(share * knobs.missing, 1) for name, share in MISSING.items()}
    return frame.with_columns(
        pl.when(pl.Series(gap)).then(None).otherwise(pl.col(name)).alias(name) for name, gap in gaps.items()
    )


def iris() -> pl.DataFrame:
    """Fisher's iris flowers: 150 rows, 4 numbers, 3 classes (`species`)."""
    from sklearn.datasets import load_iris

    return _classic(load_iris(), "species")


def breast_cancer() -> pl.DataFrame:
    """Wisconsin breast cancer: 569 rows, 30 numbers, 2 classes (`diagnosis`)."""
    from sklearn.datasets import load_breast_cancer

    return _classic(load_breast_cancer(), "diagnosis")


def diabetes() -> pl.DataFrame:
    """Diabetes progression: 442 rows, 10 numbers, and a number to predict (`progression`)."""
    from sklearn.datasets import load_diabetes

    bunch: Any = load_diabetes(scaled=False)
    return pl.DataFrame(dict(zip(bunch.feature_names, bunch.data.T, strict=True)) | {"progression": bunch.target})


def _classic(bunch: Any, target: str) -> pl.DataFrame:
    names = [name.replace(" (cm)", "").replace(" ", "_") for name in bunch.feature_names]
    columns = dict(zip(names, bunch.data.T, strict=True))
    return pl.DataFrame(columns | {target: [str(bunch.target_names[at]) for at in bunch.target]})


CLASSICS: dict[str, tuple[Callable[[], pl.DataFrame], str]] = {
    "iris": (iris, "species"),
    "breast_cancer": (breast_cancer, "diagnosis"),
    "diabetes": (diabetes, "progression"),
}


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write a table in the form its ending names: csv, parquet or jsonl."""
    writers: dict[str, Callable[[Path], object]] = {
        ".csv": frame.write_csv,
        ".parquet": frame.write_parquet,
        ".jsonl": frame.write_ndjson,
    }
    if path.suffix not in writers:
        raise SampleError(f"'{path.name}' ends in '{path.suffix}', expected one of {', '.join(writers)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    writers[path.suffix](path)
