"""What an operator sees while an engine works: a line per finished resource, a bar with the time left."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from delivery.engine.events import Diagnosed, Event, Finished, Planned, Started

DONE = {"create": "created", "update": "changed", "delete": "removed", "replace": "replaced", "import": "adopted"}
SIGN = {"create": "+", "update": "~", "delete": "-", "replace": "±", "import": "<", "read": "?", "move": ">"}


class Shown:
    """Listens to an engine's events and shows them; use as a context."""

    def __init__(self, console: Console, title: str, total: int | None = None) -> None:
        self.console = console
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.title = title
        self.total = total
        self.task: TaskID | None = None
        self.running: dict[str, str] = {}

    def __enter__(self) -> Self:
        self.bar.start()
        self.task = self.bar.add_task(self.title, total=self.total)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case Started(address, verb):
                self.running[address] = verb
                self.describe()
            case Finished(address, verb, seconds, failed):
                self.running.pop(address, None)
                word = "failed" if failed else DONE.get(verb, verb)
                self.console.print(f"  {SIGN.get(verb, ' ')} {address} {word} ({seconds:.0f} s)", highlight=False)
                self.advance()
            case Diagnosed("warning", summary, _, address):
                self.console.print(f"  ! {address} {summary}", highlight=False)
            case _:
                return

    def describe(self) -> None:
        if self.task is not None:
            busy = next(reversed(self.running), "")
            self.bar.update(self.task, description=f"{self.title} {busy}")

    def advance(self) -> None:
        if self.task is not None:
            self.bar.advance(self.task)
            self.describe()


def listed(changes: tuple[Planned, ...]) -> list[str]:
    """The changes of a plan, a line each, in an order people can read."""
    return [
        f"  {SIGN.get(each.verb, ' ')} {each.address}" for each in sorted(changes, key=lambda c: (c.verb, c.address))
    ]
