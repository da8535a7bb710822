"""The SageMaker Python SDK, in an environment of its own, against the embedded AWS."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localaws.app import App

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".venvs" / "sagemaker-sdk" / "bin" / "python"
PROGRAM = Path(__file__).parent / "sdk" / "train_and_serve.py"


@pytest.fixture(scope="module")
def python() -> Path:
    """The SDK's Python."""
    if not PYTHON.is_file():
        pytest.skip("needs the SDK's environment (1 GB): make apart")
    return PYTHON


@pytest.mark.apart
def test_the_sdk_trains_a_container_and_asks_its_endpoint(
    python: Path, app: App, client: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("1,2\n")
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": app.url,
        "AWS_ACCESS_KEY_ID": "123456789012",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    out = tmp_path / "told.json"
    ran = subprocess.run(
        [str(python), str(PROGRAM), str(tmp_path / "rows.csv"), str(out)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(out.read_text())
    assert told["status"] == "Completed"
    assert (told["answer"], told["variant"]) == ("afloat", "a")
    job = client("sagemaker").describe_training_job(TrainingJobName=told["job"])
    assert job["HyperParameters"] == {"depth": "3"}
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == told["artifact"]
    assert client("sagemaker").list_endpoints()["Endpoints"] == []
