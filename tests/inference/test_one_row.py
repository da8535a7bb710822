"""The short way for one row of CSV answers what the long way does, or leaves it to that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from inference.decoding import decode
from inference.encoding import negotiate
from inference.model import ServedModel, load
from inference.one_row import OneRow, one_row
from inference.predictions import Predictions
from inference.settings import Settings

PLAIN = b"33.5,2,true,pro,city-7\n"
SETTINGS = Settings(Path("model"), Path("models"))
cells = st.one_of(
    st.floats().map(repr),
    st.integers(-3, 12).map(str),
    st.sampled_from(["", "true", "pro", "gold, with extras", '"gold, with extras"', "city-7", "é", "nan", "age", "\r"]),
)
right = st.tuples(
    st.floats().map(repr) | st.just(""),
    st.integers(-3, 12).map(str),
    st.sampled_from(["true", "0", " FALSE ", ""]),
    st.sampled_from(["pro", "new", '"gold, with extras"', ""]),
    st.integers(0, 60).map("city-{}".format),
)
lines = (right | st.lists(cells, min_size=4, max_size=6)).map(",".join)
bodies = st.tuples(lines, st.sampled_from(["", "\n", "\r\n", "\n\n"]), st.just("") | lines).map("".join)


@cache
def model_in(folder: Path) -> ServedModel:
    return load(folder, "model")


def short_way(model: ServedModel) -> OneRow:
    way = one_row(model, SETTINGS)
    assert way is not None
    return way


def long_way(model: ServedModel, headers: Mapping[bytes, bytes], body: bytes) -> bytes:
    content_type = headers.get(b"content-type", b"text/csv").decode()
    form = negotiate(headers.get(b"accept", b"").decode(), content_type, SETTINGS.accept)
    rows = decode(body, content_type, model.layout, SETTINGS.max_rows)
    return form.module.encode(Predictions(model.predict(rows), model.layout.schema), form.parameters)


@given(body=bodies)
@trying(max_examples=400)
def test_it_says_what_the_long_way_says_or_nothing(artifact: Path, body: str) -> None:
    model = model_in(artifact)
    said = short_way(model).answer({}, body.encode())
    if said is not None:
        assert said == long_way(model, {}, body.encode())


@pytest.mark.parametrize("accept", [{}, {b"accept": b"*/*"}, {b"accept": b"text/csv"}])
@pytest.mark.parametrize("body", [PLAIN, PLAIN.strip(), b",9,false,new,\r\n"])
def test_it_answers_a_plain_row(artifact: Path, body: bytes, accept: Mapping[bytes, bytes]) -> None:
    model = model_in(artifact)
    assert short_way(model).answer(accept, body) == long_way(model, accept, body)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({b"accept": b"application/json"}, PLAIN),
        ({b"content-type": b"text/csv; header=present"}, PLAIN),
        ({b"content-type": b"application/json"}, PLAIN),
        ({}, PLAIN * 2),
        ({}, b""),
        ({}, b"33.5,2,true\n"),
        ({}, b"33.5,many,true,pro,city-7\n"),
        ({}, b"age,calls,active,plan,city\n"),
        ({}, "33.5,2,true,pro,Zürich\n".encode()),
    ],
)
def test_it_leaves_to_the_long_way_what_is_not_a_plain_row(
    artifact: Path, headers: Mapping[bytes, bytes], body: bytes
) -> None:
    assert short_way(model_in(artifact)).answer(headers, body) is None


@pytest.mark.parametrize("changed", [{"output": "labels"}, {"accept": "application/json"}, {"log_predictions": True}])
def test_there_is_none_where_answers_or_the_log_shall_be_others(artifact: Path, changed: dict[str, Any]) -> None:
    assert one_row(model_in(artifact), replace(SETTINGS, **changed)) is None


def test_there_is_none_for_a_number(regression: Path) -> None:
    assert one_row(model_in(regression), SETTINGS) is None
