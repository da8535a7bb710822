"""Counting a block: the compiled rules and the ones in numpy, to the same bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monitoring import tally
from monitoring.layout import NumericColumn, numeric_column
from monitoring.tally import Tally

Floats = npt.NDArray[np.float64]
anything = st.floats(allow_nan=True, allow_infinity=True)
usual = st.floats(-10, 10) | st.integers(-5, 5).map(float)
blocks = arrays(np.float64, st.integers(0, 400), elements=usual | anything)
samples = arrays(np.float64, st.integers(1, 300), elements=usual) | blocks


def seen(column: NumericColumn, parts: list[Floats], *, compiled: bool) -> tuple[Any, ...]:
    found = Tally(column, compiled=compiled)
    scores = [np.full(len(part), -99, np.float32) for part in parts]
    for part, its in zip(parts, scores, strict=True):
        found.add(part, its)
    counts = (found.missing, found.infinite, found.fractional, found.total, found.squares)
    return found.cells.tolist(), counts, found.minimum, found.maximum, [its.tolist() for its in scores]


def test_the_compiled_rules_are_the_ones_in_use() -> None:
    assert tally._compiled is not None


@settings(max_examples=400)
@given(sample=samples, parts=st.lists(blocks, max_size=3))
def test_compiled_and_numpy_count_alike_bit_for_bit(sample: Floats, parts: list[Floats]) -> None:
    column = numeric_column("x", sample, "feature")
    parts = [sample, *parts]
    assert seen(column, parts, compiled=True) == seen(column, parts, compiled=False)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_a_large_block_of_any_magnitude_counts_alike(scale: float) -> None:
    rng = np.random.default_rng(3)
    values = rng.standard_normal(1 << 16) * scale
    column = numeric_column("x", values[:5_000], "feature")
    with np.errstate(over="ignore"):
        far = values * 1e30
    assert seen(column, [values, far], compiled=True) == seen(column, [values, far], compiled=False)


def test_edges_count_the_value_above_them_and_nothing_counts_twice() -> None:
    column = numeric_column("x", np.array([0.0, 1.0, 1.0, 2.0]), "feature")
    assert column.edges == (-0.5, 0.5, 1.5, 2.5)
    cells, counts, low, high, _ = seen(column, [np.array([-0.5, 0.5, 2.5, math.nan, math.inf])], compiled=True)
    assert cells[:5] == [0, 1, 1, 0, 2]
    assert (counts[0], counts[1], low, high) == (1, 1, -0.5, 2.5)
