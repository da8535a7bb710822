"""`slipway dash`: what goes on in an environment, as a page on this machine."""

from __future__ import annotations

import socket
import sys
from typing import Annotated

import typer

from delivery.cli.shared import Env, Json, root, show

PORT = 8547  # where the page is looked for first


def commands(app: typer.Typer) -> None:
    """Add the verb of this file."""
    app.command()(dash)


def dash(
    env: Env = "local",
    port: Annotated[
        int | None, typer.Option(help=f"Without it {PORT}, or a free one where that is taken.", min=0, max=65535)
    ] = None,
    json_: Json = False,
) -> None:
    """Show pipelines, endpoints, experiments, drift, quality, alarms, cost and the ledger on a page of this machine.

    It only looks, with whatever credentials there are; read-only ones are enough. Ctrl-C ends it.

    Example: `slipway dash --env local`
    """
    from delivery.dashboard.server import serve
    from delivery.environment import Environment

    listening = opened(port)  # first: a port that cannot be had starts no embedded AWS
    environment = Environment.open(env, root())
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    show({"url": url}, url, json_)
    sys.stdout.flush()  # whoever reads it waits for it
    serve(environment, listening)


def opened(port: int | None, usual: int = PORT) -> socket.socket:
    """A socket on the port that was asked for, or else on the usual one, or on any that is free."""
    from delivery.dashboard.server import PortError, listen

    if port is not None:
        return listen(port)
    try:
        return listen(usual)
    except PortError:
        return listen(0)
