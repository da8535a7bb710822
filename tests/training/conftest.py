"""A container's folders in a temporary place, a small churn table, and the training program as a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from contract.places import Container
from training import sample

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"target": sample.TARGET, "max_iter": "20", "max_leaf_nodes": "7"}

Fill = Callable[..., Container]


@cache
def churn(rows: int = 1200, seed: int = 1) -> pl.DataFrame:
    return sample.churn(rows, seed)


@pytest.fixture
def table() -> pl.DataFrame:
    return churn()


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path / "ml")


@pytest.fixture
def fill(container: Container) -> Fill:
    """Lay a run before the container: hyperparameters, and a file per channel."""

    def fill_in(
        channels: Mapping[str, pl.DataFrame], hyperparameters: Mapping[str, str] = QUICK, form: str = "parquet"
    ) -> Container:
        container.input_config.mkdir(parents=True, exist_ok=True)
        container.hyperparameters.write_text(json.dumps(dict(hyperparameters)))
        for name, frame in channels.items():
            sample.write(frame, container.channel(name) / f"part-0.{form}")
        return container

    return fill_in


@pytest.fixture(autouse=True)
def without_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "off")


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """Start `python -m training ...` on a base directory, as a process of its own."""

    def start_it(base: Path, *words: str, **more: str) -> subprocess.Popen[str]:
        environment = os.environ | {"SAGEMAKER_BASE_DIR": str(base), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "training", *words],
            cwd=ROOT, env=environment | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return start_it
