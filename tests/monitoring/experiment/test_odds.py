"""Rates are compared exactly: the law is checked against whole numbers, adding up every possible table."""

from __future__ import annotations

from math import comb

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitoring.experiment.evidence import Array, Evidence, Grid
from monitoring.experiment.odds import Counts, Rates, log_normaliser, odds_effect

GRID = Grid(0.2, (-0.2, 0.2))


def one_look(champion: tuple[int, int], challenger: tuple[int, int]) -> Rates:
    (n0, k0), (n1, k1) = champion, challenger
    return Rates(*(np.array([each]) for each in (n0, k0, n1, k1)))


def law(n0: int, n1: int, total: int, effect: float) -> tuple[Counts, Array]:
    """Fisher's noncentral hypergeometric: every possible count of the challenger's events, and its chance."""
    possible = range(max(0, total - n0), min(n1, total) + 1)
    ways = [comb(n1, x) * comb(n0, total - x) for x in possible]
    everything = sum(ways)
    chances = np.array([way / everything for way in ways]) * np.exp(effect * (np.array(possible) - possible[0]))
    return np.array(possible), chances / chances.sum()


@st.composite
def tables(draw: st.DrawFn, largest: int = 400) -> tuple[int, int, int, int]:
    n0, n1 = draw(st.integers(0, largest)), draw(st.integers(0, largest))
    return n0, draw(st.integers(0, n0)), n1, draw(st.integers(0, n1))


@given(tables(largest=80))
@settings(max_examples=150)
def test_the_likelihood_is_fishers_noncentral_hypergeometric(table: tuple[int, int, int, int]) -> None:
    n0, k0, n1, k1 = table
    effects = np.array([-2.0, -0.3, 0.0, 0.1, 1.5])
    found = k1 * effects - log_normaliser([n0], [n1], [k0 + k1], effects)[0]
    chances = [dict(zip(*law(n0, n1, k0 + k1, each), strict=True))[k1] for each in (*effects, 0.0)]
    expected = np.log(chances[:-1]) - np.log(chances[-1])
    np.testing.assert_allclose(found, expected, atol=1e-6)


@given(st.integers(0, 40), st.integers(0, 40), st.data(), st.floats(-1.5, 0.0))
@settings(max_examples=80)
def test_evidence_for_better_has_mean_at_most_one_whenever_the_challenger_is_not_better(
    n0: int, n1: int, data: st.DataObject, truth: float
) -> None:
    total = data.draw(st.integers(0, n0 + n1))
    possible, chance = law(n0, n1, total, truth)
    tables = Rates(n0 + 0 * possible, total - possible, n1 + 0 * possible, possible)
    e = np.exp(Evidence(GRID, tables.log_likelihood(GRID)).log_e_above(0.0))
    assert float(e @ chance) <= 1 + 1e-9
    if truth == 0.0:
        assert abs(float(e @ chance) - 1) < 1e-9


@given(tables(), tables())
@example((0, 0, 18, 2), (1, 0, 2, 0))  # nothing to compare: likelihoods differ by rounding alone
@settings(max_examples=50)
def test_swapping_the_variants_turns_the_evidence_around(
    first: tuple[int, int, int, int], second: tuple[int, int, int, int]
) -> None:
    looks = np.array([first, second])
    straight = Rates(*looks.T).evidence(GRID)
    n0, k0, n1, k1 = looks.T
    swapped = Rates(n1, k1, n0, k0).evidence(GRID)
    np.testing.assert_allclose(straight.log_e_above(0.0), swapped.log_e_below(0.0), atol=1e-8)
    np.testing.assert_allclose(straight.estimate, -swapped.estimate, atol=1e-8)


def test_weights_that_change_while_the_base_rate_drifts_fake_nothing() -> None:
    """Identical variants in both looks; the pooled counts would show 18 % against 43 %."""
    looks = [one_look((900, 90), (100, 10)), one_look((100, 50), (900, 450))]
    both = Rates(*(np.concatenate(each) for each in zip(*(vars(look).values() for look in looks), strict=True)))
    evidence = both.evidence(GRID)
    assert abs(float(evidence.estimate[-1])) < 1e-3
    assert float(evidence.log_e_above(0.0)[-1]) < 0


def test_a_look_without_events_or_without_one_variant_says_nothing() -> None:
    for silent in (one_look((50, 0), (50, 0)), one_look((50, 50), (50, 50)), one_look((70, 9), (0, 0))):
        np.testing.assert_allclose(silent.log_likelihood(GRID), 0.0, atol=1e-9)


def test_a_look_of_millions_is_as_exact_as_a_small_one() -> None:
    """The most likely odds ratio of a large look is the one its rates say."""
    look = one_look((3_000_000, 150_000), (3_000_000, 165_000))
    expected = odds_effect(0.05, 0.055)
    fine = Grid(expected)
    assert abs(float(look.evidence(fine).estimate[0]) / expected - 1) < 0.01


def test_the_confidence_sequence_holds_the_true_effect_and_narrows() -> None:
    rng = np.random.default_rng(3)
    truth = odds_effect(0.10, 0.13)
    n = np.full((200, 40), 500)
    drawn = Rates(n, rng.binomial(n, 0.10), n, rng.binomial(n, 0.13))
    low, high = drawn.evidence(Grid(truth)).bounds(0.05)
    assert ((low <= truth) & (truth <= high)).all(axis=1).mean() >= 0.95
    assert (high - low)[:, -1].mean() < 0.7 * (high - low)[:, 9].mean()
