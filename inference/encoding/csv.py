"""text/csv: a line per row; the label, then the probability of each class in the order of the classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec
import numpy as np

from inference.layout import Matrix
from inference.predictions import Predictions

MEDIA_TYPES = ("text/csv",)
PIECE = 8192
LINE_FEED, COMMA = 10, 44
_to_json = msgspec.json.Encoder().encode
_to_json_lines = msgspec.json.Encoder().encode_lines


def encode(predictions: Predictions, parameters: Mapping[str, str]) -> bytes:
    return _header(predictions, parameters) + _lines(predictions, 0, len(predictions))


def parts(predictions: Predictions, parameters: Mapping[str, str]) -> Iterator[bytes]:
    header = _header(predictions, parameters)
    for start in range(0, len(predictions), PIECE):
        yield (b"" if start else header) + _lines(predictions, start, start + PIECE)


def _header(predictions: Predictions, parameters: Mapping[str, str]) -> bytes:
    if parameters.get("header") != "present":
        return b""
    if not predictions.is_classification:
        return quoted(predictions.schema.target) + b"\n"
    names = [quoted(predictions.schema.target)] if predictions.output != "probabilities" else []
    if predictions.output != "labels":
        names += [quoted(f"{predictions.schema.target}={each}") for each in predictions.schema.classes]
    return b",".join(names) + b"\n"


def _lines(predictions: Predictions, start: int, stop: int) -> bytes:
    if stop == 1 and predictions.output == "both" and predictions.is_classification:
        return line(labels_of(predictions.schema.classes), predictions.values[0].tolist())
    values = predictions.values[start:stop]
    if predictions.output == "labels" and predictions.is_classification:
        return b"\n".join(_labels(predictions, values)) + b"\n"
    numbers = _numbers(values)
    if predictions.output == "probabilities" or not predictions.is_classification:
        return numbers
    lines = zip(_labels(predictions, values), numbers.splitlines(keepends=True), strict=True)
    return b"".join([b"%b,%b" % line for line in lines])


def line(labels: Sequence[bytes], row: list[float]) -> bytes:
    """The line of one row; most requests have one, which needs none of what many rows are helped by."""
    return b"%b,%b\n" % (labels[row.index(max(row))], _to_json(row)[1:-1])


def _numbers(values: Matrix) -> bytes:
    """Text of many numbers at once: each on a line of JSON, then commas for the line ends within a row."""
    text = np.frombuffer(bytearray(_to_json_lines(values.ravel().tolist())), np.uint8)
    ends = np.flatnonzero(text == LINE_FEED).reshape(values.shape)
    text[ends[:, :-1]] = COMMA
    numbers = text.tobytes()
    return numbers.replace(b"null", b"") if b"n" in numbers else numbers


def _labels(predictions: Predictions, values: Matrix) -> list[bytes]:
    classes = labels_of(predictions.schema.classes)
    return [classes[at] for at in values.argmax(axis=1).tolist()]


@lru_cache(maxsize=64)
def labels_of(classes: tuple[str, ...]) -> list[bytes]:
    """The classes as they stand in a cell."""
    return [quoted(each) for each in classes]


def quoted(text: str) -> bytes:
    if any(each in text for each in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text.encode()
