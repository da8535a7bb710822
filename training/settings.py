"""What a run is told: its own hyperparameters and those of its family, read once, typed, mistakes reported together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contract.places import Container
from families.discovery import find, known_family
from families.family import Family
from families.hyperparameters import Hyperparameter, read_all
from training.channels import read_json

RESERVED = ("sagemaker_", "_tuning_objective_metric")  # SageMaker and its toolkits put these beside ours
TASKS = ("auto", "classification", "regression")

OF_A_RUN = (
    Hyperparameter("family", "text", "hist_gradient_boosting", "which kind of model to fit"),
    Hyperparameter("target", "text", "target", "the column to predict"),
    Hyperparameter("task", "choice", "auto", "what kind of target it is", choices=TASKS),
    Hyperparameter("drop", "text", "", "columns to leave out, separated by commas"),
    Hyperparameter("categories", "text", "", "number columns that are really names, separated by commas"),
    Hyperparameter("header", "boolean", True, "whether CSV files begin with the names of their columns"),
    Hyperparameter("validation_share", "number", 0.2, "rows held out when there is no validation channel", 0.01, 0.9),
    Hyperparameter("seed", "integer", 0, "where all randomness of the run begins", 0, 2**31 - 1),
)


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
    seed: int = 0
    of_family: Mapping[str, Any] = field(default_factory=dict)

    @property
    def found_family(self) -> Family:
        return find(self.family)


def read_settings(given: Mapping[str, object]) -> Settings:
    """Settings from hyperparameters as SageMaker gives them: a flat object of text."""
    ours = {name: value for name, value in given.items() if not name.startswith(RESERVED)}
    family = known_family(str(ours.get("family", OF_A_RUN[0].default)).strip('"'))
    values = read_all([*OF_A_RUN, *family.hyperparameters], ours)
    run: dict[str, Any] = {each.name: values[each.name] for each in OF_A_RUN}
    for name in ("drop", "categories"):
        run[name] = tuple(part.strip() for part in run[name].split(",") if part.strip())
    return Settings(**run, of_family={each.name: values[each.name] for each in family.hyperparameters})


def settings_of(container: Container) -> Settings:
    return read_settings(read_json(container.hyperparameters))
