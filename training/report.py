"""Reports people read: one HTML file with everything in it, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .25rem .75rem; border-bottom: 1px solid #d8dee6 }
th { text-align: left } td.number { text-align: right; font-variant-numeric: tabular-nums }
.error { color: #a61b1b } .warning { color: #8a5a00 } img { max-width: 100% } code { background: #eef1f5 }
"""


class Report:
    """A page in the making, section by section."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts: list[str] = []

    def heading(self, text: str) -> None:
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def says(self, text: str, kind: str = "") -> None:
        self._parts.append(f'<p class="{html.escape(kind)}">{html.escape(text)}</p>')

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
        self._parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")

    def facts(self, facts: Mapping[str, object]) -> None:
        self.table(("", ""), facts.items())

    def plot(self, png: bytes, says: str) -> None:
        content = base64.b64encode(png).decode()
        self._parts.append(f'<img alt="{html.escape(says)}" src="data:image/png;base64,{content}">')

    def page(self) -> str:
        title = html.escape(self._title)
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"<style>{STYLE}</style></head><body><h1>{title}</h1>{''.join(self._parts)}</body></html>\n"
        )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.4g}</td>'
    if isinstance(value, int):
        return f'<td class="number">{value}</td>'
    return f"<td>{html.escape(str(value))}</td>"
