"""Log a run to MLflow: a server by its address, SageMaker's managed MLflow by its ARN, or a local file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contract.places import TRACKING_EXPERIMENT, TRACKING_OFF, TRACKING_URI, TRAINING_JOB_NAME

LONGEST = 500  # what every MLflow store takes as a value


@dataclass(frozen=True, slots=True)
class Tracked:
    """What a run leaves behind, as MLflow keeps it."""

    params: Mapping[str, object]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    artifacts: Mapping[str, Path]


def log(tracked: Tracked, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Log and answer where; a tracking server that is away must not cost the model, so its error is an answer too."""
    given = os.environ if environment is None else environment
    if given.get(TRACKING_URI) == TRACKING_OFF:
        return f"tracking: {TRACKING_OFF}"
    uri = given.get(TRACKING_URI) or local_store(folder)
    try:
        run = _log(tracked, uri, given)
    except Exception as problem:  # noqa: BLE001 - whatever MLflow or the network raise, the model is made already
        return f"tracking: not logged to '{uri}' ({type(problem).__name__}: {problem}); the artifact is not affected"
    return f"tracking: run {run} at {uri}"


def local_store(folder: Path) -> str:
    """A database file; MLflow's folder of small files is on its way out."""
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder.resolve() / 'mlflow.db'}"


def _log(tracked: Tracked, uri: str, given: Mapping[str, str]) -> str:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a training run tells nobody else of itself
    import mlflow

    mlflow.set_tracking_uri(uri)
    name = given.get(TRACKING_EXPERIMENT, "slipway")
    if uri.startswith("sqlite:") and mlflow.get_experiment_by_name(name) is None:
        beside = Path(uri.removeprefix("sqlite:///")).parent / "artifacts"
        mlflow.create_experiment(name, artifact_location=beside.as_uri())
    mlflow.set_experiment(name)
    with mlflow.start_run(run_name=given.get(TRAINING_JOB_NAME)) as run:
        mlflow.log_params({name: str(value)[:LONGEST] for name, value in tracked.params.items()})
        mlflow.log_metrics(dict(tracked.metrics))
        mlflow.set_tags(dict(tracked.tags))
        for name, each in tracked.artifacts.items():
            mlflow.log_artifacts(str(each), artifact_path=name)
    return str(run.info.run_id)
