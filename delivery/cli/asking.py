"""`slipway invoke` and `slipway outcomes put`: ask an endpoint, and tell it later how things turned out."""

from __future__ import annotations

import json
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
    content_type: Annotated[
        str | None, typer.Option(help="What the request is; else by the file's ending, JSON by its look, or CSV.")
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
    body, seen = read_body(row, file, content_type)
    request = Request(body, seen, accept, inference_id, variant)
    done = platform(env).invoke(model, request, unit=unit)
    tell(f"{done.answer.variant}, {done.milliseconds:.1f} ms")
    show(done, done.answer.body.decode(errors="replace").rstrip("\n"), json_)


def read_body(row: str | None, file: Path | None, content_type: str | None) -> tuple[bytes, str]:
    """The request and what it is: as said, as its file ends, or as it looks."""
    if file is None:
        body = sys.stdin.buffer.read() if row is None else row.encode()
        return body, content_type or looks(body)
    if content_type is None and file.suffix not in TYPES:
        raise typer.BadParameter(
            f"{file}: expected a name that ends in {', '.join(TYPES)}, or --content-type that says what it is"
        )
    return file.read_bytes(), content_type or TYPES[file.suffix]


def looks(body: bytes) -> str:
    """What a request looks like: JSON when it is an object or a list, else CSV."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return TYPES[".csv"]
    return TYPES[".json" if type(document) in (dict, list) else ".csv"]


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
