"""text/csv, with or without a header line.

`text/csv; header=present` or `header=absent` says it; without either, a first line that names a column is a header.
"""

from __future__ import annotations

from csv import Error as CsvError
from csv import reader

import numpy as np

from inference.csv_reader import CellError
from inference.layout import Layout, Matrix
from inference.refusals import RequestError, too_large, wrong_cell

CONTENT_TYPES = ("text/csv", "application/csv")
BEGINS_A_NUMBER = frozenset(b"0123456789-+.,")


def decode(body: bytes, parameters: dict[str, str], layout: Layout) -> Matrix:
    if not body.isascii():
        _refuse_bad_text(body)
    start, order = _header(body, parameters.get("header"), layout)
    try:
        values, rows = layout.csv.read(body, start, order)
    except CellError as fault:
        raise _explained(body, start, fault.args, layout) from None
    return np.ndarray((rows, layout.width), np.float64, values)


def _refuse_bad_text(body: bytes) -> None:
    if body.startswith(b"\xef\xbb\xbf"):
        raise RequestError("the body begins with a byte order mark: send plain UTF-8", code="bad_text")
    try:
        body.decode()
    except UnicodeDecodeError as problem:
        row = body.count(b"\n", 0, problem.start) + 1
        raise RequestError(
            f"row {row}: byte {problem.start} of the body (0x{body[problem.start]:02x}) is not UTF-8 text",
            code="bad_text",
            row=row,
        ) from None


def _header(body: bytes, said: str | None, layout: Layout) -> tuple[int, tuple[int, ...] | None]:
    """Where the rows start, and the order of their columns when a header says one."""
    if said == "absent" or (said is None and body[0] in BEGINS_A_NUMBER):
        return 0, None
    if said not in (None, "present"):
        raise RequestError(
            f"Content-Type parameter header={said}: expected header=present or header=absent", code="bad_parameter"
        )
    ends = body.find(b"\n")
    ends = len(body) if ends < 0 else ends
    try:
        names = [name.strip() for name in next(reader([body[:ends].decode().rstrip("\r")]), [])]
    except CsvError as problem:
        raise RequestError(f"the first line cannot be read: {problem}", code="bad_text", row=1) from None
    if said is None and not any(name in layout.position for name in names):
        return 0, None
    order = layout.order_of(names, "the header")
    return ends + 1 if ends < len(body) else ends, order if order != tuple(range(layout.width)) else None


def _explained(body: bytes, start: int, fault: tuple[str, int, int, bytes], layout: Layout) -> RequestError:
    code, row, column, cell = fault[0], fault[1] + 1, fault[2], fault[3].decode(errors="replace")
    if code == "ragged":
        first = f" (the first is '{layout.names[0]}')" if layout.width > 1 else ""
        return RequestError(
            f"row {row}: {column} cells, expected {layout.width}, one per input of the model{first}",
            code="wrong_columns",
            row=row,
        )
    if code == "quote":
        return RequestError(
            f"row {row}, cell {column + 1}: a quoted cell must end in a quote before a comma or line end; "
            'write a quote inside as ""',
            code="bad_text",
            row=row,
        )
    del body, start
    if code == "huge":
        return too_large(row, layout.names[column], cell)
    return wrong_cell(row, layout.names[column], code, cell)
