"""One part of the page as it is now: what it shows, or why it cannot; one that fails takes no other with it."""

from __future__ import annotations

from dataclasses import dataclass

from delivery.dashboard.looking import Look
from delivery.dashboard.parts import Part, parts
from delivery.dashboard.trouble import Trouble, explained
from monitoring.report.page import text


@dataclass(frozen=True, slots=True)
class Panel:
    """A part, looked at."""

    name: str
    title: str
    wide: bool
    html: str
    trouble: Trouble | None = None


def panel(name: str, look: Look) -> Panel:
    """Read a part and show it."""
    part: Part = parts()[name]
    try:
        return Panel(name, part.TITLE, part.WIDE, part.show(part.read(look)))
    except Exception as problem:  # noqa: BLE001 whatever it is, it is said in its place
        trouble = explained(problem, look.environment.name)
        return Panel(name, part.TITLE, part.WIDE, shown(trouble), trouble)


def shown(trouble: Trouble) -> str:
    return (
        f'<div class="trouble" data-kind="{trouble.kind}"><p class="bad-text">{text(trouble.what)}</p>'
        f'<p class="soft">{text(trouble.do)}</p></div>'
    )
