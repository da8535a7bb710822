"""The sample-ratio check: fair under any change of weights, and the Dirichlet-multinomial when they stay."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import binom, dirichlet_multinomial, multinomial

from monitoring.experiment.sample_ratio import CONCENTRATION, SampleRatio


def log_e(requests: list[list[int]], weights: list[list[float]]) -> float:
    return float(SampleRatio(np.array(requests), np.array(weights)).log_e[-1])


@given(st.lists(st.lists(st.integers(0, 500), min_size=3, max_size=3), min_size=1, max_size=6))
@settings(max_examples=50)
def test_with_constant_weights_it_is_the_dirichlet_multinomial_of_the_sums(requests: list[list[int]]) -> None:
    weights = np.array([0.5, 0.3, 0.2])
    total = np.array(requests).sum(axis=0)
    sequences = gammaln(total.sum() + 1) - gammaln(total + 1).sum()  # both laws count orders alike
    expected = dirichlet_multinomial.logpmf(total, CONCENTRATION * weights, total.sum())
    expected = (expected - sequences) - (multinomial.logpmf(total, total.sum(), weights) - sequences)
    found = log_e(requests, [list(weights)] * len(requests))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@given(st.integers(1, 60), st.floats(0.02, 0.98), st.integers(0, 300), st.floats(0.05, 0.95))
@settings(max_examples=50)
def test_the_next_look_multiplies_the_evidence_by_one_on_average_whatever_came_before(
    n: int, share: float, before: int, old_share: float
) -> None:
    counts = range(n + 1)
    first = [before, 300 - before]
    held = log_e([first], [[old_share, 1 - old_share]])
    factors = [
        np.exp(log_e([first, [k, n - k]], [[old_share, 1 - old_share], [share, 1 - share]]) - held) for k in counts
    ]
    np.testing.assert_allclose(np.array(factors) @ binom.pmf(np.arange(n + 1), n, share), 1.0, atol=1e-6)


def test_a_split_one_point_off_is_an_alarm_and_a_true_one_is_not() -> None:
    assert log_e([[510, 490]] * 100, [[1.0, 1.0]] * 100) > np.log(100)
    assert log_e([[500, 500]] * 100, [[1.0, 1.0]] * 100) < 0


def test_weights_are_shares_of_their_sum() -> None:
    assert log_e([[90, 10]], [[9, 1]]) == log_e([[90, 10]], [[0.9, 0.1]])


def test_a_variant_without_weight_is_reached_by_name_only_and_not_counted() -> None:
    assert abs(log_e([[100, 7]], [[1.0, 0.0]])) < 1e-9
