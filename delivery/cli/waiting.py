"""What every verb shows on stderr while it waits, so that stdout stays for its answer.

On a terminal: a bar with the time gone and, where it is known, the time left; it runs back and forth while nothing is
known. Elsewhere, as in the log of CI: a plain line for each thing that happens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from delivery.progress import Progress

if TYPE_CHECKING:
    from delivery.runs import Step

PATIENCE = 2.0  # seconds; what took longer says so at its end
QUARTER = 0.25
SIGNS = {"Succeeded": "[green]✓[/]", "Failed": "[red]✗[/]", "Executing": "[yellow]…[/]"}
WORDS = {"Succeeded": "done", "Failed": "failed", "Executing": "begun", "Starting": "begun"}

Now = Callable[[], datetime]
Pace = Callable[[], Mapping[str, float]]
Tell = Callable[[str], None]


class Waiting(Protocol):
    """What can be shown of a wait."""

    def look(self, seen: Progress) -> None:
        """How far it is."""
        ...

    def show(self, picture: RenderableType, lines: Sequence[str], seen: Progress) -> None:
        """What goes on: as a picture on a terminal, else those lines that are new; and how far it is."""
        ...


@contextmanager
def waiting(
    what: str, *, console: Console | None = None, at_once: bool = True, stays: bool = False
) -> Iterator[Waiting]:
    """Show a wait; not `at_once` begins with its first look, and what `stays` is still on the terminal afterwards."""
    console = console or Console(stderr=True)
    if console.is_terminal:
        drawn = Drawn(what, console, stays=stays)
        try:
            if at_once:
                drawn.start()
            yield drawn
        finally:
            drawn.stop()
    else:
        written, began = Written(lambda text: console.out(text, highlight=False)), time.monotonic()
        if at_once:
            written.tell(what)
        yield written
        if at_once and (took := time.monotonic() - began) >= PATIENCE:
            written.tell(f"{what}: done in {clock(took)}")


class Drawn:
    """A wait on a terminal: a picture of what goes on, and a bar below it until it is over."""

    def __init__(self, what: str, console: Console, *, stays: bool) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self.bar = Bar(*columns, console=console)
        self.task = self.bar.add_task(what, total=None, left="")
        self.shown: RenderableType | None = None
        self.stays = stays
        self.over = False
        self.live = Live(console=console, get_renderable=self.picture, refresh_per_second=4)

    def start(self) -> None:
        if not self.live.is_started:
            self.live.start()

    def stop(self) -> None:
        self.over = self.stays and self.shown is not None
        self.live.transient = not self.over
        self.live.stop()

    def picture(self) -> RenderableType:
        if self.shown is None:
            return self.bar
        return self.shown if self.over else Group(self.shown, self.bar)

    def look(self, seen: Progress) -> None:
        self.start()
        known = seen.seconds_left is not None
        left = f"{clock(seen.seconds_left)} left" if seen.seconds_left is not None else ""
        self.bar.update(self.task, total=1.0 if known else None, completed=seen.share, left=left)

    def show(self, picture: RenderableType, lines: Sequence[str], seen: Progress) -> None:
        del lines
        self.shown = picture
        self.look(seen)


class Written:
    """A wait in a log: a line for whatever happens, and for every quarter of what is counted."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.told: Sequence[str] = ()
        self.quarters = 0

    def look(self, seen: Progress) -> None:
        if (quarters := int(seen.share / QUARTER)) > self.quarters:
            self.quarters = quarters
            self.tell(f"  {100 * seen.share:.0f} %{left_of(seen)}")

    def show(self, picture: RenderableType, lines: Sequence[str], seen: Progress) -> None:
        del picture
        for line in lines:
            if line not in self.told:
                self.tell(f"  {line}{left_of(seen)}")
        self.told = lines


def left_of(seen: Progress) -> str:
    return f"; {clock(seen.seconds_left)} left" if seen.seconds_left else ""


def drawn_steps(found: Sequence[Step]) -> Table:
    """The steps of a run as a picture."""
    shown = Table(box=None, pad_edge=False, show_header=False)
    for step in found:
        shown.add_row(SIGNS.get(step.status, " "), step.name, spent(step), step.reason)
    return shown


def line_of(step: Step) -> str:
    """A step in one line, which changes only when something happened to it."""
    facts = (WORDS.get(step.status, step.status.lower()), spent(step), step.reason)
    return f"{step.name}: {', '.join(filter(None, facts))}"


def spent(step: Step) -> str:
    """How long a step took; a stepped clock stands meanwhile, and then nothing is said."""
    if step.cached:
        return "cached"
    took = (step.ended - step.started).total_seconds() if step.started and step.ended else None
    return f"{took:.0f} s" if took else ""


def following(shown: Waiting, now: Now, pace: Pace) -> Callable[[list[Step]], None]:
    """Shows the steps of a run; how long each took the last time, asked for once, says what is left."""
    from delivery.runs import ahead

    usual: list[Mapping[str, float]] = []

    def steps(found: list[Step]) -> None:
        if not usual:
            usual.append(known(pace))
        shown.show(drawn_steps(found), [line_of(each) for each in found], ahead(found, usual[0], now()))

    return steps


def known(pace: Pace) -> Mapping[str, float]:
    """A pace, or none where it cannot be asked for: a run does not end because nobody may say how long it takes."""
    try:
        return pace()
    except (ClientError, BotoCoreError):
        return {}


def counting(shown: Waiting, size: int, seconds: Callable[[], float] = time.monotonic) -> Callable[[int], None]:
    """Shows bytes as they come or go, from several threads at once: their pace says what is left."""
    lock, began, moved = threading.Lock(), seconds(), 0

    def progress(count: int) -> None:
        nonlocal moved
        with lock:
            moved += count
            share = min(1.0, moved / size) if size else 1.0
            shown.look(Progress(share, (seconds() - began) * (1 - share) / share if share else None))

    return progress


def clock(seconds: float) -> str:
    """Seconds as people read them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
