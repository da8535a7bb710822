"""A fit takes as many threads as its table keeps busy: those of a small one would wait for each other."""

from __future__ import annotations

import importlib

from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from families.hist_gradient_boosting import CELLS_PER_THREAD, threads_for, threads_worth

MOST = st.integers(1, 512)


@given(st.integers(0, 2 * CELLS_PER_THREAD - 1), MOST)
def test_a_small_table_grows_on_one_thread(cells: int, most: int) -> None:
    assert threads_for(cells, most) == 1


@given(st.integers(0, 10**12), st.integers(0, 10**12), MOST)
def test_a_larger_table_never_has_fewer_threads_and_none_more_than_there_are(one: int, other: int, most: int) -> None:
    fewer, more = (threads_for(cells, most) for cells in sorted((one, other)))
    assert 1 <= fewer <= more <= most


def openmp() -> set[int]:
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "openmp"}


def test_the_limit_holds_for_scikit_learns_own_threads_and_ends_with_the_fit() -> None:
    importlib.import_module("sklearn.ensemble")  # its threads are there once it is loaded
    with threadpool_limits(2):
        assert openmp() == {2}
        with threads_worth(100):
            assert openmp() == {1}
        assert openmp() == {2}
