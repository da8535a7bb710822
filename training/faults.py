"""Find the line of a text file that is not as the others: libraries say that a file is broken, seldom where."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path

SHOWN = 60  # characters of a line that a sentence repeats


def fault_of(path: Path, form: str) -> str:
    """The first thing wrong with a CSV or JSON lines file, in words with its line; empty where nothing is found."""
    finders = {"csv": _of_csv, "jsonlines": _of_json_lines}
    if form not in finders:
        return ""
    try:
        with _opened(path) as lines:
            return finders[form](_decoded(lines))
    except (UnicodeError, csv.Error, OSError, EOFError) as problem:
        return str(problem)


def _opened(path: Path) -> BufferedReader | gzip.GzipFile:
    return gzip.GzipFile(path) if path.name.endswith(".gz") else path.open("rb")


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as problem:
            raise UnicodeError(
                f"line {number} holds the byte 0x{line[problem.start]:02x}, which is not UTF-8: save the file as UTF-8"
            ) from None


def _of_csv(lines: Iterator[str]) -> str:
    reader = csv.reader(lines)
    first: list[str] = next(reader, [])
    for cells in reader:
        if cells and len(cells) != len(first):
            return (
                f"line {reader.line_num} has {len(cells)} cells, the first line has {len(first)}: {_shown(cells)}; "
                "mend or remove it (a cell that holds a comma stands in quotes)"
            )
    return ""


def _of_json_lines(lines: Iterator[str]) -> str:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as problem:
            return f"line {number} is not JSON ({problem}): {line.strip()[:SHOWN]}"
        if not isinstance(row, dict):
            return f"line {number} is no JSON object: {line.strip()[:SHOWN]}"
    return ""


def _shown(cells: list[str]) -> str:
    text = ",".join(cells)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
