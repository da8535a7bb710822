"""Tables of docs/benchmarks.md, between their markers."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


def write(name: str, text: str) -> None:
    """Put a table between its markers, leaving the rest of the page as it is."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = DOCS.read_text().partition(begin)
    if not found:
        raise SystemExit(f"{DOCS} has no marker {begin}")
    _, _, after = rest.partition(end)
    DOCS.write_text(f"{before}{begin}\n{text}\n{end}{after}")
