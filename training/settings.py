"""What a run is told: its own hyperparameters and those of its family, read once, typed, mistakes reported together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contract.places import Container
from contract.records import Task, nearest
from contract.stages import METRICS, OVERRIDES
from families.discovery import known_family
from families.hyperparameters import Hyperparameter, HyperparameterError, read_all
from training.channels import read_json

RESERVED = ("sagemaker_", "_tuning_objective_metric")  # SageMaker and its toolkits put these beside ours
TASKS = ("auto", "classification", "regression")
CHECKS = ("leakage", "duplicates", "balance", "missing", "range", "levels", "schema", "rows")

OF_A_RUN = (
    Hyperparameter("family", "text", "hist_gradient_boosting", "which kind of model to fit"),
    Hyperparameter("target", "text", "target", "the column to predict"),
    Hyperparameter("task", "choice", "auto", "what kind of target it is", choices=TASKS),
    Hyperparameter("drop", "text", "", "columns to leave out, separated by commas"),
    Hyperparameter("categories", "text", "", "number columns that are really names, separated by commas"),
    Hyperparameter("header", "boolean", True, "whether CSV files begin with the names of their columns"),
    Hyperparameter("validation_share", "number", 0.2, "rows held out when there is no validation channel", 0.01, 0.9),
    Hyperparameter("test_share", "number", 0.1, "rows a snapshot keeps for the evaluation", 0.01, 0.9),
    Hyperparameter("seed", "integer", 0, "where all randomness of the run begins", 0, 2**31 - 1),
    Hyperparameter("allow", "text", "", f"data checks that only warn, separated by commas, of {', '.join(CHECKS)}"),
    Hyperparameter("slices", "text", "", "category columns to evaluate level by level; empty: those of few levels"),
    Hyperparameter("explain", "boolean", True, "whether a training run ends with an explanation"),
    Hyperparameter("objective", "choice", "auto", "what tuning looks at", choices=("auto", *METRICS)),
    Hyperparameter("tune_trials", "integer", 0, "how many combinations to try before the fit; 0 tries none", 0, 10_000),
    Hyperparameter("tune_families", "text", "", "families to choose from, separated by commas; empty: only `family`"),
    Hyperparameter("tune_sampler", "choice", "bayesian", "how to choose what to try", choices=("bayesian", "random")),
    Hyperparameter("tune_patience", "integer", 20, "trials without a better one before tuning ends early", 1, 10_000),
    Hyperparameter("tune_seconds", "integer", 86_400, "when tuning begins no further trial", 1, 28 * 86_400),
)
LISTS = ("drop", "categories", "allow", "slices", "tune_families")


@dataclass(frozen=True, slots=True)
class Settings:
    """What one run does."""

    family: str = "hist_gradient_boosting"
    target: str = "target"
    task: str = "auto"
    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    header: bool = True
    validation_share: float = 0.2
    test_share: float = 0.1
    seed: int = 0
    allow: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    explain: bool = True
    objective: str = "auto"
    tune_trials: int = 0
    tune_families: tuple[str, ...] = ()
    tune_sampler: str = "bayesian"
    tune_patience: int = 20
    tune_seconds: int = 86_400
    of_family: Mapping[str, Any] = field(default_factory=dict)

    def objective_for(self, task: Task) -> str:
        if self.objective != "auto":
            return self.objective
        return "log_loss" if task == "classification" else "rmse"


def read_settings(given: Mapping[str, object]) -> Settings:
    """Settings from hyperparameters as SageMaker gives them: a flat object of text."""
    ours = overridden({name: value for name, value in given.items() if not name.startswith(RESERVED)})
    family = known_family(str(ours.get("family", OF_A_RUN[0].default)).strip('"'))
    values = read_all([*OF_A_RUN, *family.hyperparameters], ours)
    run: dict[str, Any] = {each.name: values[each.name] for each in OF_A_RUN}
    for name in LISTS:
        run[name] = tuple(part.strip() for part in run[name].split(",") if part.strip())
    _check_names(run)
    return Settings(**run, of_family={each.name: values[each.name] for each in family.hyperparameters})


def overridden(given: Mapping[str, object]) -> dict[str, object]:
    """Hyperparameters with those of one execution over them, where a pipeline brought some."""
    text = str(given.get(OVERRIDES, "{}")).strip()
    try:
        over = json.loads(text)
        if isinstance(over, str):  # SageMaker quotes text once more
            over = json.loads(over)
    except ValueError:
        over = None
    if not isinstance(over, dict):
        raise HyperparameterError(f"{OVERRIDES} is {text!r}, expected an object of hyperparameters as JSON.")
    return {name: value for name, value in {**given, **over}.items() if name != OVERRIDES}


def _check_names(run: Mapping[str, Any]) -> None:
    for name in run["allow"]:
        if name not in CHECKS:
            raise HyperparameterError(
                f"allow names '{name}'.{nearest(name, CHECKS)} The data checks are {', '.join(CHECKS)}."
            )
    for name in run["tune_families"]:
        known_family(name)


def settings_of(container: Container, more: Mapping[str, object] | None = None) -> Settings:
    """The settings of this container: its hyperparameters file, and over it what the command line says."""
    return read_settings({**read_json(container.hyperparameters), **(more or {})})
