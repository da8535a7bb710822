"""application/jsonlines: one row per line, a list in schema order or an object by column name."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from inference.decoding.json import of_rows, parsed
from inference.layout import Layout, Matrix

CONTENT_TYPES = ("application/jsonlines", "application/x-jsonlines", "application/jsonl", "application/x-ndjson")
_read_lines = msgspec.json.Decoder().decode_lines


def decode(body: bytes, parameters: Mapping[str, str], layout: Layout) -> Matrix:
    del parameters
    try:
        rows = _read_lines(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        rows = [parsed(line, f"line {number}") for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    # {"features": [...]} is how SageMaker's own algorithms wrap a row.
    rows = [row["features"] if type(row) is dict and row.keys() == {"features"} else row for row in rows]
    return of_rows(rows, layout)
