"""How far a batch is, as far as anything is known of it."""

from __future__ import annotations

import pytest

from delivery.batch import Progress, progress


def test_files_that_are_answered_say_how_long_the_others_take() -> None:
    assert progress(400, 100, elapsed=10.0, pace=99.0) == Progress(0.25, 30.0)


def test_before_the_first_answer_the_pace_of_an_earlier_batch_says_it() -> None:
    assert progress(400, 0, elapsed=10.0, pace=0.1) == Progress(0.25, 30.0)


def test_a_batch_that_is_slower_than_the_one_before_is_never_said_to_be_done() -> None:
    assert progress(400, 0, elapsed=60.0, pace=0.1) == Progress(0.99, 0.0)


@pytest.mark.parametrize("elapsed", [0.0, 10.0])
def test_of_the_first_batch_of_a_model_nothing_is_known(elapsed: float) -> None:
    assert progress(400, 0, elapsed=elapsed, pace=None) == Progress(0.0, None)
