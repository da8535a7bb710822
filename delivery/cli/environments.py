"""`slipway up | preview | down | synth | outputs | recover`: what concerns an environment as a whole."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from delivery.cli.completing import environment_names
from delivery.cli.exits import EXIT
from delivery.cli.shared import Engine, Env, Json, Yes, as_json, root, show
from delivery.engine.cost import Cost

Given = Annotated[
    str | None,
    typer.Argument(
        metavar="ENVIRONMENT",
        help="The same as --env: a file Pulumi.NAME.yaml.",
        autocompletion=environment_names,
    ),
]
Root = Annotated[Path | None, typer.Option("--root", hidden=True, help="The repository's root.")]
Detailed = Annotated[bool, typer.Option("--detailed-exit", help="Exit 10 when there are changes.")]


def commands(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    for command in (up, preview, down, synth, outputs, smoke, recover, engine):
        app.command()(command)


def here(given: Path | None) -> Path:
    return given or root()


def which(given: str | None, env: str) -> str:
    """The environment that is meant, whichever way it was named."""
    return given or env


def engine_of(forced: str | None) -> Any:
    """The engine that does the work, said aloud."""
    from delivery.engine.choose import engine

    found = engine(forced)
    sys.stderr.write(f"engine: {found.name}\n")
    return found


def up(
    given: Given = None,
    yes: Yes = False,
    engine: Engine = None,
    env: Env = "local",
    json_: Json = False,
    root: Root = None,
) -> None:
    """Bring an environment to what its files say.

    Shows what would change and what it costs, asks, then shows each resource as it is made.

    Example: `slipway up local --yes`
    """
    console, environment = Console(stderr=True), which(given, env)
    brought = engine_of(engine).up(environment, here(root), console, ask=None if yes or json_ else confirm)
    for warning in brought.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False)
    if json_:
        typer.echo(
            as_json({"changes": len(brought.plan.changes), **brought.outputs.to_json(), "warnings": brought.warnings})
        )
    elif brought.plan.is_empty:
        typer.echo(f"{environment}: no changes")
    else:
        typer.echo(f"{environment}: {len(brought.plan.changes)} changes made")


def confirm(question: str) -> bool:
    return typer.confirm(question, default=False, err=True)


def preview(
    given: Given = None,
    engine: Engine = None,
    env: Env = "local",
    json_: Json = False,
    detailed_exit: Detailed = False,
    root: Root = None,
) -> None:
    """Show what `up` would change, and what that would cost a month. Changes nothing.

    Example: `slipway preview local`
    """
    console, environment = Console(stderr=True), which(given, env)
    ahead = engine_of(engine).preview(environment, here(root), console)
    if json_:
        changes = [{"address": each.address, "verb": each.verb} for each in ahead.plan.changes]
        cost = {"before": described(ahead.cost.before), "after": described(ahead.cost.after)}
        typer.echo(as_json({"changes": changes, "cost": cost, "over_budget": ahead.over_budget}))
    else:
        typer.echo(ahead.text or f"{environment}: no changes")
        typer.echo(f"cost: {ahead.cost.text}")
        for line in ahead.cost.after.lines:
            typer.echo(f"  {line.floor:10,.2f} {line.ceiling:10,.2f}  {line.what}")
    if ahead.over_budget:
        typer.echo(f"over budget: {ahead.over_budget}", err=True)
        raise typer.Exit(EXIT["refused"])
    if detailed_exit and not ahead.plan.is_empty:
        raise typer.Exit(EXIT["changes"])


def described(cost: Cost) -> dict[str, Any]:
    lines = [{"what": each.what, "floor": each.floor, "ceiling": each.ceiling} for each in cost.lines]
    return {"floor": cost.floor, "ceiling": cost.ceiling, "prices_of": str(cost.as_of), "lines": lines}


def down(
    given: Given = None,
    yes: Yes = False,
    engine: Engine = None,
    env: Env = "local",
    json_: Json = False,
    root: Root = None,
) -> None:
    """Remove an environment and everything in it.

    Shows what will go, asks, then deletes what its engine did not make (versions of models, evidence whose lock
    settings let go of) and removes the rest. What has to be kept is told, and then nothing is removed.

    Example: `slipway down local --yes`
    """
    environment, ask = which(given, env), None if yes or json_ else confirm
    engine_of(engine).down(environment, here(root), Console(stderr=True), ask=ask)
    show({"removed": environment}, f"{environment}: removed", json_)


def synth(
    given: Given = None,
    out: Annotated[Path | None, typer.Option(help="A file; without it, stdout.")] = None,
    env: Env = "local",
    json_: Json = False,
    root: Root = None,
) -> None:
    """Write what the program declares as Terraform JSON, without any engine and without a cloud.

    Example: `slipway synth dev --out dev.tf.json`
    """
    from delivery.engine.declare import declare
    from delivery.engine.engine import synthesis_of

    environment = which(given, env)
    text = json.dumps(synthesis_of(declare(environment, here(root))).document, indent=2, sort_keys=True)
    if out is None:
        typer.echo(text)  # JSON either way
        return
    out.write_text(text + "\n")
    show({"environment": environment, "file": out}, f"{environment}: {out}", json_)


def outputs(
    given: Given = None, engine: Engine = None, env: Env = "local", json_: Json = False, root: Root = None
) -> None:
    """Print what an environment told when it was brought up: buckets, roles, pipelines, endpoints.

    Example: `slipway outputs local`
    """
    del json_  # JSON either way
    typer.echo(as_json(engine_of(engine).outputs(which(given, env), here(root)).to_json()))


def smoke(
    given: Given = None, engine: Engine = None, env: Env = "local", json_: Json = False, root: Root = None
) -> None:
    """Look whether what was brought up is there and serves: endpoints, pipelines, alarms.

    Example: `slipway smoke local`
    """
    from delivery.engine.cloud import reach
    from delivery.engine.smoke import smoke as problems
    from stacks.forms import declared_configurations
    from stacks.settings import load

    environment = which(given, env)
    settings, found = load(environment, here(root)), engine_of(engine).outputs(environment, here(root))
    wrong = problems(reach(settings, here(root)), found, declared_configurations(settings, here(root)))
    text = "\n".join(wrong) or f"{environment}: {len(found.models)} models, all there"
    show({"models": list(found.models), "wrong": wrong}, text, json_)
    if wrong:
        raise typer.Exit(EXIT["failed"])


def recover(
    given: Given = None,
    yes: Yes = False,
    engine: Engine = None,
    env: Env = "local",
    json_: Json = False,
    root: Root = None,
) -> None:
    """Find what an interrupted `up` left: made but not known, or known but gone; adopt it or forget it.

    Example: `slipway recover local --yes`
    """
    ask = None if yes or json_ else confirm
    report = list(engine_of(engine).recover(which(given, env), here(root), Console(stderr=True), ask=ask))
    show(report, "\n".join(report), json_)


def engine(
    install: Annotated[
        bool, typer.Option("--install", help="Fetch the pinned Pulumi CLI into .slipway/pulumi-cli.")
    ] = False,
    json_: Json = False,
    root: Root = None,
) -> None:
    """Say which engine this machine has; fetch one where there is none.

    Example: `slipway engine`
    """
    from delivery.engine import machine
    from delivery.engine.choose import choose

    if install:
        from delivery.engine.install import install_pulumi

        place = install_pulumi(here(root))
        show({"pulumi": place}, f"pulumi: {place}", json_)
        return
    found = {"pulumi": machine.pulumi(), "terraform": machine.terraform(), "mirror": machine.mirror(), "used": choose()}
    lines = [
        f"pulumi: {found['pulumi'] or 'not on PATH'}",
        f"terraform: {found['terraform'] or 'not on PATH'}",
        f"AWS provider in a mirror: {found['mirror'] or 'none; Terraform asks its registry'}",
        f"used: {found['used']}",
    ]
    show(found, "\n".join(lines), json_)
