"""Where things stand: container paths, environment variables and S3 keys, named once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Environment variables.
BASE_DIR = "SAGEMAKER_BASE_DIR"  # stands in for /opt/ml; AWS's own toolkits honour it too
BIND_TO_PORT = "SAGEMAKER_BIND_TO_PORT"
BATCH = "SAGEMAKER_BATCH"
MAX_PAYLOAD_IN_MB = "SAGEMAKER_MAX_PAYLOAD_IN_MB"
BATCH_STRATEGY = "SAGEMAKER_BATCH_STRATEGY"
MAX_CONCURRENT_TRANSFORMS = "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"
MULTI_MODEL = "SAGEMAKER_MULTI_MODEL"
MODEL_SERVER_WORKERS = "SAGEMAKER_MODEL_SERVER_WORKERS"
TRACKING_URI = "MLFLOW_TRACKING_URI"
TRACKING_OFF = "off"  # as the tracking URI: log nowhere
TRACKING_EXPERIMENT = "MLFLOW_EXPERIMENT_NAME"
TRAINING_JOB_NAME = "TRAINING_JOB_NAME"
ARTIFACT_HASH = "SLIPWAY_ARTIFACT_HASH"  # of a serving container: which artifact it answers from


@dataclass(frozen=True, slots=True)
class Container:
    """The folders SageMaker gives a container, below one base."""

    base: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Container:
        given = os.environ if environment is None else environment
        return cls(Path(given.get(BASE_DIR, "/opt/ml")))

    @property
    def input_config(self) -> Path:
        return self.base / "input" / "config"

    @property
    def hyperparameters(self) -> Path:
        return self.input_config / "hyperparameters.json"

    @property
    def input_data_config(self) -> Path:
        return self.input_config / "inputdataconfig.json"

    @property
    def resource_config(self) -> Path:
        return self.input_config / "resourceconfig.json"

    def channel(self, name: str) -> Path:
        return self.base / "input" / "data" / name

    @property
    def model(self) -> Path:
        return self.base / "model"

    @property
    def models(self) -> Path:
        """Where a multi-model endpoint puts each model it loads."""
        return self.base / "models"

    @property
    def output(self) -> Path:
        return self.base / "output"

    @property
    def output_data(self) -> Path:
        return self.output / "data"

    @property
    def failure(self) -> Path:
        return self.output / "failure"

    @property
    def message(self) -> Path:
        """Where a processing job leaves its exit message."""
        return self.output / "message"

    @property
    def metrics(self) -> Path:
        """Where a monitor leaves metric lines for the platform to publish."""
        return self.output / "metrics" / "cloudwatch"

    @property
    def checkpoints(self) -> Path:
        return self.base / "checkpoints"

    @property
    def processing(self) -> Path:
        return self.base / "processing"

    @property
    def processing_config(self) -> Path:
        return self.base / "config" / "processingjobconfig.json"

    @property
    def processing_resources(self) -> Path:
        return self.base / "config" / "resourceconfig.json"


# Files of an artifact (model.tar.gz).
ARTIFACT = "model.tar.gz"
MANIFEST = "manifest.json"
FAST_FORM = "model.onnx"
TREE_FORM = "model.trees"  # beside the fast form of trees: the same model for compiled code
BASELINE = "baseline.json"

# S3 prefixes below the bucket of each purpose; `model` is the model's name in settings.


def snapshot_prefix(model: str, data_hash: str) -> str:
    """Immutable training data, named by its content."""
    return f"snapshots/{model}/{data_hash}/"


def run_prefix(model: str, run: str) -> str:
    """Everything one run wrote."""
    return f"runs/{model}/{run}/"


def baseline_key(model: str, artifact_hash: str) -> str:
    return f"{baselines_prefix(model)}{artifact_hash}/{BASELINE}"


def baselines_prefix(model: str) -> str:
    return f"baselines/{model}/"


def capture_prefix(endpoint: str, variant: str | None = None) -> str:
    """SageMaker itself appends <endpoint>/<variant>/yyyy/mm/dd/hh below the destination it is given."""
    return f"capture/{endpoint}/" + (f"{variant}/" if variant else "")


def slice_prefix(endpoint: str, config: str) -> str:
    """The records that one endpoint configuration answered."""
    return f"{capture_prefix(endpoint)}{config}/"


def outcomes_prefix(endpoint: str) -> str:
    return f"outcomes/{endpoint}/"


def windows_prefix(endpoint: str) -> str:
    """Profiles, verdicts and reports of judged windows."""
    return f"windows/{endpoint}/"


def experiment_prefix(endpoint: str, experiment: str) -> str:
    return f"experiments/{endpoint}/{experiment}/"


def batch_input_prefix(model: str, content: str) -> str:
    """Rows handed over for a batch, in the bucket of data, named by their content."""
    return f"batch/{model}/{content}/"


def batch_prefix(model: str, job: str) -> str:
    """The answers of one batch, in the bucket of artifacts."""
    return f"batch/{model}/{job}/"


def evidence_key(model: str, bundle_hash: str) -> str:
    return f"evidence/{model}/{bundle_hash}.json"


def ledger_prefix(environment: str) -> str:
    return f"ledger/{environment}/"
