"""`slipway doctor`: what this machine has and lacks."""

from __future__ import annotations

import typer

from delivery.cli.exits import EXIT
from delivery.cli.shared import Json, root, show, table


def commands(app: typer.Typer) -> None:
    """Add the verb of this file."""
    app.command()(doctor)


def doctor(json_: Json = False) -> None:
    """Say what is missing on this machine and how to get it. Exit 1 when something is that `make up` needs.

    Before anything is set up, `make doctor` says the same.

    Example: `slipway doctor`
    """
    from delivery.doctor import examine, fine

    checks = examine(root())
    rows = [[each.word, each.name, each.found, each.remedy] for each in checks]
    show(checks, table(["", "what", "found", "how to get it"], rows), json_)
    if not fine(checks):
        raise typer.Exit(EXIT["failed"])
