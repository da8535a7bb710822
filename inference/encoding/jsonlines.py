"""application/jsonlines: an object per line, as in the JSON form's `predictions`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from inference.encoding.json import of_rows
from inference.predictions import Predictions

MEDIA_TYPES = ("application/jsonlines", "application/x-jsonlines", "application/jsonl", "application/x-ndjson")
PIECE = 8192
_to_lines = msgspec.json.Encoder().encode_lines


def encode(predictions: Predictions, parameters: Mapping[str, str]) -> bytes:
    del parameters
    return _to_lines(of_rows(predictions))


def parts(predictions: Predictions, parameters: Mapping[str, str]) -> Iterator[bytes]:
    del parameters
    for start in range(0, len(predictions), PIECE):
        yield _to_lines(of_rows(predictions, start, start + PIECE))
