"""Means and ratios: within looks, across looks, with a covariate."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.experiment.evidence import Array, Grid
from monitoring.experiment.means import Differences, Moments, mean_differences, ratio_differences

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
@settings(max_examples=60)
def test_constant_values_empty_looks_and_single_values_never_break_the_sums(
    sizes: list[tuple[int, int]], value: float
) -> None:
    champion = looks_of([np.full(a, value) for a, _ in sizes])
    challenger = looks_of([np.full(b, value) for _, b in sizes])
    for compare in (mean_differences, ratio_differences):
        evidence = compare(champion, challenger).evidence(GRID)
        assert np.isfinite(evidence.log_likelihood).all()


def by_hand(
    champion: list[Array], challenger: list[Array], slope: float = 0.0, beside: list[Array] | None = None
) -> Array:
    """Difference, variance and spread of one look of two variants, from its values."""
    x = beside or [np.zeros_like(champion[0]), np.zeros_like(challenger[0])]
    a, b = champion[0] - slope * x[0], challenger[0] - slope * x[1]
    squares = ((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()
    spread = np.sqrt(squares / (len(a) + len(b) - 2))
    return np.array([b.mean() - a.mean(), a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b), spread])


def test_each_look_gives_the_difference_its_variance_and_the_spread_of_one_unit() -> None:
    rng = np.random.default_rng(11)
    champion, challenger = ([rng.normal(3, 2, size) for size in sizes] for sizes in ((30, 7), (12, 45)))
    found = mean_differences(looks_of(champion), looks_of(challenger))
    for look in range(2):
        expected = by_hand([champion[look]], [challenger[look]])
        np.testing.assert_allclose([found.d[look], found.v[look], found.spread[look]], expected)
    assert (found.champion_n.tolist(), found.challenger_n.tolist()) == ([30, 7], [12, 45])


def test_a_covariates_slope_is_learned_from_earlier_looks_alone() -> None:
    rng = np.random.default_rng(12)
    x = [[rng.normal(1, 1, 40) for _ in range(3)] for _ in range(2)]
    y = [[0.5 * each + rng.normal(size=40) for each in looks] for looks in x]
    found = mean_differences(*(looks_of(values, beside) for values, beside in zip(y, x, strict=True)))
    xy = xx = 0.0
    for look in range(3):
        slope = xy / xx if xx else 0.0
        expected = by_hand([y[0][look]], [y[1][look]], slope, [x[0][look], x[1][look]])
        np.testing.assert_allclose([found.d[look], found.v[look], found.spread[look]], expected)
        for side in range(2):
            centred = x[side][look] - x[side][look].mean()
            xy += float(centred @ y[side][look])
            xx += float(centred @ centred)


def test_a_ratio_is_compared_through_what_each_unit_adds_to_it() -> None:
    rng = np.random.default_rng(13)
    x = [1 + rng.poisson(4, size).astype(np.float64) for size in (50, 20)]
    y = [rng.binomial(each.astype(int), 0.3).astype(np.float64) for each in x]
    found = ratio_differences(looks_of([y[0]], [x[0]]), looks_of([y[1]], [x[1]]))
    ratio = (y[0].sum() + y[1].sum()) / (x[0].sum() + x[1].sum())
    per_unit = (x[0].sum() + x[1].sum()) / 70
    difference, variance, spread = by_hand([y[0]], [y[1]], ratio, x)
    np.testing.assert_allclose(
        [found.d[0], found.v[0], found.spread[0]], [difference / per_unit, variance / per_unit**2, spread / per_unit]
    )
    empty = ratio_differences(looks_of([np.zeros(3)], [np.zeros(3)]), looks_of([np.zeros(2)], [np.zeros(2)]))
    assert (empty.d[0], empty.v[0], empty.spread[0]) == (0.0, 0.0, 0.0)


def test_the_evidence_is_that_of_a_normal_law_weighed_by_earlier_looks() -> None:
    rng = np.random.default_rng(14)
    n0, n1 = np.array([80.0, 120, 1, 90]), np.array([60.0, 100, 50, 70])
    d, spread = rng.normal(0.1, 0.1, 4), np.array([1.0, 1.4, 0.7, 1.1])
    v = np.array([0.05, 0.02, 0.01, 0.09])
    found = Differences(d, v, spread, n0, n1).evidence(GRID)
    told = np.where((n0 > 1) & (n1 > 1), n0 * n1 / (n0 + n1), 0)
    s, total, precision, noise = GRID.effects, 0.0, 0.0, 0.0
    for look in range(4):
        earlier = slice(0, look)
        known = told[earlier].sum()
        variance = (told[earlier] * spread[earlier] ** 2).sum() / known if known else spread[look] ** 2
        weight = told[look] / variance
        total, precision = total + weight * d[look], precision + weight
        noise += weight**2 * v[look]
        shrink = precision / max(noise, precision)
        settled = min(n0[: look + 1].sum(), n1[: look + 1].sum()) >= 100
        expected = (s * total - s**2 * precision / 2) * shrink if settled else np.zeros_like(s)
        np.testing.assert_allclose(found.log_likelihood[look], expected, atol=1e-9)
    assert (found.log_likelihood[0] == 0).all()
    assert (found.log_likelihood[1] != 0).any()


def test_several_experiments_at_once_are_judged_as_each_alone() -> None:
    rng = np.random.default_rng(8)

    def both(shift: float) -> list[Moments]:
        x = [rng.normal(size=100) for _ in range(12)]
        y = [0.5 * each + rng.normal(shift, size=100) for each in x]
        halves = (slice(0, 40), slice(40, 100))
        return [looks_of([each[half] for each in y], [each[half] for each in x]) for half in halves]

    alone = [both(0.0), both(0.3)]
    sides = [
        Moments(*(np.stack([getattr(pair[side], name) for pair in alone]) for name in vars(alone[0][side])))
        for side in (0, 1)
    ]
    together = mean_differences(*sides).evidence(GRID)
    for at, pair in enumerate(alone):
        each = mean_differences(*pair).evidence(GRID)
        np.testing.assert_allclose(together.estimate[at], each.estimate)
        np.testing.assert_allclose(together.log_e_above(0.0)[at], each.log_e_above(0.0))
