"""The short way for what most requests are: one row of CSV, answered with one line of CSV.

It answers as decoding, predicting and encoding would, and leaves to them whatever is not plain.
"""

from __future__ import annotations

from collections.abc import Mapping

from inference.csv_reader import CellError
from inference.decoding.csv import BEGINS_A_NUMBER
from inference.encoding.csv import labels_of, line
from inference.model import AnswerRow, ServedModel
from inference.settings import Settings

CSV = b"text/csv"
PLAIN = (None, b"*/*", CSV)


def one_row(model: ServedModel, settings: Settings) -> OneRow | None:
    """The short way to this model, where it and the settings have one."""
    plain = settings.output == "both" and settings.accept in ("", "text/csv") and not settings.log_predictions
    if model.answer_row is None or model.layout.schema.task != "classification" or not plain:
        return None
    return OneRow(model, model.answer_row)


class OneRow:
    """The short way to one model."""

    __slots__ = ("_answer_row", "_labels", "_read")

    def __init__(self, model: ServedModel, answer_row: AnswerRow) -> None:
        self._read = model.layout.csv.read
        self._answer_row = answer_row
        self._labels = labels_of(model.layout.schema.classes)

    def answer(self, headers: Mapping[bytes, bytes], body: bytes) -> bytes | None:
        """The line; none when this is not one plain row, or a wrong one."""
        if headers.get(b"content-type", CSV) != CSV or headers.get(b"accept") not in PLAIN:
            return None
        if not body or body[0] not in BEGINS_A_NUMBER or not body.isascii():
            return None
        if body.find(b"\n", 0, -1) >= 0:
            return None
        try:
            row, count = self._read(body, 0, None)
        except CellError:
            return None
        return line(self._labels, self._answer_row(row)) if count == 1 else None
