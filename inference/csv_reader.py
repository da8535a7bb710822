"""CSV text into one matrix: the rules, in Python; `_csv.c` is the same rules compiled, and serves when it is there.

Rows end in LF or CRLF; blank lines are skipped. A cell may stand in quotes, with a quote inside doubled.
A number, whole number or boolean may have blanks around it; nothing, nan, na, n/a, null and none are missing.
A category is taken exactly as it stands; nothing is missing, a level that training never saw is -1.
"""

from __future__ import annotations

import math
import re
from array import array

LONGEST_NUMBER = 1024
WORDS_FOR_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})
NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
QUOTED = re.compile(rb'"((?:[^"]|"")*+)"')
NAMES = {b"n": "number", b"i": "integer", b"b": "boolean"}


class PythonCellError(ValueError):
    """(code, row, column, cell) of the first cell that breaks a rule; rows and columns count from 0."""


class PythonReader:
    """Reads the CSV rows of one schema: `kinds` has a letter per column (n, i, b, c), `levels` its level texts."""

    def __init__(self, kinds: bytes, levels: tuple[tuple[bytes, ...], ...], /) -> None:
        if not kinds or len(levels) != len(kinds):
            raise ValueError("Reader needs at least one column, and a tuple of levels for each")
        self._kinds = [kinds[at : at + 1] for at in range(len(kinds))]
        self._levels = [{level: float(at) for at, level in enumerate(each)} for each in levels]

    def read(self, body: bytes, start: int, order: tuple[int, ...] | None, /) -> tuple[bytearray, int]:
        """The rows of `body` from byte `start` as row-major doubles, and how many there are.

        `order` says which column of the schema stands at each place, when a header gave another order.
        """
        width = len(self._kinds)
        places = order or tuple(range(width))
        values = array("d")
        at, rows, end = start, 0, len(body)
        while at < end:
            if body.startswith((b"\n", b"\r\n"), at):
                at += 1 if body.startswith(b"\n", at) else 2
                continue
            row = [0.0] * width
            at, cells, fault = self._row(body, at, rows, places, row)
            if cells != width:  # before a wrong cell: where cells are missing, the others have shifted
                raise PythonCellError("ragged", rows, cells, b"")
            if fault is not None:
                raise fault
            values.extend(row)
            rows += 1
        return bytearray(values.tobytes()), rows

    def _row(
        self, body: bytes, at: int, number: int, places: tuple[int, ...], row: list[float]
    ) -> tuple[int, int, PythonCellError | None]:
        """Fill one row; answer where the next begins, how many cells it had, and its first wrong one."""
        cells, fault = 0, None
        while True:
            cell, at = _cell(body, at, number, cells)
            if cells < len(places) and fault is None:
                try:
                    row[places[cells]] = self._value(number, places[cells], cell)
                except PythonCellError as wrong:
                    fault = wrong
            cells += 1
            if at >= len(body) or body.startswith(b"\n", at):
                return at + 1, cells, fault
            at += 1

    def _value(self, row: int, column: int, cell: bytes) -> float:
        kind = self._kinds[column]
        if kind == b"c":
            return self._levels[column].get(cell, -1.0) if cell else math.nan
        text = cell.strip(b" \t")
        if is_number(text):
            value = float(text)
            if math.isinf(value):
                raise PythonCellError("huge", row, column, cell)
            if (kind == b"i" and value % 1 != 0) or (kind == b"b" and value not in (0.0, 1.0)):
                raise PythonCellError(NAMES[kind], row, column, cell)
            return value
        word = text.lower().decode("latin-1")
        if word in WORDS_FOR_MISSING:
            return math.nan
        if kind == b"b" and word in ("true", "false"):
            return float(word == "true")
        raise PythonCellError(NAMES[kind], row, column, cell)


def is_number(text: bytes) -> bool:
    return len(text) <= LONGEST_NUMBER and NUMBER.fullmatch(text) is not None


def _cell(body: bytes, at: int, row: int, column: int) -> tuple[bytes, int]:
    """The cell that starts here, and where the comma, line end or body end after it stands."""
    if body.startswith(b'"', at):
        found = QUOTED.match(body, at)
        if found is None:
            raise PythonCellError("quote", row, column, body[at:])
        after = found.end()
        if body.startswith(b"\r\n", after) or (body.startswith(b"\r", after) and after + 1 == len(body)):
            after += 1
        if after < len(body) and not body.startswith((b",", b"\n"), after):
            raise PythonCellError("quote", row, column, body[at:after])
        return found.group(1).replace(b'""', b'"'), after
    after = _ends(body, at)
    cell = body[at:after]
    if cell.endswith(b"\r") and not body.startswith(b",", after):
        cell = cell[:-1]
    return cell, after


def _ends(body: bytes, at: int) -> int:
    line = body.find(b"\n", at)
    line = len(body) if line < 0 else line
    comma = body.find(b",", at, line)
    return line if comma < 0 else comma


try:
    from inference._csv import CellError, Reader
except ImportError:  # no compiler when this was set up: the same rules, slower
    Reader, CellError = PythonReader, PythonCellError
