"""`slipway batch`: the champion answers many rows at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from delivery.cli.shared import Env, Json, Model, platform, show
from delivery.cli.waiting import waiting


def commands(app: typer.Typer) -> None:
    """Add the verb of this file."""
    app.command()(batch)


def batch(
    model: Model,
    data: Annotated[str, typer.Option(help="A .csv or .jsonl file, a row per line and no head; or s3://….")],
    out: Annotated[Path | None, typer.Option(help="Folder for the answers; else below .slipway.")] = None,
    accept: Annotated[str, typer.Option(help="The form of the answers.")] = "text/csv",
    instances: Annotated[int, typer.Option(help="Instances that share the files.", min=1)] = 1,
    again: Annotated[str, typer.Option(help="Any text: the same rows once more, as a new job.")] = "",
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Let the champion answer every row of a file or prefix, as a batch transform job, and fetch the answers.

    Ctrl-C leaves the job going; the same command picks it up again.

    Example: `slipway batch churn --data rows.csv --out answers`
    """
    place: Path | str = data if data.startswith("s3://") else Path(data)
    with waiting(f"{model} answers {data}") as shown:
        done, files = platform(env).batch(
            model, place, out=out, accept=accept, instances=instances, again=again, look=shown.look
        )
    text = "\n".join([f"{done.job}: version {done.version} answered", *map(str, files)])
    show({"batch": done, "files": files}, text, json_)
