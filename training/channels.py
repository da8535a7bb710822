"""Read what SageMaker put before us: hyperparameters, hosts, and the files of a channel in whatever form they came."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from contract.places import TRAINING_JOB_NAME, Container
from training.faults import fault_of

READ_AS_MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]
FORMS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonlines",
    ".jsonl.gz": "jsonlines",
    ".ndjson": "jsonlines",
}
CONTENT_TYPES = {
    "text/csv": "csv",
    "csv": "csv",
    "application/x-parquet": "parquet",
    "application/parquet": "parquet",
    "application/jsonlines": "jsonlines",
    "application/x-jsonlines": "jsonlines",
}
NO_DATA = ("_SUCCESS", "_committed", "_started")


class ChannelError(Exception):
    """A channel cannot be read; the text says which file, what is wrong with it and what was expected."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """The machines of this run; the first in order leads and writes the model."""

    current: str = "algo-1"
    all: tuple[str, ...] = ("algo-1",)

    @property
    def leads(self) -> bool:
        return self.current == self.all[0]

    @classmethod
    def of(cls, container: Container) -> Hosts:
        return cls._read(read_json(container.resource_config))

    @classmethod
    def of_processing(cls, container: Container) -> Hosts:
        return cls._read(read_json(container.processing_resources))

    @classmethod
    def _read(cls, given: Mapping[str, Any]) -> Hosts:
        return cls(given.get("current_host", "algo-1"), tuple(sorted(given.get("hosts", ["algo-1"]))))


def run_name(container: Container) -> str:
    """What all hosts of this job, and no other job, call it."""
    processing = read_json(container.processing_config).get("ProcessingJobName")
    return str(os.environ.get(TRAINING_JOB_NAME) or processing or "a run without a name")


def sharded_channels(container: Container) -> set[str]:
    """The channels of which this host was given a part only."""
    given = read_json(container.input_data_config)
    return {name for name, each in given.items() if each.get("S3DistributionType") == "ShardedByS3Key"}


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of SageMaker's, empty where there is no file."""
    if not path.exists():
        return {}
    try:
        given = json.loads(path.read_bytes())
    except ValueError as problem:
        raise ChannelError(f"'{path.name}' is not JSON: {problem}") from None
    if not isinstance(given, dict):
        raise ChannelError(f"'{path.name}' holds a {type(given).__name__}, expected an object")
    return given


def channel_names(container: Container) -> list[str]:
    """The channels this host was given, by the configuration and by what is really there."""
    configured = set(read_json(container.input_data_config))
    folder = container.channel("train").parent
    there = {each.name for each in folder.iterdir() if each.is_dir()} if folder.is_dir() else set()
    return sorted(configured | there)


def read_channel(container: Container, name: str, *, header: bool, target: str) -> pl.DataFrame:
    """All rows of a channel, its files in the order of their names; columns must agree between files."""
    config = read_json(container.input_data_config).get(name, {})
    folder = container.channel(name)
    if config.get("TrainingInputMode") == "Pipe":
        raise ChannelError(f"channel '{name}' comes as a pipe; use the input mode File or FastFile")
    files = data_files(folder)
    if not files:
        raise ChannelError(
            f"channel '{name}' holds no data file below '{folder}'. Known channels: "
            f"{', '.join(channel_names(container)) or 'none'}. Read are: {', '.join(FORMS)}."
        )
    return read_files(files, content_type=config.get("ContentType"), header=header, target=target)


def data_files(folder: Path) -> list[Path]:
    """Every file that can hold rows; hidden files and the marks other programs leave are passed over."""
    if not folder.is_dir():
        return []
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size > 0)
    return [path for path in found if not path.name.startswith((".", *NO_DATA)) and not path.name.endswith(".manifest")]


def read_files(
    files: list[Path], *, content_type: str | None = None, header: bool = True, target: str = ""
) -> pl.DataFrame:
    frames = [_read(path, form_of(path, content_type), header=header, target=target) for path in files]
    first = frames[0]
    for path, frame in zip(files, frames, strict=True):
        if frame.columns != first.columns:
            more, fewer = set(frame.columns) - set(first.columns), set(first.columns) - set(frame.columns)
            raise ChannelError(
                f"'{path.name}' has other columns than '{files[0].name}': "
                + ("; ".join(_differences(more, fewer)) or "the same names in another order")
            )
    return pl.concat(frames, how="vertical_relaxed", rechunk=True)


def _differences(more: set[str], fewer: set[str]) -> list[str]:
    named = {"it adds": more, "it lacks": fewer}
    return [f"{verb} {', '.join(sorted(names))}" for verb, names in named.items() if names]


def form_of(path: Path, content_type: str | None) -> str:
    for ending, form in FORMS.items():
        if path.name.endswith(ending):
            return form
    form = CONTENT_TYPES.get((content_type or "").partition(";")[0].strip().lower())
    if form is None:
        raise ChannelError(
            f"'{path.name}' has an ending that is not known and the channel's ContentType is '{content_type}': "
            f"name files {', '.join(FORMS)}, or set ContentType to one of {', '.join(CONTENT_TYPES)}"
        )
    return form


def _read(path: Path, form: str, *, header: bool, target: str) -> pl.DataFrame:
    try:
        if form == "parquet":
            return pl.read_parquet(path)
        if form == "jsonlines":
            return pl.read_ndjson(path, infer_schema_length=None)
        frame = pl.read_csv(path, has_header=header, null_values=READ_AS_MISSING, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError, ValueError) as problem:
        raise ChannelError(f"'{path.name}' cannot be read as {form}: {fault_of(path, form) or problem}") from problem
    # A line that is too short reads as if its last cells were missing: look at the lines where some are.
    if frame.width and frame[:, -1].null_count() and (fault := fault_of(path, form)):
        raise ChannelError(f"'{path.name}' cannot be read as {form}: {fault}")
    if header:
        return frame
    # SageMaker's habit for CSV without a header: the target first, then the inputs.
    names = [target, *(f"column_{at}" for at in range(1, frame.width))]
    return frame.rename(dict(zip(frame.columns, names, strict=True)))
