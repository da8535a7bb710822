"""The bounds behind the drift alarm, against computations written another way."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize, stats

from monitoring import evidence

Floats = npt.NDArray[np.float64]
COUNTS = [(30, 1_000, 1_000, 100_000), (9, 10, 10, 100), (5, 5_000, 0, 100_000), (70, 900, 400, 20_000)]


def geometric_bound(k: int, n: int, b: int, m: int) -> float:
    """The hypergeometric chance of k hits, times the sum of the geometric series of its first ratio; in fractions."""
    hit, total = k + b, n + m

    def chance(x: int) -> Fraction:
        return Fraction(math.comb(hit, x) * math.comb(total - hit, n - x), math.comb(total, n))

    first, ratio = chance(k), chance(k + 1) / chance(k)
    return math.log(first / (1 - ratio))


@pytest.mark.parametrize("counts", COUNTS)
def test_a_share_is_bounded_by_the_geometric_series_of_its_exact_chances(counts: tuple[int, int, int, int]) -> None:
    assert float(evidence.share_above(*map(np.array, counts))) == pytest.approx(geometric_bound(*counts), rel=1e-7)


@pytest.mark.parametrize("counts", COUNTS)
def test_few_hits_are_many_misses(counts: tuple[int, int, int, int]) -> None:
    k, n, b, m = counts
    below = evidence.share_below(*map(np.array, (n - k, n, m - b, m)))
    assert float(below) == pytest.approx(geometric_bound(*counts), rel=1e-7)
    both = evidence.share_differs(*map(np.array, counts))
    assert float(both) == pytest.approx(geometric_bound(*counts) + math.log(2), rel=1e-7)


def test_a_share_says_nothing_where_there_is_nothing_to_say() -> None:
    assert float(evidence.share_above(np.array(1), np.array(100), np.array(500), np.array(1_000))) == 0.0
    assert float(evidence.share_above(np.array(0), np.array(0), np.array(5), np.array(10))) == 0.0
    assert float(evidence.share_above(np.array(5), np.array(10), np.array(0), np.array(0))) == 0.0
    assert float(evidence.share_differs(np.array(50), np.array(100), np.array(500), np.array(1_000))) == 0.0


def test_only_shares_three_and_a_half_errors_apart_are_looked_at() -> None:
    rows, base, m = 1_000, 10_000, 100_000
    hits = np.arange(60, 200)
    pooled = (hits + base) / (rows + m)
    errors = np.abs(hits / rows - base / m) / np.sqrt(pooled * (1 - pooled) * (1 / rows + 1 / m))
    found = evidence.share_differs_screened(hits, np.array(rows), np.array(base), np.array(m))
    exact = evidence.share_differs(hits, np.array(rows), np.array(base), np.array(m))
    assert found[errors <= 3.5].tolist() == [0.0] * int((errors <= 3.5).sum())
    assert found[errors > 3.5].tolist() == exact[errors > 3.5].tolist()
    assert (errors > 3.5).sum() > 20
    assert float(evidence.share_differs_screened(np.array(40), np.array(100), np.array(0), np.array(1_000))) < -50
    assert float(evidence.share_differs_screened(np.array(1), np.array(100), np.array(10), np.array(1_000))) == 0.0


def chernoff(cells: Floats, base: Floats, scores: Floats) -> float:
    """The best exponent, found by a general optimiser; for the smaller of the two samples, against their pool."""
    small = cells if cells.sum() <= base.sum() else base
    pool = (cells + base) / (cells.sum() + base.sum())
    centred = scores - pool @ scores
    gap = small @ centred / small.sum()
    if gap < 0:
        centred, gap = -centred, -gap

    def exponent(at: float) -> float:
        return float(np.log(pool @ np.exp(at * centred)) - at * gap)

    best = optimize.minimize_scalar(exponent, bounds=(0, 60), method="bounded", options={"xatol": 1e-10})
    return float(small.sum() * best.fun + math.log(2))


@pytest.mark.parametrize(("rows", "moved"), [(300, 0.5), (300, -0.5), (40, 1.6), (5_000, 0.1), (90_000, 0.05)])
def test_a_mean_is_bounded_by_the_best_exponent(rows: int, moved: float) -> None:
    rng = np.random.default_rng(3)
    scores = np.linspace(-2.5, 2.5, 64)
    weights = np.exp(-0.5 * scores**2)
    base = rng.multinomial(50_000, weights / weights.sum()).astype(np.float64)
    tilted = weights * np.exp(moved * scores)
    cells = rng.multinomial(rows, tilted / tilted.sum()).astype(np.float64)
    found = float(evidence.mean_differs(cells, base, scores))
    assert found == pytest.approx(chernoff(cells, base, scores), rel=1e-4)
    assert found < -5


def test_a_mean_says_nothing_when_near_or_without_rows_or_spread() -> None:
    scores, base = np.linspace(-2, 2, 64), np.full(64, 500)
    assert float(evidence.mean_differs(np.full(64, 5), base, scores)) == 0.0
    assert float(evidence.mean_differs(np.zeros(64), base, scores)) == 0.0
    assert float(evidence.mean_differs(np.full(64, 5), np.zeros(64), scores)) == 0.0
    assert float(evidence.mean_differs(np.full(64, 5), base, np.ones(64))) == 0.0
    near = np.full(64, 5) + (np.arange(64) >= 32)
    assert float(evidence.mean_differs(near, base, scores)) == 0.0
    assert float(evidence.mean_differs(near, base, scores, screen=0.0)) < 0.0


def test_a_changed_correlation_is_told_by_fishers_z() -> None:
    found = evidence.correlation_differs(np.array(0.4), np.array(800), np.array(0.1), np.array(20_000), np.array(1.7))
    error = math.sqrt(1.7 * (1 / 797 + 1 / 19_997))
    expected = stats.norm.logsf((math.atanh(0.4) - math.atanh(0.1)) / error) + math.log(2)
    assert float(found) == pytest.approx(float(expected), rel=1e-9)
    same = evidence.correlation_differs(np.array(0.2), np.array(800), np.array(0.2), np.array(900), np.array(1.0))
    assert float(same) == 0.0
    nothing = evidence.correlation_differs(np.array(np.nan), np.array(0), np.array(0.2), np.array(9), np.array(1.0))
    assert float(nothing) == 0.0
    certain = evidence.correlation_differs(np.array(1.0), np.array(800), np.array(1.0), np.array(900), np.array(1.0))
    assert float(certain) == 0.0
