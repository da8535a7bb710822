"""`slipway deploy | rollback | scale | shadow | status | why`: what serves, and changing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.table import Table

from contract.records import RecordError
from contract.release import CHAMPION, LONGEST_BAKE_SECONDS, Release, Rollout
from delivery.cli.completing import model_names
from delivery.cli.exits import EXIT
from delivery.cli.shared import Engine, Env, Json, Model, Reason, platform, show, table
from delivery.cli.waiting import clock, waiting
from delivery.progress import Progress

if TYPE_CHECKING:
    from delivery.ledger import Decision, Event
    from delivery.watching import View

SHORT_HASH = 12  # enough to tell artifacts apart; --json has all of it
Version = Annotated[str, typer.Argument(help="A number, a tag, `latest` or `approved`.")]
Traffic = Annotated[int, typer.Option(help="Percent of traffic per step, at most 50.")]
Bake = Annotated[
    int, typer.Option(min=0, max=LONGEST_BAKE_SECONDS, help="Seconds to watch the alarms after each step.")
]

ledger = typer.Typer(name="ledger", help="Every decision, in a chain that shows any edit.", no_args_is_help=True)


class Strategy(StrEnum):
    """How a new champion takes over."""

    ALL_AT_ONCE = "all-at-once"
    BLUE_GREEN = "blue-green"
    CANARY = "canary"
    LINEAR = "linear"


How = Annotated[Strategy, typer.Option("--strategy", help="How the new version takes over.")]


def rollout_of(strategy: Strategy, traffic: int, bake: int) -> Rollout:
    """The rollout as it was typed; one that cannot be is a mistake of the command line."""
    try:
        return Rollout(strategy.value, traffic, bake)
    except RecordError as problem:
        raise typer.BadParameter(f"--strategy {strategy.value} --traffic {traffic}: {problem}") from None


def commands(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    for command in (deploy, rollback, scale, shadow, status, why):
        app.command()(command)
    app.add_typer(ledger)


def deploy(
    model: Model,
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="A number, a tag, `latest` or `approved`, the default.")
    ] = None,
    named: Annotated[str | None, typer.Option("--version", help="The same as VERSION.")] = None,
    strategy: How = Strategy.CANARY,
    traffic: Traffic = 10,
    bake: Bake = 600,
    env: Env = "local",
    engine: Engine = None,
    json_: Json = False,
) -> None:
    """Make a version the champion, step by step, under alarms that roll it back.

    A kill in between loses nothing: the same command, or `slipway status`, finishes or explains. Exit 7 when alarms
    rolled the version back.

    Example: `slipway deploy churn 2 --strategy canary --traffic 10 --bake 60`
    """
    wanted, rollout = version_of(version, named), rollout_of(strategy, traffic, bake)
    with showing_rollout(f"deploying version {wanted} of {model}") as look:
        release = platform(env, engine).deploy(model, wanted, rollout=rollout, show=look)
    tell_release(release, json_)
    end_rollout(release)


def version_of(given: str | None, named: str | None) -> str:
    """The version that is meant, whichever way it was named; named twice, both must be the same."""
    if given is not None and named is not None and given != named:
        raise typer.BadParameter(
            f"VERSION is {given} and --version is {named}: only one can become the champion. Leave one of them out."
        )
    return given or named or "approved"


def rollback(
    model: Model, reason: Reason = "asked for", env: Env = "local", engine: Engine = None, json_: Json = False
) -> None:
    """Serve the last good version again, at once. Needs neither the registry nor a new configuration.

    Example: `slipway rollback churn --reason "errors since noon"`
    """
    with waiting(f"rolling {model} back"):
        release = platform(env, engine).rollback(model, reason=reason)
    tell_release(release, json_)


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
    with waiting(f"scaling the {variant} of {model} to {instances}"):
        release = platform(env).scale(model, variant, instances)
    tell_release(release, json_)


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
    if stop or version is None:
        with waiting(f"ending the shadow of {model}"):
            release = here.stop_shadow(model)
    else:
        with waiting(f"sending copies of requests to version {version} of {model}"):
            release = here.shadow(model, version, share)
    tell_release(release, json_)
    end_trial(release, wanted=not stop and version is not None)


def status(
    model: Model,
    watch: Annotated[bool, typer.Option("--watch", help="Show a rollout as it goes on, until it ends.")] = False,
    env: Env = "local",
    json_: Json = False,
) -> None:
    """What serves now; finishes what a killed command left, and says so.

    Example: `slipway status churn`
    """
    here = platform(env)
    if watch:
        seen, pause = here.watch(model), here.environment.wait
        with showing_rollout(f"watching {model}") as look:
            while (found := seen.look()) is not None and found.under_way:
                look(found)
                pause()
    here.settle(model)
    tell_release(here.release(model), json_)


def why(model: Model, env: Env = "local", json_: Json = False) -> None:
    """What led to what serves now, from the release back to the data: versions, their share of traffic, their bytes.

    Example: `slipway why churn`
    """
    events = platform(env).why(model)
    show(events, why_text(events), json_)


@ledger.command("verify")
def verify(env: Env = "local", json_: Json = False) -> None:
    """Look for any event that was edited, removed, added or reordered. Exit 1 when there is one.

    Example: `slipway ledger verify`
    """
    breaks = platform(env).verify_ledger()
    show(breaks, "\n".join(each.says for each in breaks) or "the ledger is whole", json_)
    if breaks:
        raise typer.Exit(EXIT["failed"])


@ledger.command("log")
def log(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Only decisions about this model.", autocompletion=model_names)
    ] = None,
    rows: Annotated[int, typer.Option(help="How many, the newest.", min=1)] = 20,
    env: Env = "local",
    json_: Json = False,
) -> None:
    """List decisions, newest first: when, what, which model, who, why.

    Example: `slipway ledger log --model churn --rows 5`
    """
    found = platform(env).ledger_log(model, rows)
    lines = [
        [str(each.number), *(getattr(each.decision, name) for name in ("at", "what", "model", "who", "why"))]
        for each in found
    ]
    show(found, table(["", "at", "what", "model", "who", "why"], lines) if found else "nothing was decided yet", json_)


@contextmanager
def showing_rollout(what: str) -> Iterator[Callable[[View], None]]:
    """A rollout as it goes on, on stderr: on a terminal in place, elsewhere a line whenever something changed."""
    with waiting(what) as shown:
        yield lambda found: shown.show(drawn(found), [one_line(found)], Progress(0.0, None))


def drawn(found: View) -> Group:
    """A view as a picture: fleets, guards, time left."""
    fleets = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("configuration", "stage", "instances", "answered in 5 min", "share"):
        fleets.add_column(head)
    for each in found.fleets:
        share = f"{'█' * round(20 * each.share):<20} {100 * each.share:.1f} %"
        fleets.add_row(each.config, each.stage or "serves", str(each.instances), str(each.answered), share)
    guards = Table(box=None, pad_edge=False, show_header=False)
    for each in found.guards:
        colour = {"OK": "green", "ALARM": "red"}.get(each.state, "yellow")
        guards.add_row(f"[{colour}]{each.state}[/]", each.name, each.reason if each.state == "ALARM" else "")
    left = "" if found.seconds_left is None else f"; at least {clock(found.seconds_left)} left"
    return Group(f"{found.status}{left}", fleets, guards)


def one_line(found: View) -> str:
    """A view in one line that changes only when something happened."""
    stages = ", ".join(f"{each.config} {each.stage or 'serves'}" for each in found.fleets)
    fired = ", ".join(each.name for each in found.guards if each.state == "ALARM")
    return f"{found.status}: {stages}; {f'in alarm: {fired}' if fired else 'no alarm'}"


def why_text(events: Sequence[Event]) -> str:
    """Decisions as people read them, a line for each variant that served by one."""
    heads = ["at", "what", "who", "version", "traffic", "artifact", "why"]
    return table(heads, [why_row(each.decision) for each in events])


def why_row(decision: Decision) -> list[str]:
    from delivery.deployment import SERVES

    served = decision.outputs.get(SERVES, ())
    return [
        decision.at,
        decision.what,
        decision.who,
        "\n".join(f"{each['variant']} {each['version']}" for each in served) or version_named(decision),
        "\n".join(f"{100 * each['share']:.1f} %" for each in served),
        "\n".join(each["artifact"][:SHORT_HASH] for each in served),
        decision.why,
    ]


def version_named(decision: Decision) -> str:
    """The version that a decision about a package is about: the last part of the package's ARN."""
    return str(decision.outputs.get("package") or decision.inputs.get("package", "")).rpartition("/")[2]


def tell_release(release: Release, json_: bool) -> None:
    show(release, release_text(release), json_)


def end_rollout(*releases: Release) -> None:
    """A script that asked for a version learns that the one before it serves."""
    if any(each.state == "rolled_back" for each in releases):
        raise typer.Exit(EXIT["rolled_back"])


def end_trial(release: Release, *, wanted: bool = True) -> None:
    """The same of what was to be put beside the champion."""
    if wanted and release.experiment is None and release.shadow is None:
        raise typer.Exit(EXIT["rolled_back"])


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
