"""`slipway deploy | rollback | scale | shadow | status | why`, `slipway experiment …`: what serves, and changing it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from contract.release import CHAMPION, Release, Rollout
from delivery.cli.exits import EXIT
from delivery.cli.shared import Engine, Env, Json, Model, Reason, platform, show, table

Version = Annotated[str, typer.Argument(help="A number, a tag, `latest` or `approved`.")]
Traffic = Annotated[int, typer.Option(help="Percent of traffic per step, at most 50.")]
Bake = Annotated[int, typer.Option(help="Seconds to watch the alarms after each step.")]

ledger = typer.Typer(name="ledger", help="Every decision, in a chain that shows any edit.", no_args_is_help=True)
experiment = typer.Typer(name="experiment", help="Champion against challenger.", no_args_is_help=True)


class Strategy(StrEnum):
    """How a new champion takes over."""

    ALL_AT_ONCE = "all-at-once"
    BLUE_GREEN = "blue-green"
    CANARY = "canary"
    LINEAR = "linear"


How = Annotated[Strategy, typer.Option("--strategy", help="How the new version takes over.")]


def commands(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    for command in (deploy, rollback, scale, shadow, status, why):
        app.command()(command)
    app.add_typer(experiment)
    app.add_typer(ledger)


def deploy(
    model: Model,
    version: Version = "approved",
    strategy: How = Strategy.CANARY,
    traffic: Traffic = 10,
    bake: Bake = 600,
    env: Env = "local",
    engine: Engine = None,
    json_: Json = False,
) -> None:
    """Make a version the champion, step by step, under alarms that roll it back.

    A kill in between loses nothing: the same command, or `slipway status`, finishes or explains.

    Example: `slipway deploy churn 2 --strategy canary --traffic 10 --bake 60`
    """
    rollout = Rollout(strategy.value, traffic, bake)
    tell_release(platform(env, engine).deploy(model, version, rollout=rollout), json_)


def rollback(
    model: Model, reason: Reason = "asked for", env: Env = "local", engine: Engine = None, json_: Json = False
) -> None:
    """Serve the last good version again, at once. Needs neither the registry nor a new configuration.

    Example: `slipway rollback churn --reason "errors since noon"`
    """
    tell_release(platform(env, engine).rollback(model, reason=reason), json_)


def scale(
    model: Model,
    instances: Annotated[int, typer.Option(help="How many, at least 1.")],
    variant: Annotated[str, typer.Option(help="champion or challenger.")] = CHAMPION,
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Change how many instances a variant has, now; autoscaling goes on from there.

    Example: `slipway scale churn --instances 2`
    """
    tell_release(platform(env).scale(model, variant, instances), json_)


def shadow(
    model: Model,
    version: Annotated[str | None, typer.Argument(help="The version to send copies to.")] = None,
    share: Annotated[float, typer.Option(help="Share of the requests that are copied.")] = 1.0,
    stop: Annotated[bool, typer.Option("--stop", help="End the copying.")] = False,
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Send copies of requests to a version whose answers nobody sees.

    Example: `slipway shadow churn 2 --share 0.5`
    """
    here = platform(env)
    tell_release(here.stop_shadow(model) if stop or version is None else here.shadow(model, version, share), json_)


def status(model: Model, env: Env = "local", json_: Json = False) -> None:
    """What serves now; finishes what a killed command left, and says so.

    Example: `slipway status churn`
    """
    here = platform(env)
    here.settle(model)
    tell_release(here.release(model), json_)


def why(model: Model, env: Env = "local", json_: Json = False) -> None:
    """What led to what serves now, from the release back to the data.

    Example: `slipway why churn`
    """
    events = platform(env).why(model)
    rows = [[each.decision.at, each.decision.what, each.decision.who, each.decision.why] for each in events]
    show(events, table(["at", "what", "who", "why"], rows), json_)


@experiment.command("start")
def start(
    model: Model,
    version: Version,
    name: Annotated[str, typer.Option(help="What the experiment is called.")],
    traffic: Annotated[int, typer.Option(help="Percent of the traffic for the challenger.")] = 10,
    env: Env = "local",
    engine: Engine = None,
    json_: Json = False,
) -> None:
    """Put a challenger beside the champion.

    Example: `slipway experiment start churn 1 --name spring --traffic 10`
    """
    tell_release(platform(env, engine).start_experiment(model, name, version, traffic / 100), json_)


@experiment.command("move")
def move(
    model: Model,
    traffic: Annotated[int, typer.Option(help="Percent of the traffic for the challenger.")],
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Give the challenger another share of the traffic, at once.

    Example: `slipway experiment move churn --traffic 30`
    """
    tell_release(platform(env).move(model, traffic / 100), json_)


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
    """Make the challenger the champion.

    Example: `slipway experiment promote churn --strategy linear --traffic 20 --bake 60`
    """
    rollout = Rollout(strategy.value, traffic, bake)
    tell_release(platform(env, engine).promote_challenger(model, rollout), json_)


@experiment.command("stop")
def stop(model: Model, reason: Reason, env: Env = "local", engine: Engine = None, json_: Json = False) -> None:
    """End the experiment with the champion alone.

    Example: `slipway experiment stop churn --reason "no difference"`
    """
    tell_release(platform(env, engine).stop_experiment(model, reason=reason), json_)


@ledger.command("verify")
def verify(env: Env = "local", json_: Json = False) -> None:
    """Look for any event that was edited, removed, added or reordered. Exit 1 when there is one.

    Example: `slipway ledger verify`
    """
    breaks = platform(env).verify_ledger()
    show(breaks, "\n".join(each.says for each in breaks) or "the ledger is whole", json_)
    if breaks:
        raise typer.Exit(EXIT["failed"])


def tell_release(release: Release, json_: bool) -> None:
    show(release, release_text(release), json_)


def release_text(release: Release) -> str:
    """A release as people read it."""
    total = sum(each.weight for each in release.variants)
    rows = [
        [each.name, str(each.package.version), f"{100 * each.weight / total:.1f} %", str(each.instances)]
        for each in release.variants
    ]
    back = f"before it: version {release.previous.version}" if release.previous else "nothing to go back to"
    said = f"{release.state}{f': {release.reason}' if release.reason else ''}"
    return f"{said}\n{table(['variant', 'version', 'traffic', 'instances'], rows)}\n{back}"
