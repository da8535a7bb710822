from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference import csv_reader
from inference.csv_reader import CellError, PythonCellError, PythonReader, Reader

KINDS = b"nibcn"
LEVELS = ((), (), (), (b"a", b"b,c", b'q"x', "é".encode()), ())
BOTH = [(Reader, CellError), (PythonReader, PythonCellError)]
Read = tuple[object, ...] | bytes

cells = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(
        ["", "nan", "NA", "true", "False", "a", '"b,c"', '"q""x"', "é", " 1 ", "\t", "1_0", "0x1", "1e999"]
    ),
    st.sampled_from(["\n", "\r\n", "\r", '"', '""', ",", ",,", "\0", "+.5", "5.", "1e", "--1", "1" * 1100]),
)
bodies = st.lists(cells, max_size=14).flatmap(
    lambda parts: st.sampled_from([",".join(parts), "".join(parts), "\n".join(parts)])
)


def outcome(kind: type[Reader | PythonReader], error: type[ValueError], body: bytes) -> Read:
    try:
        values, rows = kind(KINDS, LEVELS).read(body, 0, None)
    except error as fault:
        code, row, column, cell = fault.args
        return (code, row, column, cell[:200])
    return np.frombuffer(values)[: rows * len(KINDS)].tobytes()


def test_the_compiled_reader_is_the_one_in_use() -> None:
    assert csv_reader.Reader.__module__ == "inference._csv"


@given(bodies)
@settings(max_examples=400)
def test_the_compiled_reader_and_the_python_one_read_alike_bit_for_bit(body: str) -> None:
    text = body.encode()
    assert outcome(Reader, CellError, text) == outcome(PythonReader, PythonCellError, text)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
@settings(max_examples=200)
def test_every_float_is_read_back_exactly(numbers: list[float]) -> None:
    reader = Reader(b"n" * len(numbers), ((),) * len(numbers))
    for form in ("{!r}", "{:.17g}", "{:.25e}"):
        body = ",".join(form.format(number) for number in numbers).encode()
        values, rows = reader.read(body, 0, None)
        assert rows == 1
        assert np.frombuffer(values)[: len(numbers)].tolist() == numbers


@pytest.mark.parametrize(("kind", "error"), BOTH)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"1,2,true,a,3", [[1, 2, 1, 0, 3]]),
        (b'1,2,0,"b,c",3\r\n\r\n4,5,1,zebra,6\r\n', [[1, 2, 0, 1, 3], [4, 5, 1, -1, 6]]),
        (b" 1\t,NA,null,,none\n", [[1, math.nan, math.nan, math.nan, math.nan]]),
        (b'"1","2","FALSE","q""x","+.5e1"', [[1, 2, 0, 2, 5]]),
    ],
)
def test_cells_mean_what_the_rules_say(
    kind: type[Reader], error: type[ValueError], body: bytes, expected: list[list[float]]
) -> None:
    values, rows = kind(KINDS, LEVELS).read(body, 0, None)
    assert rows == len(expected)
    np.testing.assert_array_equal(np.frombuffer(values)[: rows * 5].reshape(rows, 5), expected)


@pytest.mark.parametrize(("kind", "error"), BOTH)
@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"1,2,1,a", ("ragged", 0, 4, b"")),
        (b"1,2,1,a,5,6", ("ragged", 0, 6, b"")),
        (b"1,2,1,a,5\nx,2,1,a,5", ("number", 1, 0, b"x")),
        (b"1,2.5,1,a,5", ("integer", 0, 1, b"2.5")),
        (b"1,2,maybe,a,5", ("boolean", 0, 2, b"maybe")),
        (b"1,2,1,a,1e400", ("huge", 0, 4, b"1e400")),
        (b'1,2,1,"a,5', ("quote", 0, 3, b'"a,5')),
        (b'1,2,1,"a"b,5', ("quote", 0, 3, b'"a"')),
    ],
)
def test_a_broken_rule_is_told_with_its_place(
    kind: type[Reader], error: type[ValueError], body: bytes, fault: tuple[object, ...]
) -> None:
    with pytest.raises(error) as caught:
        kind(KINDS, LEVELS).read(body, 0, None)
    assert caught.value.args == fault


@pytest.mark.parametrize(("kind", "error"), BOTH)
def test_another_order_of_columns_is_put_right(kind: type[Reader], error: type[ValueError]) -> None:
    values, rows = kind(KINDS, LEVELS).read(b"a,1,2,3,1\n", 0, (3, 0, 1, 4, 2))
    assert np.frombuffer(values)[:5].tolist() == [1, 2, 1, 0, 3]
    assert rows == 1
