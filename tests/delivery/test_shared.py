"""What every verb shows can be read by whoever asked for it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from delivery.cli.shared import as_json, show


def strictly(text: str) -> Any:
    """JSON as the standard has it."""

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


@dataclass(frozen=True)
class Bounds:
    low: float
    high: float


class Model(BaseModel):
    bound: float


class Record:
    def to_json(self) -> dict[str, float]:
        return {"bound": math.inf}


class Sealed:
    def to_json(self) -> bytes:
        return b'{"bound": [NaN, 1.5]}'


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        (Bounds(-math.inf, 0.5), {"low": None, "high": 0.5}),
        ([{"a": (math.nan, 1.0)}], [{"a": [None, 1.0]}]),
        (Model(bound=math.inf), {"bound": None}),
        (Record(), {"bound": None}),
        (Sealed(), {"bound": [None, 1.5]}),
        ({"place": Path("a/b"), "whole": 3, "true": True}, {"place": "a/b", "whole": 3, "true": True}),
    ],
)
def test_a_number_that_is_not_finite_is_null_wherever_it_stands(answer: Any, read: Any) -> None:
    assert strictly(as_json(answer)) == read


def test_an_unbounded_confidence_sequence_is_shown_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    show({"sequence": (Bounds(-math.inf, math.inf),)}, "", json_=True)
    assert strictly(capsys.readouterr().out) == {"sequence": [{"low": None, "high": None}]}
