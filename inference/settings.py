"""What the serving program is told by its environment: read once, typed, frozen.

SageMaker's own variables keep their names; ours begin with SLIPWAY_SERVE_, and a misspelt one is an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from contract import places
from contract.records import nearest

PREFIX = "SLIPWAY_SERVE_"
MEBIBYTE = 1024 * 1024
SYNCHRONOUS_LIMIT = 6 * MEBIBYTE  # what InvokeEndpoint takes
BATCH_LIMIT = 100 * MEBIBYTE  # concurrency times payload may not exceed this in a transform job

Output = Literal["both", "labels", "probabilities"]
Log = Literal["all", "refusals", "none"]
Strategy = Literal["MULTI_RECORD", "SINGLE_RECORD"]


class SettingsError(ValueError):
    """The environment cannot be read; the text lists every problem with what was given and expected."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve."""

    model: Path
    models: Path
    host: str = "0.0.0.0"  # noqa: S104 - a container is reached from outside itself
    port: int = 8080
    workers: int = 1
    multi_model: bool = False
    batch: bool = False
    batch_strategy: Strategy = "MULTI_RECORD"
    concurrent_transforms: int | None = None
    max_body: int = SYNCHRONOUS_LIMIT
    max_rows: int = 2_000_000
    max_models: int = 100
    accept: str = ""
    output: Output = "both"
    before: str = ""
    after: str = ""
    log: Log = "all"
    log_predictions: bool = False
    redact: frozenset[str] = field(default_factory=frozenset)
    read_seconds: float = 30.0
    idle_seconds: float = 300.0
    quiet_seconds: float = 1.0
    drain_seconds: float = 25.0


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process, or one error that lists everything wrong with its environment."""
    given = os.environ if environment is None else environment
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name, (key, parse, expected) in VARIABLES.items():
        if given.get(name, "") == "":
            continue
        try:
            values[key] = parse(given[name])
        except ValueError:
            problems.append(f"{name}='{given[name]}': expected {expected}")
    known = [name for name in VARIABLES if name.startswith(PREFIX)]
    problems += [
        f"{name} is not a setting.{nearest(name, known)}"
        for name in sorted(given)
        if name.startswith(PREFIX) and name not in VARIABLES
    ]
    if problems:
        raise SettingsError("; ".join(problems))
    container = places.Container.from_environment(given)
    defaults: dict[str, Any] = {
        "workers": cores(),
        "host": _host(given),
        "max_body": _max_body(values.pop("payload_mb", None), values),
    }
    return Settings(model=container.model, models=container.models, **defaults | values)


def cores() -> int:
    """How many cores this process may use: one worker each."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _host(given: Mapping[str, str]) -> str:
    """A container listens to the outside; with folders standing in for /opt/ml this is somebody's own machine."""
    return "127.0.0.1" if places.BASE_DIR in given else "0.0.0.0"  # noqa: S104 - the container's own network


def _max_body(payload_mb: int | None, values: Mapping[str, Any]) -> int:
    if payload_mb:
        return payload_mb * MEBIBYTE
    return BATCH_LIMIT if payload_mb == 0 and values.get("batch") else SYNCHRONOUS_LIMIT


def _flag(text: str) -> bool:
    truths = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in truths:
        raise ValueError
    return truths[text.lower()]


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError
    return value


def _natural(text: str) -> int:
    if (value := int(text)) < 0:
        raise ValueError
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError
    return value


def _one_of(kind: Any) -> Callable[[str], str]:
    names = {name.lower(): name for name in get_args(kind)}

    def parse(text: str) -> str:
        if text.lower() not in names:
            raise ValueError
        return names[text.lower()]

    return parse


def _import_path(text: str) -> str:
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise ValueError
    return text


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


Parse = Callable[[str], Any]

# Environment variable -> what it sets, how it is read, what an error says was expected.
VARIABLES: Mapping[str, tuple[str, Parse, str]] = {
    places.BIND_TO_PORT: ("port", _natural, "a port number"),
    places.MODEL_SERVER_WORKERS: ("workers", _positive, "a number of processes, at least 1"),
    places.MULTI_MODEL: ("multi_model", _flag, "true or false"),
    places.BATCH: ("batch", _flag, "true or false"),
    places.BATCH_STRATEGY: ("batch_strategy", _one_of(Strategy), "MULTI_RECORD or SINGLE_RECORD"),
    places.MAX_CONCURRENT_TRANSFORMS: ("concurrent_transforms", _natural, "a number of requests at a time"),
    places.MAX_PAYLOAD_IN_MB: ("payload_mb", _natural, "a number of mebibytes"),
    "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": ("accept", str, "a media type"),
    PREFIX + "HOST": ("host", str, "an address to listen on"),
    PREFIX + "MAX_ROWS": ("max_rows", _positive, "the most rows one request may hold"),
    PREFIX + "MAX_MODELS": ("max_models", _positive, "the most models held at a time"),
    PREFIX + "OUTPUT": ("output", _one_of(Output), "both, labels or probabilities"),
    PREFIX + "BEFORE": ("before", _import_path, "module:function"),
    PREFIX + "AFTER": ("after", _import_path, "module:function"),
    PREFIX + "LOG": ("log", _one_of(Log), "all, refusals or none"),
    PREFIX + "LOG_PREDICTIONS": ("log_predictions", _flag, "true or false"),
    PREFIX + "REDACT": ("redact", _names, "column names, separated by commas"),
    PREFIX + "READ_SECONDS": ("read_seconds", _seconds, "seconds a whole request may take to arrive"),
    PREFIX + "IDLE_SECONDS": ("idle_seconds", _seconds, "seconds a connection may stay idle"),
    PREFIX + "QUIET_SECONDS": ("quiet_seconds", _seconds, "seconds of silence that end a connection while draining"),
    PREFIX + "DRAIN_SECONDS": ("drain_seconds", _seconds, "seconds that draining may take"),
}
