"""`slipway dash`: what goes on in an environment, as a page on this machine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from delivery.cli.shared import Env, Json, root, show


def commands(app: typer.Typer) -> None:
    """Add the verb of this file."""
    app.command()(dash)


def dash(
    env: Env = "local",
    port: Annotated[int, typer.Option(help="0 takes any free one.", min=0, max=65535)] = 0,
    json_: Json = False,
) -> None:
    """Show pipelines, endpoints, experiments, drift, quality, alarms, cost and the ledger on a page of this machine.

    It only looks, with whatever credentials there are; read-only ones are enough. Ctrl-C ends it.

    Example: `slipway dash --env local`
    """
    from delivery.dashboard.server import listen, serve
    from delivery.environment import Environment

    environment = Environment.open(env, root())
    listening = listen(port)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    show({"url": url}, url, json_)
    sys.stdout.flush()  # whoever reads it waits for it
    serve(environment, listening)
