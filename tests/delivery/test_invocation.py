"""Outcomes are stored whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.records import Outcome
from delivery.invocation import OutcomesError, read_outcomes, refuse_blank


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "outcomes.csv"


def test_a_file_of_outcomes_is_read_whatever_else_stands_in_it(file: Path) -> None:
    file.write_text("when,inference_id,value\nnoon,first, no \nlater,second,1.5\n", encoding="utf-8-sig")
    assert read_outcomes(file) == [Outcome("first", "no"), Outcome("second", "1.5")]


@pytest.mark.parametrize("line", ["second,", "second", "second,  ", ",yes"])
def test_an_outcome_without_its_value_or_name_is_refused_with_its_line(file: Path, line: str) -> None:
    file.write_text(f"inference_id,value\nfirst,no\n{line}\n")
    with pytest.raises(OutcomesError, match=r"(?s)outcomes\.csv line 3: inference id .* Nothing was stored") as problem:
        read_outcomes(file)
    assert "line 2" not in str(problem.value)


def test_every_wrong_line_is_told_at_once_up_to_ten(file: Path) -> None:
    file.write_text("inference_id,value\n" + "first,\n" * 12)
    with pytest.raises(OutcomesError, match=r"(?s)line 2.*line 11.*and 2 more") as problem:
        read_outcomes(file)
    assert "line 12" not in str(problem.value)


@pytest.mark.parametrize("text", ["", "id,value\nfirst,no\n"])
def test_other_columns_are_answered_with_those_expected(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(OutcomesError, match="expected inference_id and value"):
        read_outcomes(file)


def test_outcomes_of_a_program_are_held_to_the_same() -> None:
    with pytest.raises(OutcomesError, match="outcome 1: inference id 'first', value ''"):
        refuse_blank([("outcome 1", "first", "")])
