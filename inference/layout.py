"""The inputs of one model, laid out once so that no request has to look them up again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.records import Column, Schema, nearest
from inference.csv_reader import WORDS_FOR_MISSING, Reader, is_number
from inference.refusals import RequestError, too_large, wrong_cell

Matrix = npt.NDArray[np.float64]

MARKS = {"number": b"n", "integer": b"i", "boolean": b"b", "category": b"c"}
UNSEEN = -1.0
TRUTHS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}


class Layout:
    """A schema with its lookups: columns by name, levels by text, and the CSV reader made for it."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.columns = schema.columns
        self.names = schema.names
        self.width = len(schema.columns)
        self.position: Mapping[str, int] = {name: at for at, name in enumerate(self.names)}
        self.levels: tuple[Mapping[str, float], ...] = tuple(
            {level: float(at) for at, level in enumerate(column.levels)} for column in schema.columns
        )
        self.csv = Reader(
            b"".join(MARKS[column.kind] for column in schema.columns),
            tuple(tuple(level.encode() for level in column.levels) for column in schema.columns),
        )

    def matrix(self, rows: int) -> Matrix:
        return np.empty((rows, self.width))

    def order_of(self, given: Sequence[str], where: str, row: int | None = None) -> tuple[int, ...]:
        """Which schema column each given name is; anything but the schema's names, each once, is refused."""
        problems = []
        for name in given:
            if name == self.schema.target:
                problems.append(f"'{name}' is what the model predicts: leave it out")
            elif name not in self.position:
                problems.append(f"'{name}' is not an input of the model.{nearest(name, self.names)}".rstrip("."))
        missing = [name for name in self.names if name not in set(given)]
        if missing:
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            problems.append("missing: " + ", ".join(f"'{name}'" for name in missing[:10]) + more)
        twice = sorted({name for name in given if given.count(name) > 1}) if len(set(given)) < len(given) else []
        if twice:
            problems.append("given twice: " + ", ".join(f"'{name}'" for name in twice[:10]))
        if problems:
            raise RequestError(f"{where}: {'; '.join(problems[:10])}", code="wrong_columns", row=row)
        return tuple(self.position[name] for name in given)

    def fill(self, into: npt.NDArray[np.float64], at: int, values: Sequence[Any]) -> None:
        """Encode one column's plain values (as JSON has them) into a column of the matrix."""
        column, kind = self.columns[at], self.columns[at].kind
        encoded = self._categories(at, values) if kind == "category" else None
        if encoded is None:
            try:
                encoded = [_number(kind, value) for value in values]
            except _WrongValueError as problem:
                row = next(at for at, value in enumerate(values, 1) if value is problem.value)
                if problem.huge:
                    raise too_large(row, column.name, problem.value) from None
                raise wrong_cell(row, column.name, kind, problem.value) from None
        into[:] = encoded

    def record(self, row: Sequence[float], hidden: frozenset[str]) -> dict[str, Any]:
        """One encoded row as a person reads it: levels by text, missing as None, hidden columns as '[redacted]'."""
        return {
            column.name: "[redacted]" if column.name in hidden else _readable(column, value)
            for column, value in zip(self.columns, row, strict=True)
        }

    def _categories(self, at: int, values: Sequence[Any]) -> list[float]:
        levels, missing = self.levels[at], math.nan
        encoded = []
        for row, value in enumerate(values, 1):
            if isinstance(value, str):
                encoded.append(levels.get(value, UNSEEN) if value else missing)
            elif value is None:
                encoded.append(missing)
            elif isinstance(value, bool):
                encoded.append(levels.get("true" if value else "false", UNSEEN))
            elif isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
                encoded.append(levels.get(str(int(value)), UNSEEN))
            elif isinstance(value, float):
                encoded.append(missing if math.isnan(value) else levels.get(repr(value), UNSEEN))
            else:
                raise wrong_cell(row, self.columns[at].name, "category", value)
        return encoded

    def check(self, rows: Matrix) -> Matrix:
        """Refuse a ready-made matrix whose values no row of the schema could have."""
        for at, column in enumerate(self.columns):
            values = rows[:, at]
            if column.kind == "category":
                wrong = ~(np.isnan(values) | ((values >= UNSEEN) & (values < len(column.levels)) & (values % 1 == 0)))
                expected = f"the index of a level (0 to {len(column.levels) - 1}), -1 for an unseen one, or NaN"
            elif column.kind == "integer":
                wrong, expected = (
                    np.isinf(values) | (np.mod(values, 1, where=np.isfinite(values), out=np.zeros(len(values))) != 0),
                    "a whole number",
                )
            elif column.kind == "boolean":
                wrong, expected = ~(np.isnan(values) | (values == 0) | (values == 1)), "1, 0 or NaN"
            else:
                wrong, expected = np.isinf(values), "a finite number"
            if wrong.any():
                row = int(np.argmax(wrong))
                raise RequestError(
                    f"row {row + 1}, column '{column.name}': expected {expected}, got '{values[row]}'",
                    code="wrong_type",
                    row=row + 1,
                    column=column.name,
                    holds_value=True,
                )
        return rows


def _readable(column: Column, value: float) -> float | str | None:
    if math.isnan(value):
        return None
    if not column.is_category:
        return value
    return column.levels[int(value)] if value >= 0 else "[unseen]"


class _WrongValueError(Exception):
    def __init__(self, value: object, *, huge: bool = False) -> None:
        self.value = value
        self.huge = huge


def _number(kind: str, value: Any) -> float:
    """A plain value as the number it stands for in a column that is no category."""
    if value is None:
        return math.nan
    if isinstance(value, str):
        return _number_in_text(kind, value)
    try:
        number = float(value)
    except OverflowError:
        raise _WrongValueError(value, huge=True) from None
    except (TypeError, ValueError):
        raise _WrongValueError(value) from None
    if math.isnan(number):
        return number
    if math.isinf(number):
        raise _WrongValueError(value, huge=True)
    if (kind == "integer" and number % 1 != 0) or (kind == "boolean" and number not in (0.0, 1.0)):
        raise _WrongValueError(value)
    return number


def _number_in_text(kind: str, text: str) -> float:
    """Numbers that a caller sent as text read the way CSV reads them."""
    word = text.strip(" \t")
    if word.lower() in WORDS_FOR_MISSING:
        return math.nan
    if kind == "boolean" and word.lower() in TRUTHS:
        return TRUTHS[word.lower()]
    if not is_number(word.encode()):
        raise _WrongValueError(text)
    return _number(kind, float(word))
