"""What the caller did wrong, said so that the caller can mend it."""

from __future__ import annotations

SHOWN = 80  # characters of a caller's value that an answer repeats


class RequestError(Exception):
    """A request is the caller's fault: `status` is a 4xx, `code` a word for programs, the text a sentence for people.

    `row` counts from 1 as people do; `column` is a name of the schema. `holds_value` is true when the sentence repeats
    a value of the request, which a log that redacts that column must not do.
    """

    def __init__(
        self,
        sentence: str,
        *,
        status: int = 400,
        code: str = "bad_request",
        row: int | None = None,
        column: str | None = None,
        holds_value: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status
        self.code = code
        self.row = row
        self.column = column
        self.holds_value = holds_value


EXPECTED = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "category": "a text",
}


def shown(value: object) -> str:
    """A value as an answer repeats it: quoted, and no longer than a person reads."""
    text = value if isinstance(value, str) else repr(value)
    return f"'{text[:SHOWN]}...'" if len(text) > SHOWN else f"'{text}'"


def wrong_cell(row: int, column: str, kind: str, value: object) -> RequestError:
    return RequestError(
        f"row {row}, column '{column}': expected {EXPECTED[kind]}, got {shown(value)}",
        code="wrong_type",
        row=row,
        column=column,
        holds_value=True,
    )


def too_large(row: int, column: str, value: object) -> RequestError:
    return RequestError(
        f"row {row}, column '{column}': expected a finite number, got {shown(value)}, which no 64-bit float can hold",
        code="not_finite",
        row=row,
        column=column,
        holds_value=True,
    )
