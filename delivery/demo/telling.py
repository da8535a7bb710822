"""How the story is told: chapter by chapter, with a terminal or without, and kept for the report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console
from rich.markup import escape

MARKS = {"plain": "  ", "good": "[green]✓[/] ", "bad": "[red]✗[/] ", "quoted": "[dim]│[/] "}


class DemoError(Exception):
    """The story did not go as it is told; the text says what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence, and how it is meant."""

    text: str
    mood: str = "plain"


@dataclass
class Chapter:
    """One part of the story, as it went."""

    title: str
    about: str
    day: datetime
    seconds: float = 0.0
    lines: list[Line] = field(default_factory=list)


@dataclass
class Telling:
    """Tells, and remembers what it told."""

    console: Console
    chapters: list[Chapter] = field(default_factory=list)

    @contextmanager
    def chapter(self, title: str, about: str, day: datetime) -> Iterator[None]:
        """Everything told inside belongs to it."""
        here = Chapter(title, about, day)
        self.chapters.append(here)
        self.console.print(f"\n[bold]{len(self.chapters)}. {escape(title)}[/]  [dim]{day:%A %d %B, %H:%M}[/]")
        self.console.print(f"   [dim]{escape(about)}[/]", highlight=False, soft_wrap=True)
        began = time.monotonic()
        try:
            yield
        finally:
            here.seconds = time.monotonic() - began
            self.console.print(f"   [dim]{here.seconds:.0f} s[/]", highlight=False)

    def say(self, text: object, mood: str = "plain") -> None:
        for line in str(text).splitlines():
            self.chapters[-1].lines.append(Line(line, mood))
            self.console.print(f"   {MARKS[mood]}{escape(line)}", highlight=False, soft_wrap=True)

    def quote(self, text: object) -> None:
        """What a verb said, word for word."""
        self.say(text, "quoted")

    def expect(self, holds: bool, what: str, found: object = "") -> None:
        """Say what holds; a story that goes otherwise ends here."""
        if not holds:
            self.say(f"{what}: it is not so; found {found}", "bad")
            raise DemoError(f"expected: {what}; found: {found}. The embedded AWS's log is beside the demo's world.")
        self.say(what, "good")
