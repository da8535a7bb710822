"""`slipway run | runs | retrain`: training, as executions of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from delivery import run_file
from delivery.cli.shared import Env, Json, Model, Reason, platform, show, table
from delivery.cli.waiting import counting, following, waiting
from delivery.comparison import differences
from delivery.data import data_files


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
    data: Annotated[
        str | None, typer.Option(help="A file, a folder or s3://…; a folder's content is hashed and kept.")
    ] = None,
    family: Annotated[str | None, typer.Option(help="Another family than settings say, for this run.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A YAML file with data, family, experiment, reason, hyperparameters.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE over the file: a hyperparameter of this run.")
    ] = None,
    experiment_id: Annotated[str | None, typer.Option(help="The MLflow experiment the run is logged under.")] = None,
    stage: Annotated[
        str | None, typer.Option(help="Only this stage once more; what comes before is taken from --of.")
    ] = None,
    of: Annotated[str, typer.Option(help="With --stage: the id of an earlier run, or `latest`.")] = "latest",
    again: Annotated[str | None, typer.Option(help="Any text: the same data and settings as a new run.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="Why; it goes into the ledger.")] = None,
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Train, judge on rows the model never saw, explain and register. What waits then is an approval.

    Ctrl-C leaves the run going; the same command picks it up again.

    Example: `slipway run churn --data .slipway/sample/churn-6000-7 --family logistic_regression --set C=0.5`
    """
    options = {"data": data, "family": family, "experiment": experiment_id, "again": again, "reason": reason}
    if stage is not None:
        alone(model, stage, of, options, config, set_ or [], env, json_)
        return
    said = run_file.read(config, options, set_ or [])
    if said.data is None:
        raise typer.BadParameter("what to train on is missing: give --data PLACE, or `data:` in --config FILE.")
    place: Path | str = said.data if said.data.startswith("s3://") else Path(said.data)
    here, size = platform(env), size_of(place)
    with waiting(f"training {model} on {said.data}", stays=True) as shown:
        steps = following(shown, here.environment.now, lambda: here.pipeline(model).pace())
        version = here.run(
            model, place, family=said.family, hyperparameters=said.hyperparameters, experiment=said.experiment,
            reason=said.reason, again=said.again, steps=steps, progress=counting(shown, size),
        )  # fmt: skip
    text = (
        f"version {version.version} is registered and {version.approval}\nnext: slipway gates {model} {version.version}"
    )
    show(version, text, json_)


def size_of(place: Path | str) -> int:
    """How many bytes are to be handed over; none of what is in a bucket already."""
    return 0 if isinstance(place, str) else sum(path.stat().st_size for _, path in data_files(place))


def alone(
    model: str,
    stage: str,
    of: str,
    options: dict[str, str | None],
    config: Path | None,
    settings: list[str],
    env: str,
    json_: bool,
) -> None:
    """One stage of an earlier run, once more."""
    given = [f"--{name}" for name in ("data", "family", "again") if options[name] is not None]
    given += ["--config"] if config is not None else []
    given += ["--set"] if settings else []
    if given:
        raise typer.BadParameter(
            f"--stage repeats an earlier run, whose data and settings it takes; {', '.join(given)} would change them. "
            "Leave them out, or leave --stage out for a whole run."
        )
    here = platform(env)
    with waiting(f"running {stage} of {model} once more", stays=True) as shown:
        steps = following(shown, here.environment.now, lambda: only(stage, here.pipeline(model).pace()))
        done = here.run_stage(model, stage, of=of, reason=options["reason"] or "asked for", steps=steps)
    lines = [f"{done.step} of run {done.of} ran once more, as {done.run}; nothing was registered."]
    show(done, "\n".join([*lines, *(f"{name}: {place}" for name, place in done.places.items())]), json_)


def only(stage: str, pace: Mapping[str, float]) -> dict[str, float]:
    """How long one stage took."""
    return {name: seconds for name, seconds in pace.items() if name.lower() == stage.lower()}


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
    here = platform(env)
    with waiting(f"training {model} on its newest data", stays=True) as shown:
        steps = following(shown, here.environment.now, lambda: here.pipeline(model).pace())
        version = here.retrain(model, reason=reason, steps=steps)
    show(version, f"version {version.version} is registered and {version.approval}", json_)
