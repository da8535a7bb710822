"""`slipway local …`: the embedded AWS on this machine."""

from __future__ import annotations

import shutil
from typing import Annotated

import typer

from delivery.cli.shared import Json, Yes, agreed, root, show
from delivery.cli.waiting import waiting

local = typer.Typer(name="local", help="The embedded AWS on this machine.", no_args_is_help=True)


def commands(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    app.add_typer(local)


def cloud():  # noqa: ANN201 - typed where it is defined
    from delivery.engine.cloud import local_cloud

    return local_cloud(root())


@local.command("start")
def start(
    clock: Annotated[str, typer.Option(help="real, scaled:FACTOR or stepped.")] = "real",
    port: Annotated[int | None, typer.Option(help="Without it, the one it had before.", min=0, max=65535)] = None,
    json_: Json = False,
) -> None:
    """Start it, unless it runs already.

    Example: `slipway local start --clock scaled:60`
    """
    with waiting("starting the embedded AWS"):
        found = cloud().start(clock=clock, port=port)
    show(found, f"{found.url}\nexport AWS_ENDPOINT_URL={found.url}", json_)


@local.command("stop")
def stop(json_: Json = False) -> None:
    """End it and everything it started; its state stays.

    Example: `slipway local stop`
    """
    ran = cloud().stop()
    show({"stopped": ran}, "stopped" if ran else "it did not run", json_)


@local.command("status")
def status(json_: Json = False) -> None:
    """Say whether it runs, and where.

    Example: `slipway local status`
    """
    found = cloud().find()
    show(found, f"runs at {found.url} as process {found.pid}" if found else "does not run", json_)


@local.command("reset")
def reset(yes: Yes = False, json_: Json = False) -> None:
    """Stop it and forget everything it holds, with what was written down about it.

    Example: `slipway local reset --yes`
    """
    from delivery.engine.machine import Workplace
    from delivery.releases import ReleaseFile

    agreed("Forget everything the embedded AWS holds?", yes)
    cloud().reset()
    shutil.rmtree(Workplace(root(), "local").terraform, ignore_errors=True)
    ReleaseFile.of("local", root()).path.unlink(missing_ok=True)
    show({"forgotten": True}, "forgotten", json_)
