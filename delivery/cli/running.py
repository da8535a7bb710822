"""`slipway run | runs | retrain`: training, as executions of the pipeline."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from delivery.cli.shared import Env, Json, Model, Reason, platform, show, showing_steps, table
from delivery.comparison import differences


class Kind(StrEnum):
    """What a run does."""

    TRAINING = "training"
    PROMOTION = "promotion"
    MONITOR = "monitor"


def commands(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    for command in (run, runs, compare, retrain):
        app.command()(command)


def run(
    model: Model,
    data: Annotated[str, typer.Option(help="A file, a folder or s3://…; a folder's content is hashed and kept.")],
    family: Annotated[str | None, typer.Option(help="Another family than settings say, for this run.")] = None,
    again: Annotated[str, typer.Option(help="Any text: the same data and settings once more, as a new run.")] = "",
    reason: Reason = "asked for",
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Train, judge on rows the model never saw, explain and register. What waits then is an approval.

    Ctrl-C leaves the run going; the same command picks it up again.

    Example: `slipway run churn --data .slipway/sample/churn-6000-7 --family logistic_regression`
    """
    place: Path | str = data if data.startswith("s3://") else Path(data)
    with showing_steps() as steps:
        version = platform(env).run(model, place, family=family, reason=reason, again=again, steps=steps)
    text = (
        f"version {version.version} is registered and {version.approval}\nnext: slipway gates {model} {version.version}"
    )
    show(version, text, json_)


def runs(
    model: Model,
    kind: Annotated[Kind, typer.Option(help="Which of the model's pipelines.")] = Kind.TRAINING,
    env: Env = "local",
    json_: Json = False,
) -> None:
    """List the runs of a model, newest first, each failed one with its step's own reason.

    Example: `slipway runs churn --kind training`
    """
    found = platform(env).runs(model, kind.value)
    rows = [[each.id, each.status, f"{each.started:%Y-%m-%d %H:%M}", each.reason] for each in found]
    show(found, table(["run", "status", "started", "reason"], rows), json_)


def compare(
    model: Model,
    runs: Annotated[list[str] | None, typer.Argument(help="Ids, or `latest`; without any, the two newest.")] = None,
    differing: Annotated[bool, typer.Option("--differing", help="Only what is not the same in all.")] = False,
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Show runs side by side: parameters, data hash, metrics.

    Example: `slipway compare churn --differing`
    """
    sides = platform(env).compare(model, *(runs or ()))
    lines = [each for each in differences(sides) if not (differing and each.same)]
    text = table(["", *(each.run for each in sides)], [[each.name, *each.values] for each in lines])
    show(sides, text, json_)


def retrain(model: Model, reason: Reason = "asked for", env: Env = "local", json_: Json = False) -> None:
    """Train again on the newest data that were handed over.

    Example: `slipway retrain churn --reason "prices changed"`
    """
    with showing_steps() as steps:
        version = platform(env).retrain(model, reason=reason, steps=steps)
    show(version, f"version {version.version} is registered and {version.approval}", json_)
