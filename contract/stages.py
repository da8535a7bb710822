"""What each stage of the training container reads and writes, so that a pipeline can be built without knowing models.

Each stage is a word of the container's program: `ContainerArguments: [stage.name, "--target", "churned", ...]`, where
every hyperparameter of a run may be given as an option. `train` is what SageMaker itself appends for a training job; it
runs all stages in one process. Paths are below /opt/ml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Job = Literal["processing", "training"]

# What a data set is cut into; a snapshot has a folder of Parquet files for each, which serves as a channel as it is.
TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

# Files that programs read; people read the report.html beside each.
SNAPSHOT_FILE = "snapshot.json"
DATA_REPORT_FILE = "data_report.json"
SCHEMA_FILE = "schema.json"
BEST_FILE = "best.json"
EVALUATION_FILE = "evaluation.json"
QUALITY_FILE = "statistics.json"  # the same figures as SageMaker's registry shows them (ModelQuality.Statistics)
PREDICTIONS_FILE = "predictions.parquet"  # test rows with what the model answered: what the monitor's baseline counts
EXPLANATION_FILE = "explanation.json"
REPORT_FILE = "report.html"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder a stage reads or writes: its name as an input or output, its path below /opt/ml, and what it holds."""

    name: str
    path: str
    holds: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage as a job: the word that starts it, its folders, and the files whose values a pipeline may read."""

    name: str
    job: Job
    does: str
    reads: tuple[Place, ...]
    writes: tuple[Place, ...]
    property_files: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # name -> (output, file)


RAW = Place("raw", "processing/raw", "data as it stands: CSV, Parquet or JSON lines, any folders")
SNAPSHOT = Place(
    "snapshot", "processing/snapshot", f"{', '.join(SPLITS)} as Parquet, {SNAPSHOT_FILE} with the data's hash"
)
DATA_REPORT = Place("data_report", "processing/data_report", f"{DATA_REPORT_FILE} and {REPORT_FILE}")
FEATURES = Place("features", "processing/features", f"{SCHEMA_FILE} and the encoded splits")
MODEL = Place("model", "processing/model", "an artifact: model.tar.gz as a training job uploads it, or its files")
TUNING = Place("tuning", "processing/tuning", f"{BEST_FILE} with the hyperparameters to fit with, and {REPORT_FILE}")
EVALUATION = Place(
    "evaluation",
    "processing/evaluation",
    f"{EVALUATION_FILE}, {QUALITY_FILE}, {PREDICTIONS_FILE}, {REPORT_FILE}, plots",
)
EXPLANATION = Place("explanation", "processing/explanation", f"{EXPLANATION_FILE} and {REPORT_FILE}")

STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            "snapshot", "processing", "fix the data: one form, split by a seed, named by its content",
            (RAW,), (SNAPSHOT,), {"Snapshot": ("snapshot", SNAPSHOT_FILE)},
        ),
        Stage(
            "validate", "processing", "refuse data nobody should train on, with a report",
            (SNAPSHOT,), (DATA_REPORT,), {"DataReport": ("data_report", DATA_REPORT_FILE)},
        ),
        Stage("features", "processing", "fix the input schema and encode the rows", (SNAPSHOT,), (FEATURES,)),
        Stage(
            "tune", "processing", "look for the family and hyperparameters that validate best",
            (FEATURES,), (TUNING,), {"Best": ("tuning", BEST_FILE)},
        ),
        Stage("fit", "processing", "fit one family and make its artifact", (FEATURES,), (MODEL,)),
        Stage(
            "evaluate", "processing", "score an artifact on rows it never saw",
            (MODEL, SNAPSHOT), (EVALUATION,), {"Evaluation": ("evaluation", EVALUATION_FILE)},
        ),
        Stage(
            "explain", "processing", "say which inputs an artifact listens to",
            (MODEL, SNAPSHOT), (EXPLANATION,), {"Explanation": ("explanation", EXPLANATION_FILE)},
        ),
        Stage(
            "train", "training", "all of it: from the channels to model.tar.gz",
            (
                Place("train", "input/data/train", "rows to learn from; the only channel that must be there"),
                Place("validation", "input/data/validation", "rows to tune on; else a share of train is held out"),
                Place("test", "input/data/test", "rows to evaluate on; else the validation rows"),
            ),
            (
                Place("model", "model", "the artifact's files, which SageMaker packs as model.tar.gz"),
                Place("output", "output/data", "the reports of all stages, packed as output.tar.gz"),
                Place("checkpoints", "checkpoints", "what a stopped run goes on from"),
            ),
        ),
    )
}  # fmt: skip

# The hyperparameter that holds others, as JSON: what is said of one execution of a pipeline, over its own.
OVERRIDES = "overrides"

# Paths into evaluation.json for conditions: metrics.<name>.value, .low and .high (a 95 % interval).
Direction = Literal["higher", "lower"]
CLASSIFICATION_METRICS: Mapping[str, Direction] = {
    "accuracy": "higher",
    "precision": "higher",
    "recall": "higher",
    "f1": "higher",
    "auc": "higher",
    "log_loss": "lower",
    "brier": "lower",
    "calibration_error": "lower",
}
REGRESSION_METRICS: Mapping[str, Direction] = {"rmse": "lower", "mae": "lower", "r2": "higher"}
METRICS: Mapping[str, Direction] = {**CLASSIFICATION_METRICS, **REGRESSION_METRICS}


def metric_value_path(metric: str) -> str:
    """Where a condition finds a metric in evaluation.json."""
    return f"metrics.{metric}.value"


def metric_definitions() -> list[dict[str, str]]:
    """`MetricDefinitions` of a training job; a tuning job's objective is one of these names."""
    names = [f"{VALIDATION}_{metric}" for metric in METRICS] + ["train_loss", "fit_seconds"]
    return [{"Name": name, "Regex": rf"\b{name}=([-+0-9.eE]+)"} for name in names]


# How the program ends, whichever stage it runs.
DONE = 0
FAILED = 1  # something broke; the failure file says what
WRONG_SETTINGS = 2  # a hyperparameter, a family or a channel that cannot be used
DATA_REFUSED = 3  # the data report has errors
STOPPED = 143  # SIGTERM came; the checkpoint is kept and the same run goes on from it
