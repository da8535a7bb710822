"""What a run does, from a file and from options over it: read once, typed, a wrong name answered with the nearest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contract.records import nearest

Scalar = bool | int | float | str
HYPERPARAMETERS = "hyperparameters"


class RunFileError(Exception):
    """A run's file or an option over it is wrong; the text says where, what was expected and the nearest right name."""


class RunFile(BaseModel):
    """One run: its data and family, hyperparameters over those of the settings, where it is logged, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    data: str | None = None
    family: str | None = None
    experiment: str | None = None
    reason: str = "asked for"
    again: str = ""
    hyperparameters: dict[str, Scalar] = Field(default_factory=dict)


def read(path: Path | None, options: Mapping[str, Any], settings: Sequence[str]) -> RunFile:
    """The file if there is one, over it each NAME=VALUE, over them the options that were given."""
    document = document_of(path) if path is not None else {}
    for each in settings:
        put(document, each)
    document |= {name: value for name, value in options.items() if value is not None}
    try:
        return RunFile.model_validate(document)
    except ValidationError as problem:
        raise RunFileError("\n".join(said(each, path) for each in problem.errors())) from None


def document_of(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise RunFileError(
            f"{path} cannot be read: {problem}. Expected YAML in UTF-8 such as `family: xgboost`."
        ) from None
    if not isinstance(document, dict):
        raise RunFileError(f"{path} holds a {type(document).__name__}, expected names and values.")
    return document


def put(document: dict[str, Any], setting: str) -> None:
    """Take NAME=VALUE over: a name of a run, or a hyperparameter's."""
    name, equals, value = setting.partition("=")
    name = name.strip().removeprefix(f"{HYPERPARAMETERS}.")
    if not equals or not name:
        raise RunFileError(f"--set {setting}: expected NAME=VALUE, for example --set max_iter=50.")
    if name in RunFile.model_fields and name != HYPERPARAMETERS:
        document[name] = value
    else:
        document[HYPERPARAMETERS] = {**(document.get(HYPERPARAMETERS) or {}), name: value_of(setting, value)}


def value_of(setting: str, value: str) -> Any:
    """What a value typed after --set is, as YAML reads it."""
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        raise RunFileError(f"--set {setting}: expected a number, true, false or a text after the sign.") from None


def said(problem: Any, path: Path | None) -> str:
    """One mistake, where it stands and what was expected."""
    where = ".".join(map(str, problem["loc"][:2]))
    source = f"{path}: " if path is not None else ""
    if problem["type"] == "extra_forbidden":
        known = list(RunFile.model_fields)
        hint = nearest(where, known)
        return f"{source}a run has no '{where}'.{hint} Known: {', '.join(known)}; others go below {HYPERPARAMETERS}."
    return f"{source}{where} is {problem['input']!r}: {problem['msg'].lower()}"
