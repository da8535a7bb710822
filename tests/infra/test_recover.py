"""State that a kill left torn: the copy beside it takes its place; where there is none, it is begun anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from delivery.engine.errors import RefusedError
from delivery.engine.machine import Workplace
from delivery.engine.recover import mend_state

TORN, WHOLE = '{"version": 4, "resou', '{"version": 4, "resources": []}'


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    place = Workplace(tmp_path, "local")
    place.terraform.mkdir(parents=True)
    return place


def test_a_torn_state_gives_way_to_its_copy(workplace: Workplace) -> None:
    workplace.state.write_text(TORN)
    workplace.state.with_suffix(".tfstate.backup").write_text(WHOLE)
    assert list(mend_state(workplace, None)) == [
        "the state was damaged: its copy was put back, the damaged one kept as terraform.damaged"
    ]
    assert workplace.state.read_text() == WHOLE


def test_a_state_torn_at_its_first_write_is_begun_anew(workplace: Workplace) -> None:
    workplace.state.write_text(TORN)
    (told,) = mend_state(workplace, None)
    assert "begun anew" in told
    assert not workplace.state.exists()
    assert workplace.state.with_suffix(".damaged").read_text() == TORN


@pytest.mark.parametrize("text", ["", WHOLE], ids=["not written yet", "whole"])
def test_a_state_that_terraform_can_read_is_left_alone(workplace: Workplace, text: str) -> None:
    workplace.state.write_text(text)
    assert list(mend_state(workplace, None)) == []
    assert workplace.state.read_text() == text


def test_nothing_is_moved_without_agreement(workplace: Workplace) -> None:
    workplace.state.write_text(TORN)
    with pytest.raises(RefusedError, match="not agreed"):
        list(mend_state(workplace, lambda _: False))
    assert workplace.state.read_text() == TORN
