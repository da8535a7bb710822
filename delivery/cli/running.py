"""`slipway run | runs | retrain`: training, as executions of the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from delivery.cli.shared import Env, Json, Model, Reason, platform, show, showing_steps, table


def commands(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    for command in (run, runs, retrain):
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

    Example: `slipway run churn --data .slipway/sample/churn-6000-7`
    """
    place: Path | str = data if data.startswith("s3://") else Path(data)
    with showing_steps() as steps:
        version = platform(env).run(model, place, family=family, reason=reason, again=again, steps=steps)
    text = (
        f"version {version.version} is registered and {version.approval}\nnext: slipway gates {model} {version.version}"
    )
    show(version, text, json_)


def runs(model: Model, env: Env = "local", json_: Json = False) -> None:
    """List the runs of a model, newest first, each failed one with its step's own reason.

    Example: `slipway runs churn`
    """
    found = platform(env).runs(model)
    rows = [[each.id, each.status, f"{each.started:%Y-%m-%d %H:%M}", each.reason] for each in found]
    show(found, table(["run", "status", "started", "reason"], rows), json_)


def retrain(model: Model, reason: Reason = "asked for", env: Env = "local", json_: Json = False) -> None:
    """Train again on the newest data that were handed over.

    Example: `slipway retrain churn --reason "prices changed"`
    """
    here = platform(env)
    store = here.data(model)
    versions = store.versions()
    if not versions:
        from delivery.data import DataError

        raise DataError(f"no data were ever handed over for {model}: `slipway run {model} --data PLACE` does it.")
    now = here.environment.now().isoformat()
    with showing_steps() as steps:
        version = here.run(model, store.uri(versions[0][0]), reason=reason, again=now, steps=steps)
    show(version, f"version {version.version} is registered and {version.approval}", json_)
