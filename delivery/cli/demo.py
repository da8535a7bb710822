"""`slipway demo`: the whole story, really happening."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from delivery.cli.shared import Json, root, show

Sealed = Annotated[bool, typer.Option("--sealed", hidden=True, help="This process is sealed off from every network.")]


def commands(app: typer.Typer) -> None:
    """Add the verb of this file."""
    app.command()(demo)


def demo(json_: Json = False, sealed: Sealed = False) -> None:
    """Play the whole story on an embedded AWS of its own: train, gate, deploy, canary, experiment, drift, roll back.

    It plays sealed off from every network where the machine allows that, in a folder of its own, and leaves a report.

    Example: `slipway demo`
    """
    from rich.console import Console

    from delivery.demo import sealed as seal
    from delivery.demo.performance import perform

    if not sealed and seal.can_seal():
        again = [sys.executable, "-m", "delivery.cli", "demo", "--sealed", *(["--json"] if json_ else [])]
        raise typer.Exit(seal.run(again))
    done = perform(root(), Console(stderr=json_), is_sealed=sealed)
    text = f"\nall of it in {done.seconds:.0f} s · {done.sockets.says}\nthe report: {done.report}"
    show(done, text, json_)
