"""`slipway invoke` and `slipway outcomes put`: ask an endpoint, and tell it later how things turned out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from contract.records import Request
from delivery.cli.shared import Env, Json, Model, platform, show, tell

TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".npy": "application/x-npy",
    ".parquet": "application/x-parquet",
}

outcomes = typer.Typer(name="outcomes", help="The truth about predictions, learned later.", no_args_is_help=True)


def commands(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    app.command()(invoke)
    app.add_typer(outcomes)


def invoke(
    model: Model,
    row: Annotated[str | None, typer.Option(help="One row as CSV; without it, --file or standard input.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="A file; its ending says what it is.", exists=True, dir_okay=False)
    ] = None,
    variant: Annotated[str | None, typer.Option(help="Ask this variant, whatever its weight.")] = None,
    accept: Annotated[str, typer.Option(help="The form of the answer.")] = "application/json",
    inference_id: Annotated[str | None, typer.Option(help="What an outcome will name.")] = None,
    unit: Annotated[
        str | None, typer.Option(help="A user or session: the same one meets the same variant of a sticky experiment.")
    ] = None,
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Send a request; the answer goes to stdout, which variant gave it to stderr.

    Example: `slipway invoke churn --file rows.csv --variant champion`
    """
    body, content_type = read_body(row, file)
    request = Request(body, content_type, accept, inference_id, variant)
    done = platform(env).invoke(model, request, unit=unit)
    tell(f"{done.answer.variant}, {done.milliseconds:.1f} ms")
    show(done, done.answer.body.decode(errors="replace").rstrip("\n"), json_)


def read_body(row: str | None, file: Path | None) -> tuple[bytes, str]:
    if row is not None:
        return row.encode(), "text/csv"
    if file is None:
        return sys.stdin.buffer.read(), "text/csv"
    if file.suffix not in TYPES:
        raise typer.BadParameter(f"{file}: expected a name that ends in {', '.join(TYPES)}")
    return file.read_bytes(), TYPES[file.suffix]


@outcomes.command("put")
def put(
    model: Model,
    file: Annotated[Path, typer.Option(help="CSV with columns inference_id and value.", exists=True, dir_okay=False)],
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Store outcomes for the monitor to join with predictions.

    Example: `slipway outcomes put churn --file outcomes.csv`
    """
    from delivery.invocation import read_outcomes

    found = read_outcomes(file)
    where = platform(env).put_outcomes(model, found)
    show({"outcomes": len(found), "place": where}, f"{len(found)} outcomes in {where}", json_)
