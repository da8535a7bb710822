"""A page that needs no network: text, tables and plotly figures in one HTML file below 2 MB.

Plotly's whole bundle is 4.8 MB; the one here is its cartesian part (see docs/adr/0042). Figures are drawn when they
come into view, in the colours of the reader's light or dark mode.
"""

from __future__ import annotations

import gzip
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

BUNDLE = Path(__file__).with_name("plotly-cartesian.min.js.gz")
STYLE = Path(__file__).with_name("page.css")
SCRIPT = Path(__file__).with_name("page.js")

LISTED = 250  # rows of a table

Mood = Literal["good", "bad", "unsure"]

# The two sides of every comparison, chosen to differ for all kinds of colour vision and on light and dark.
BEFORE, AFTER = "#7a8aa0", "#e07b39"
GOOD, BAD = "#2f9e6e", "#d1495b"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it (HTML that is safe already)."""

    title: str
    body: str
    intro: str = ""


@cache
def bundle() -> str:
    return gzip.decompress(BUNDLE.read_bytes()).decode()


def text(value: object) -> str:
    """Any text, safe inside HTML."""
    return html.escape(str(value))


def number(value: float | None, digits: int = 3) -> str:
    """A number as people read it."""
    if value is None or value != value:  # noqa: PLR0124 (not a number)
        return "none"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.{digits}g}" if 1e-4 <= abs(value) < 1e6 else f"{value:.1e}"


def moment(iso: str | None, default: str = "") -> str:
    """A time as people read it."""
    return f"{iso[:10]} {iso[11:16]} UTC" if iso and iso.endswith("+00:00") else iso or default


def figure(drawn: Any, label: str, height: int = 260) -> str:
    """A plotly figure; the label is what a screen reader says."""
    document = json.loads(drawn.to_json())
    document["layout"].pop("template", None)
    content = json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<figure class="plot" role="img" aria-label="{text(label)}" style="height:{height}px">'
        f'<script type="application/json">{content}</script></figure>'
    )


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], label: str) -> str:
    """A table; cells are HTML that is safe already. Of very many rows the first are shown: the JSON twin has all."""
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in headings)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows[:LISTED])
    if len(rows) > LISTED:
        body += f'<tr><td colspan="{len(headings)}">and {number(len(rows) - LISTED)} more, in the JSON</td></tr>'
    return (
        f'<div class="wide"><table aria-label="{text(label)}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def cards(each: Sequence[tuple[str, str, str]]) -> str:
    """Small panels side by side: a heading, a line of text, and content."""
    return (
        '<div class="cards">'
        + "".join(
            f'<article class="card"><h3>{text(heading)}</h3><p>{text(line)}</p>{content}</article>'
            for heading, line, content in each
        )
        + "</div>"
    )


def render(
    title: str,
    verdict: str,
    mood: Mood,
    *,
    facts: Sequence[tuple[str, str]],
    sections: Sequence[Section],
    style: str = "",
) -> str:
    """The whole page; `style` is more CSS, for parts that bring their own."""
    listed = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts)
    parts = "".join(
        f"<section><h2>{text(part.title)}</h2>"
        + (f"<p>{text(part.intro)}</p>" if part.intro else "")
        + f"{part.body}</section>"
        for part in sections
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<link rel="icon" href="data:,">
<title>{text(title)}</title>
<style>{STYLE.read_text()}{style}</style>
</head>
<body>
<header class="{mood}"><h1>{text(title)}</h1><p class="verdict">{text(verdict)}</p><dl>{listed}</dl></header>
<main>{parts}</main>
<script>{bundle()}</script>
<script>{SCRIPT.read_text()}</script>
</body>
</html>
"""
