"""One performance of the story: the world made, the chapters played, the seal looked at, the report written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from delivery.dashboard.looking import Look
from delivery.dashboard.panel import panel
from delivery.dashboard.parts import parts
from delivery.demo import sealed, story
from delivery.demo.calendar import Calendar
from delivery.demo.report import page
from delivery.demo.telling import Chapter, Telling
from delivery.demo.world import MODEL, World, own_variables
from delivery.environment import Environment


def nothing(_: Environment) -> None:
    """Leave it as it is."""


@dataclass(frozen=True, slots=True)
class Performance:
    """What was told, how long it took, and what is known of sockets."""

    chapters: tuple[Chapter, ...]
    seconds: float
    sockets: sealed.Evidence
    report: Path

    def to_json(self) -> dict[str, Any]:
        return {
            "chapters": [asdict(each) | {"day": each.day.isoformat()} for each in self.chapters],
            "seconds": round(self.seconds, 1),
            "sockets": asdict(self.sockets) | {"says": self.sockets.says},
            "report": str(self.report),
        }


def perform(
    repository: Path, console: Console, *, is_sealed: bool, at_the_end: Callable[[Environment], None] = nothing
) -> Performance:
    """Play it all; whatever does not go as it is told is an error."""
    began = time.monotonic()
    own_variables()
    if is_sealed:
        sealed.raise_loopback()
    world, telling = World(repository), Telling(console)
    with world.alone():
        world.make()
        with world.running() as url:
            ana, ben = (world.platform(who, telling.quote) for who in ("ana", "ben"))
            story.play(story.Stage(world, Calendar(url), telling, ana, ben))
            seen = [panel(name, Look(ben.environment, MODEL)) for name in parts()]
            at_the_end(ben.environment)
        evidence = sealed.evidence(sealed=is_sealed)
    chapters, seconds = tuple(telling.chapters), time.monotonic() - began
    world.report.write_text(page(chapters, seen, seconds, evidence))
    return Performance(chapters, seconds, evidence, world.report)
