"""application/json: rows, columns, instances, or a single record.

[[1, "a"], [2, "b"]]     [{"x": 1, "plan": "a"}]     {"x": 1, "plan": "a"}     [1, "a"]
{"instances": ...}       {"rows": ...}               {"columns": ["x", "plan"], "data": [[1, "a"]]}
{"columns": {"x": [1, 2], "plan": ["a", "b"]}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from inference.layout import Layout, Matrix
from inference.refusals import RequestError

CONTENT_TYPES = ("application/json",)
FORMS = 'rows ([[...]]), records ([{...}]), {"instances": ...}, {"rows": ...}, {"columns": {...}} or one record'
_read = msgspec.json.Decoder().decode


def decode(body: bytes, parameters: Mapping[str, str], layout: Layout) -> Matrix:
    del parameters
    return of_document(parsed(body, "the body"), layout)


def parsed(text: bytes, where: str) -> Any:
    try:
        return _read(text)
    except RecursionError:
        raise RequestError(f"{where} is nested too deeply: rows need two levels", code="bad_json") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise RequestError(f"{where} is not JSON: {problem}", code="bad_json") from None


def of_document(document: Any, layout: Layout) -> Matrix:
    """Whatever form the document has, its rows."""
    if isinstance(document, list):
        return of_rows(document if _holds_rows(document) else [document], layout) if document else layout.matrix(0)
    if not isinstance(document, dict):
        raise RequestError(f"the body is a JSON {_kind(document)}, expected {FORMS}", code="wrong_form")
    if set(document) == set(layout.names):
        return of_rows([document], layout)
    for key in ("instances", "rows"):
        if set(document) == {key}:
            return of_rows(_list(document[key], f"'{key}'"), layout)
    columns = document.get("columns")
    if isinstance(columns, dict) and set(document) == {"columns"}:
        return of_columns(columns, layout)
    if isinstance(columns, list) and set(document) == {"columns", "data"}:
        return _of_split(columns, _list(document["data"], "'data'"), layout)
    if set(document) & {"instances", "rows", "columns", "data"}:
        raise RequestError(
            f"the body has the keys {', '.join(sorted(document)[:10])}; expected {FORMS}", code="wrong_form"
        )
    return of_rows([document], layout)


def of_rows(rows: Sequence[Any], layout: Layout) -> Matrix:
    """Rows as lists in schema order, or as objects by name."""
    if rows and all(type(row) is dict for row in rows):
        return _of_records(rows, layout)
    if rows and type(rows[0]) is dict:
        number, other = next((at, row) for at, row in enumerate(rows, 1) if type(row) is not dict)
        raise RequestError(
            f"row {number} is a JSON {_kind(other)}, expected an object by column name, as the first row is",
            code="wrong_form",
            row=number,
        )
    _check_width(rows, layout.width)
    return _filled(layout, len(rows), [[row[at] for row in rows] for at in range(layout.width)])


def of_columns(columns: Mapping[str, Any], layout: Layout) -> Matrix:
    layout.order_of(list(columns), "'columns'")
    values = [_list(columns[name], f"column '{name}'") for name in layout.names]
    lengths = {len(each) for each in values}
    if len(lengths) > 1:
        short = min(layout.names, key=lambda name: len(columns[name]))
        raise RequestError(
            f"the columns have different lengths: '{short}' has {min(lengths)} values, another {max(lengths)}",
            code="wrong_form",
            column=short,
        )
    return _filled(layout, lengths.pop(), values)


def _of_split(names: list[Any], data: list[Any], layout: Layout) -> Matrix:
    order = layout.order_of([str(name) for name in names], "'columns'")
    _check_width(data, layout.width)
    values: list[list[Any]] = [[]] * layout.width
    for place, at in enumerate(order):
        values[at] = [row[place] for row in data]
    return _filled(layout, len(data), values)


def _of_records(records: Sequence[dict[str, Any]], layout: Layout) -> Matrix:
    names = set(layout.names)
    for row, record in enumerate(records, 1):
        if record.keys() != names:
            layout.order_of(list(record), f"row {row}", row)
    return _filled(layout, len(records), [[record[name] for record in records] for name in layout.names])


def _filled(layout: Layout, rows: int, values: Sequence[Sequence[Any]]) -> Matrix:
    matrix = layout.matrix(rows)
    for at, column in enumerate(values):
        layout.fill(matrix[:, at], at, column)
    return matrix


def _holds_rows(document: list[Any]) -> bool:
    return type(document[0]) in (list, dict)


def _check_width(rows: Sequence[Any], width: int) -> None:
    for number, row in enumerate(rows, 1):
        if type(row) is not list:
            raise RequestError(
                f"row {number} is a JSON {_kind(row)}, expected a list of {width} values, as the first row is; "
                "or make every row an object by column name",
                code="wrong_form",
                row=number,
            )
        if len(row) != width:
            raise RequestError(
                f"row {number}: {len(row)} values, expected {width}, one per input of the model",
                code="wrong_columns",
                row=number,
            )


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise RequestError(f"{what} is a JSON {_kind(value)}, expected a list", code="wrong_form")
    return value


def _kind(value: Any) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
