"""`slipway report`: the release report of a model, as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from delivery.cli.shared import Env, Model


def commands(app: typer.Typer) -> None:
    """Add the verb of this file."""
    app.command()(report)


def report(
    model: Model,
    out: Annotated[Path | None, typer.Option(help="The file; without it, MODEL-ENV.html here.")] = None,
    env: Env = "local",
) -> None:
    """Write what serves, its evidence, drift, quality, experiments and the ledger into one HTML file.

    Example: `slipway report churn --out churn.html`
    """
    from delivery.dashboard.looking import Look
    from delivery.dashboard.report import report as made
    from delivery.environment import Environment

    environment = Environment.open(env)
    environment.model(model)
    place = out or Path(f"{model}-{env}.html")
    place.write_text(made(Look(environment, model)), encoding="utf-8")
    typer.echo(place)
