"""A run is logged where it is told to, and a tracking server that is away does not cost the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.tracking import Tracked, local_store, log


@pytest.fixture
def tracked(tmp_path: Path) -> Tracked:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    (folder / "evaluation.json").write_text("{}")
    tags = {"data_hash": "abc", "code_hash": "def"}
    return Tracked({"family": "xgboost", "rounds": 50}, {"validation_auc": 0.9}, tags, {"evaluation": folder})


@pytest.mark.filterwarnings("ignore")
def test_params_metrics_hashes_and_files_are_logged_to_the_local_store(tracked: Tracked, tmp_path: Path) -> None:
    said = log(tracked, tmp_path / "mlflow", {"TRAINING_JOB_NAME": "churn-1"})
    assert said.startswith("tracking: run "), said
    from mlflow.tracking import MlflowClient

    client = MlflowClient(local_store(tmp_path / "mlflow"))
    run = client.get_run(said.split()[2])
    assert run.data.params == {"family": "xgboost", "rounds": "50"}
    assert run.data.metrics == {"validation_auc": 0.9}
    assert run.data.tags["data_hash"] == "abc"
    assert run.info.run_name == "churn-1"
    assert [each.path for each in client.list_artifacts(run.info.run_id, "evaluation")] == [
        "evaluation/evaluation.json"
    ]


@pytest.mark.filterwarnings("ignore")
def test_a_server_that_is_away_is_reported_and_no_more(
    tracked: Tracked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    said = log(tracked, tmp_path, {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    assert said.startswith("tracking: not logged to 'http://127.0.0.1:9'")
    assert "the artifact is not affected" in said


@pytest.mark.filterwarnings("ignore")
def test_the_arn_of_a_managed_server_is_understood() -> None:
    from mlflow.tracking._tracking_service.utils import _tracking_store_registry

    arn = "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-app/app-1"
    builder = _tracking_store_registry.get_store_builder(arn)
    assert "sagemaker_mlflow" in f"{getattr(builder, 'value', builder)}{getattr(builder, '__module__', '')}"


def test_off_logs_nowhere(tracked: Tracked, tmp_path: Path) -> None:
    assert log(tracked, tmp_path / "mlflow", {"MLFLOW_TRACKING_URI": "off"}) == "tracking: off"
    assert not (tmp_path / "mlflow").exists()
