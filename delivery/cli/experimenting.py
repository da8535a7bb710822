"""`slipway experiment …`: champion against challenger on live traffic, from the plan to its end."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from delivery.cli.releasing import (
    Bake,
    How,
    Strategy,
    Traffic,
    Version,
    end_rollout,
    end_trial,
    release_text,
    rollout_of,
    showing_rollout,
    tell_release,
)
from delivery.cli.shared import Engine, Env, Json, Model, Reason, platform, show, table
from delivery.cli.waiting import waiting

if TYPE_CHECKING:
    from contract.release import Release, Rollout
    from delivery.experiments import Standing
    from delivery.platform import Platform

File = Annotated[
    Path, typer.Option("--file", help="What the experiment is, JSON or YAML.", exists=True, dir_okay=False)
]
Concluded = Annotated[
    str | None, typer.Argument(help="Which model, as settings name it; without it, all that are in an experiment.")
]
Share = Annotated[int, typer.Option(help="Percent of the traffic for the challenger.", min=1, max=99)]

experiment = typer.Typer(name="experiment", help="Champion against challenger.", no_args_is_help=True)


class Mode(StrEnum):
    """How the challenger's share moves while nothing is decided."""

    FIXED = "fixed"
    CLIMB = "climb"
    PROPOSED = "proposed"


def commands(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    app.add_typer(experiment)


@experiment.command("plan")
def plan(
    model: Model,
    file: File,
    traffic: Share = 10,
    power: Annotated[float, typer.Option(help="Chance to promote a challenger better by the minimum effect.")] = 0.9,
    per_day: Annotated[
        float | None, typer.Option(help="Requests a day; without it, the endpoint's of the last week.")
    ] = None,
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Say how many requests it will take and how long that is, before it starts. Changes nothing.

    Example: `slipway experiment plan churn --file spring.yaml --traffic 10 --per-day 20000`
    """
    from delivery.experiments import read_terms

    terms = read_terms(file)
    planned = platform(env).plan_experiment(model, terms, traffic / 100, power=power, per_day=per_day)
    show(planned, f"{terms.name}: {planned.summary()}", json_)


@experiment.command("start")
def start(
    model: Model,
    version: Version,
    file: Annotated[
        Path | None, typer.Option("--file", help="What the experiment is.", exists=True, dir_okay=False)
    ] = None,
    name: Annotated[str | None, typer.Option(help="What it is called; without it, as its file says.")] = None,
    traffic: Share = 10,
    mode: Annotated[Mode, typer.Option(help="How the share moves while nothing is decided.")] = Mode.FIXED,
    most: Annotated[int, typer.Option(help="Percent that a moving share reaches at most.", min=1, max=99)] = 50,
    sticky: Annotated[bool, typer.Option("--sticky", help="One unit meets one variant: `invoke --unit`.")] = False,
    env: Env = "local",
    engine: Engine = None,
    json_: Json = False,
) -> None:
    """Put a challenger beside the champion; the monitor's job counts, judges and moves traffic from now on.

    Without a file nothing is judged: the share is yours to move, and the end yours to decide.

    Example: `slipway experiment start churn 1 --file spring.yaml --traffic 10 --mode climb`
    """
    from delivery.experiments import read_terms

    terms = read_terms(file) if file else None
    called = name or (terms.name if terms else None)
    if called is None:
        raise typer.BadParameter("name the experiment with --name, or give its --file")
    steering = {"mode": mode.value, "most": max(most, traffic) / 100, "sticky": sticky}
    here = platform(env, engine)
    with waiting(f"starting experiment {called} on {model}"):
        release = here.start_experiment(model, called, version, traffic / 100, terms=terms, steering=steering)
    tell_release(release, json_)
    end_trial(release)


@experiment.command("status")
def status(model: Model, env: Env = "local", json_: Json = False) -> None:
    """How it stands: the difference and its bounds, split, guardrails, verdict, traffic, and what comes next.

    Example: `slipway experiment status churn`
    """
    found = platform(env).experiment(model)
    show(found, told(found), json_)


@experiment.command("conclude")
def conclude(
    model: Concluded = None,
    strategy: How = Strategy.CANARY,
    traffic: Traffic = 10,
    bake: Bake = 600,
    env: Env = "local",
    engine: Engine = None,
    json_: Json = False,
) -> None:
    """End it as its verdict says: promote the challenger under a rollout, or stop. Not decided yet: nothing.

    What CI runs by schedule, for all models at once; running it again is harmless.

    Example: `slipway experiment conclude churn`
    """
    here, rollout = platform(env, engine), rollout_of(strategy, traffic, bake)
    if model is not None:
        answer = concluded(here, model, rollout)
        show(answer, ending_text(answer), json_)
        end_rollout(*releases([answer]))
        return
    models = here.environment.releases.read().models
    answers = {name: concluded(here, name, rollout) for name, each in models.items() if each.experiment}
    told = "\n".join(f"{name}: {ending_text(each)}" for name, each in answers.items())
    show(answers, told or f"no experiment runs in {env}", json_)
    end_rollout(*releases(answers.values()))


def concluded(here: Platform, model: str, rollout: Rollout) -> Release | Standing:
    """The release an experiment ended with, or how it stands when it is not decided."""
    with showing_rollout(f"concluding the experiment on {model}") as look:
        return here.conclude_experiment(model, rollout, show=look) or here.experiment(model)


def releases(answers: Iterable[Release | Standing]) -> list[Release]:
    """Of experiments, those that ended."""
    from contract.release import Release

    return [each for each in answers if isinstance(each, Release)]


def ending_text(answer: Release | Standing) -> str:
    from contract.release import Release

    if isinstance(answer, Release):
        return release_text(answer)
    return f"{answer.name}: {answer.decision}: {answer.reason}"


@experiment.command("move")
def move(model: Model, traffic: Share, env: Env = "local", json_: Json = False) -> None:
    """Give the challenger another share of the traffic, at once.

    Example: `slipway experiment move churn --traffic 30`
    """
    with waiting(f"giving the challenger of {model} {traffic} % of the traffic"):
        release = platform(env).move(model, traffic / 100)
    tell_release(release, json_)


@experiment.command("promote")
def promote(
    model: Model,
    strategy: How = Strategy.CANARY,
    traffic: Traffic = 10,
    bake: Bake = 600,
    env: Env = "local",
    engine: Engine = None,
    json_: Json = False,
) -> None:
    """Make the challenger the champion, whatever the verdict.

    Example: `slipway experiment promote churn --strategy linear --traffic 20 --bake 60`
    """
    rollout = rollout_of(strategy, traffic, bake)
    with showing_rollout(f"making the challenger of {model} its champion") as look:
        release = platform(env, engine).promote_challenger(model, rollout, show=look)
    tell_release(release, json_)
    end_rollout(release)


@experiment.command("stop")
def stop(model: Model, reason: Reason, env: Env = "local", engine: Engine = None, json_: Json = False) -> None:
    """End the experiment with the champion alone.

    Example: `slipway experiment stop churn --reason "no difference"`
    """
    with waiting(f"ending the experiment on {model}"):
        release = platform(env, engine).stop_experiment(model, reason=reason)
    tell_release(release, json_)


def told(found: Standing) -> str:
    """A standing as people read it: the newest looks of the sequence, then everything a verdict rests on."""
    planned = f" of at most {found.planned:,}" if found.planned else ""
    proposed = ", ".join(f"{name} {100 * share:.3g} %" for name, share in found.proposed_weights.items())
    lines = [
        f"{found.name}: version {found.challenger} against {found.champion}: {found.decision}",
        found.reason,
        f"{found.looks} looks, {found.observed:,} units{planned}",
        "traffic: " + ", ".join(f"{name} {100 * share:.3g} %" for name, share in found.weights.items()),
        f"split: {'broken' if found.sample_ratio_alarm else 'as the weights say'}",
    ]
    if proposed:
        lines.append(f"proposed by Thompson sampling: {proposed}")
    if found.guardrails:
        rows = [
            [
                each.name,
                f"{100 * each.champion:.3g} %",
                f"{100 * each.challenger:.3g} %",
                "broken" if each.broken else "ok",
            ]
            for each in found.guardrails
        ]
        lines.append(table(["guardrail", "champion", "challenger", ""], rows))
    if found.sequence:
        rows = [[each.look, number(each.estimate), number(each.low), number(each.high)] for each in found.sequence[-8:]]
        lines.append(table(["look", "difference", "at least", "at most"], rows))
    return "\n".join([*lines, f"next: {found.next}"])


def number(value: float) -> str:
    return "unbounded" if math.isinf(value) else f"{value:+.4f}"
