"""From a table to answers with nothing but this machine: train, pack, unpack, serve, ask in every content type."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from contract.places import ARTIFACT, TREE_FORM, Container
from families.artifact import pack, unpack
from training import sample

if TYPE_CHECKING:
    from tests.inference.conftest import Start

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"target": sample.TARGET, "max_iter": "20", "max_leaf_nodes": "7"}


def train(container: Container) -> None:
    container.input_config.mkdir(parents=True)
    container.hyperparameters.write_text(json.dumps(QUICK))
    sample.write(sample.churn(800, 1), container.channel("train") / "part-0.parquet")
    environment = os.environ | {"SAGEMAKER_BASE_DIR": str(container.base), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "training", "train"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def in_every_form(rows: pl.DataFrame) -> dict[str, bytes]:
    parquet, array = io.BytesIO(), io.BytesIO()
    rows.write_parquet(parquet)
    texts = rows.select(pl.all().cast(pl.String).fill_null(""))
    np.save(array, np.array(texts.rows(), dtype=np.str_))
    return {
        "text/csv": rows.write_csv().encode(),
        "text/csv; header=absent": rows.write_csv(include_header=False).encode(),
        "application/json": json.dumps({"instances": [list(row) for row in rows.rows()]}).encode(),
        "application/jsonlines": rows.write_ndjson().encode(),
        "application/x-npy": array.getvalue(),
        "application/x-parquet": parquet.getvalue(),
    }


def test_a_trained_model_answers_equally_in_every_content_type(start: Start, tmp_path: Path) -> None:
    container = Container(tmp_path / "ml")
    train(container)
    pack(container.model, tmp_path / ARTIFACT)
    manifest = unpack(tmp_path / ARTIFACT, tmp_path / "unpacked")
    assert TREE_FORM in manifest.files
    server = start(tmp_path / "unpacked")
    told: dict[str, Any] = {}
    for content_type, body in in_every_form(sample.churn(300, 2).drop(sample.TARGET)).items():
        reply = server.invoke(body, content_type, "application/json")
        assert reply.status == 200, (content_type, reply.body)
        told[content_type] = reply.json
    first = told["text/csv"]
    assert len(first["predictions"]) == 300
    assert first["classes"] == ["no", "yes"]
    assert {form: answer == first for form, answer in told.items()} == dict.fromkeys(told, True)
