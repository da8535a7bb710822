"""Means and ratios: within looks, across looks, with a covariate."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.experiment.evidence import Array, Grid
from monitoring.experiment.means import Moments, mean_differences, ratio_differences

GRID = Grid(0.1)


def looks_of(values: list[Array], beside: list[Array] | None = None) -> Moments:
    parts = [Moments.of(y, None if beside is None else beside[i]) for i, y in enumerate(values)]
    return Moments(*(np.concatenate([getattr(each, name) for each in parts]) for name in vars(parts[0])))


def drawn(seed: int, shift: float, looks: int = 20, n: int = 200) -> tuple[list[Array], list[Array]]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=n) for _ in range(looks)], [rng.normal(shift, size=n) for _ in range(looks)]


def test_a_real_difference_is_found_and_estimated() -> None:
    champion, challenger = drawn(1, 0.2)
    evidence = mean_differences(looks_of(champion), looks_of(challenger)).evidence(GRID)
    assert float(evidence.log_e_above(0.0)[-1]) > np.log(20)
    assert abs(float(evidence.estimate[-1]) - 0.2) < 0.06
    low, high = evidence.bounds(0.05)
    assert low[-1] <= 0.2 <= high[-1]


def test_no_verdict_is_drawn_from_the_first_few_values() -> None:
    champion, challenger = [np.array([0.0, 0.1])], [np.array([9.0, 9.1])]
    evidence = mean_differences(looks_of(champion), looks_of(challenger)).evidence(GRID)
    assert abs(float(evidence.log_e_above(0.0)[-1])) < 1e-12


def test_a_covariate_takes_away_the_noise_it_explains() -> None:
    rng = np.random.default_rng(2)
    x = [rng.normal(size=400) for _ in range(20)]
    y = [0.8 * each + 0.6 * rng.normal(size=400) for each in x]
    halves = [(slice(0, 200)), (slice(200, 400))]
    bare = mean_differences(*(looks_of([each[half] for each in y]) for half in halves))
    relieved = mean_differences(*(looks_of([e[half] for e in y], [e[half] for e in x]) for half in halves))
    np.testing.assert_allclose(relieved.v[5:].mean() / bare.v[5:].mean(), 0.36, rtol=0.15)


def test_weights_that_change_while_the_mean_drifts_fake_no_difference_of_means() -> None:
    rng = np.random.default_rng(4)
    champion = [rng.normal(0, 1, 900), rng.normal(5, 1, 100)]
    challenger = [rng.normal(0, 1, 100), rng.normal(5, 1, 900)]
    evidence = mean_differences(looks_of(champion), looks_of(challenger)).evidence(GRID)
    assert float(np.abs(evidence.estimate[-1])) < 0.3
    assert float(evidence.log_e_above(0.0)[-1]) < np.log(20)


def test_a_ratio_of_sums_is_compared_not_a_mean_of_ratios() -> None:
    rng = np.random.default_rng(5)
    views = [[1 + rng.poisson(5, 500).astype(np.float64) for _ in range(20)] for _ in range(2)]
    clicks = [
        [rng.binomial(v.astype(int), p).astype(float) for v in each] for each, p in zip(views, (0.2, 0.25), strict=True)
    ]
    differences = ratio_differences(*(looks_of(c, v) for c, v in zip(clicks, views, strict=True)))
    np.testing.assert_allclose(differences.d.mean(), 0.05, atol=0.005)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=6), st.floats(-3, 3))
@settings(max_examples=60, deadline=None)
def test_constant_values_empty_looks_and_single_values_never_break_the_sums(
    sizes: list[tuple[int, int]], value: float
) -> None:
    champion = looks_of([np.full(a, value) for a, _ in sizes])
    challenger = looks_of([np.full(b, value) for _, b in sizes])
    for compare in (mean_differences, ratio_differences):
        evidence = compare(champion, challenger).evidence(GRID)
        assert np.isfinite(evidence.log_likelihood).all()
