"""`slipway report`: the release report of a model, as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from delivery.cli.shared import Env, Json, Model, platform, show
from delivery.cli.waiting import waiting


def commands(app: typer.Typer) -> None:
    """Add the verb of this file."""
    app.command()(report)


def report(
    model: Model,
    out: Annotated[Path | None, typer.Option(help="The file; without it, MODEL-ENV.html here.")] = None,
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Write what serves, its evidence, drift, quality, experiments and the ledger into one HTML file.

    Example: `slipway report churn --out churn.html`
    """
    with waiting(f"writing the report of {model}"):
        place = platform(env).report(model, out)
    show({"report": str(place)}, str(place), json_)
