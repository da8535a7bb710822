"""What a version's evidence says of drift and of its origin."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from contract.records import Column, Schema
from delivery.bundle import Bundle, seal
from delivery.card import card
from delivery.dossier import proven_effect
from delivery.evidence import Approval, Evidence, Measure
from delivery.gates import Gates
from delivery.registry import Version
from delivery.signing import Signer
from monitoring.baseline import Rows, build

SCHEMA = Schema((Column("age", "number"), Column("region", "category")), "churned", "classification", ("no", "yes"))


def people(seed: int, shift: float = 0.0, rows: int = 2000) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    chance = rng.random(rows)
    return pl.DataFrame(
        {
            "age": rng.normal(40 + shift, 10, rows).round(2),
            "region": rng.choice(["north", "south"], rows),
            "predicted": np.where(chance > 0.5, "yes", "no"),
            "predicted_probability": chance,
        }
    )


def no_cloud() -> Any:
    raise AssertionError("the rows are on disk")


@pytest.fixture(scope="module")
def baseline() -> bytes:
    return build(lambda: [Rows(people(1))], SCHEMA).to_bytes()


@pytest.mark.parametrize(("shift", "moved"), [(0.0, False), (8.0, True)])
def test_only_a_move_that_is_proven_counts_as_drift(baseline: bytes, tmp_path: Path, shift: float, moved: bool) -> None:
    people(2, shift).write_parquet(tmp_path / "predictions.parquet")
    effect = proven_effect(baseline, str(tmp_path / "predictions.parquet"), no_cloud)
    assert (effect > 1) is moved
    assert (effect == 0) is not moved


@pytest.fixture
def judged(now: datetime, signer: Signer) -> Bundle:
    evidence = Evidence(
        model="churn", version=3, author="ana", made_at=now - timedelta(days=1), artifact_hash="a1", artifact_bytes=10,
        data_hash="d1", code_hash="c1", images={}, metrics={"auc": Measure(value=0.8, low=0.7, high=0.9)},
        approvals=(Approval(who="ben", when=now, note="better"),),
    )  # fmt: skip
    gates = Gates.model_validate({"gates": [{"kind": "threshold", "metric": "auc", "at_least": 0.7}]})
    return seal(evidence, gates, now, signer)


def test_the_card_tells_the_way_from_the_rows_to_the_yes(judged: Bundle, now: datetime) -> None:
    metadata = {"family": "forest", "data": "s3://d/raw/", "training_job": "job-1", "promoted_from": "dev"}
    version = Version(3, "arn:3", "Approved", now, "image@sha256:1", "s3://a/model.tar.gz", metadata)
    made = card(version, judged)
    told = json.loads(made["ModelCardContent"])
    details = told["additional_information"]["custom_details"]
    assert made["ModelCardStatus"] == "Approved"
    assert details["evidence"] == judged.hash
    assert {
        "data": "s3://d/raw/",
        "data_hash": "d1",
        "artifact_hash": "a1",
        "training_job": "job-1",
    }.items() <= details.items()
    assert "ben: better" in told["evaluation_details"][0]["evaluation_observation"]
    assert set(told) <= {"model_overview", "training_details", "evaluation_details", "additional_information"}


def test_a_card_leaves_out_what_a_version_does_not_know(judged: Bundle, now: datetime) -> None:
    version = Version(3, "arn:3", "Approved", now, "image", "s3://a/model.tar.gz", {})
    details = json.loads(card(dataclasses.replace(version), judged)["ModelCardContent"])["additional_information"]
    assert "promoted_from" not in details["custom_details"]
