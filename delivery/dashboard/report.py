"""The release report: everything the page shows of a model now, as one file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.dashboard.looking import Look
from delivery.dashboard.panel import Panel, panel
from delivery.dashboard.parts import parts
from delivery.dashboard.server import PAGE
from monitoring.report.page import Mood, Section, render


def report(look: Look) -> str:
    """Look once at every part, and keep what was seen."""
    panels = [panel(name, look) for name in parts()]
    here = look.environment
    facts = [
        ("Environment", here.name),
        ("Account", here.cloud.account),
        ("Region", here.cloud.region),
        ("Made", f"{here.now():%Y-%m-%d %H:%M} UTC"),
    ]
    return render(f"{look.model} in {here.name}", *said(panels), facts=facts, sections=sections(panels), style=style())


def style() -> str:
    """How the parts look, on the page and in reports alike."""
    return (PAGE / "parts.css").read_text()


def said(panels: Sequence[Panel]) -> tuple[str, Mood]:
    """In a sentence, whether all of it could be looked at."""
    missing = [each.title.lower() for each in panels if each.trouble is not None]
    if not missing:
        return "What serves, why it may, and how it does.", "good"
    return f"Could not be looked at: {', '.join(missing)}.", "unsure"


def sections(panels: Sequence[Panel]) -> list[Section]:
    return [Section(each.title, each.html) for each in panels]
