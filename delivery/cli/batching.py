"""`slipway batch`: the champion answers many rows at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from delivery.batch import Progress
from delivery.cli.shared import Env, Json, Model, platform, show


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
    with showing(f"{model} answers {data}") as look:
        done, files = platform(env).batch(
            model, place, out=out, accept=accept, instances=instances, again=again, look=look
        )
    text = "\n".join([f"{done.job}: version {done.version} answered", *map(str, files)])
    show({"batch": done, "files": files}, text, json_)


@contextmanager
def showing(what: str) -> Iterator[Callable[[Progress], None]]:
    """A bar with the time left, on stderr; it runs back and forth while nothing is known of either."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[left]}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, left="")

        def look(seen: Progress) -> None:
            known = seen.seconds_left is not None
            left = f"{timedelta(seconds=round(seen.seconds_left))} left" if seen.seconds_left is not None else ""
            bar.update(task, total=1.0 if known else None, completed=seen.share, left=left)

        yield look
