"""The story as a page: what was told, chapter by chapter, and what stands behind it."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.dashboard.panel import Panel
from delivery.dashboard.report import sections, style
from delivery.demo.sealed import Evidence
from delivery.demo.telling import Chapter
from monitoring.report.page import Section, render, text

SIGNS = {"good": '<span class="good-text">✓</span> ', "bad": '<span class="bad-text">✗</span> ', "plain": ""}


def page(chapters: Sequence[Chapter], seen: Sequence[Panel], seconds: float, sockets: Evidence) -> str:
    """The whole report as one file that needs no network: the story, then what the page showed at its end."""
    days = (chapters[-1].day - chapters[0].day).days + 1
    facts = [
        ("took", f"{seconds:.0f} s"),
        ("on its own clock", f"{days} days"),
        ("chapters", str(len(chapters))),
        ("sockets", sockets.says),
    ]
    story = [Section(f"{number}. {each.title}", told(each), each.about) for number, each in enumerate(chapters, 1)]
    return render(
        "Slipway: the whole story", "Everything told here really happened.", "good",
        facts=facts, sections=[*story, *sections(seen)], style=style(),
    )  # fmt: skip


def told(chapter: Chapter) -> str:
    lines = "".join(line(each.text, each.mood) for each in chapter.lines)
    return f'<p class="when">{chapter.day:%A %d %B, %H:%M} · {chapter.seconds:.1f} s</p>{lines}'


def line(said: str, mood: str) -> str:
    return f"<pre>{text(said)}</pre>" if mood == "quoted" else f"<div>{SIGNS[mood]}{text(said)}</div>"
