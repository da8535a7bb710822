"""What every verb takes, and how every verb shows what it does."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from delivery.cli.completing import environment_names, model_names, root

if TYPE_CHECKING:
    from delivery.platform import Platform

Env = Annotated[
    str,
    typer.Option("--env", "-e", envvar="SLIPWAY_ENV", help="Which environment.", autocompletion=environment_names),
]
Model = Annotated[str, typer.Argument(help="Which model, as settings name it.", autocompletion=model_names)]


class EngineName(StrEnum):
    """What does the work of an `up`."""

    PULUMI = "pulumi"
    TERRAFORM = "terraform"


Engine = Annotated[EngineName | None, typer.Option(help="What does the work; without it, what this machine has.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; it goes into the ledger.")]


def platform(env: str, engine: str | None = None) -> Platform:
    """The environment's verbs; what they tell goes to stderr, so that stdout stays for answers."""
    from delivery.platform import Platform

    return Platform(env, root=root(), engine=engine, tell=tell)


def tell(text: object) -> None:
    sys.stderr.write(f"{text}\n")


def show(answer: Any, text: str, json_: bool) -> None:
    """Print an answer, as JSON or as its text."""
    typer.echo(as_json(answer) if json_ else text)


def as_json(answer: Any) -> str:
    """An answer as JSON that every reader takes: what is no finite number is null."""
    return json.dumps(plain(answer), indent=2, sort_keys=True, allow_nan=False)


def plain(value: Any) -> Any:  # noqa: PLR0911 - a line per kind of value
    """Plain values of whatever a verb answers."""
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="json"))
    if hasattr(value, "to_json") and not isinstance(value, type):
        found = value.to_json()
        return plain(json.loads(found) if isinstance(found, bytes) else found)
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value) if isinstance(value, Path) else value


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Rows under heads, as wide as the terminal."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        shown.add_column(head, overflow="fold")
    for row in rows:
        shown.add_row(*row)
    console = Console()
    with console.capture() as captured:
        console.print(shown)
    return captured.get().rstrip()


def agreed(question: str, yes: bool) -> None:
    """Ask before what cannot be taken back; no is an end without change."""
    if not yes and not typer.confirm(question, default=False, err=True):
        from delivery.release import RefusedError

        raise RefusedError("not agreed; nothing was changed")
