"""`slipway dash`: what goes on in an environment, as a page on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from delivery.cli.shared import Env


def commands(app: typer.Typer) -> None:
    """Add the verb of this file."""
    app.command()(dash)


def dash(
    env: Env = "local",
    port: Annotated[int, typer.Option(help="0 takes any free one.")] = 0,
) -> None:
    """Show pipelines, endpoints, experiments, drift, quality, alarms, cost and the ledger on a page of this machine.

    It only looks, with whatever credentials there are; read-only ones are enough. Ctrl-C ends it.

    Example: `slipway dash --env local`
    """
    from delivery.dashboard.server import listen, serve
    from delivery.environment import Environment

    environment = Environment.open(env)
    listening = listen(port)
    typer.echo(f"http://127.0.0.1:{listening.getsockname()[1]}")
    serve(environment, listening)
