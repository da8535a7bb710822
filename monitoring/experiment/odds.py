"""Rates compared exactly, within looks and then across them.

In one look the champion has n requests and k events, the challenger likewise. Given how many events the look had in
all, the challenger's share of them follows Fisher's noncentral hypergeometric law, whose only unknown is the odds
ratio: what the base rate was, and how traffic was split, cancels. Likelihoods of looks multiply, so weights may
change while the base rate drifts, at any count however small, without faking a difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, logit

from monitoring.experiment.evidence import Array, Evidence, Grid

Counts = NDArray[np.int64]

WORK = 4_000_000  # terms summed at a time: bounds memory
TABLE = 4_000_000  # log factorials up to here come from a table
REACH = 8.5  # standard deviations summed on each side of the mode; what is left out is below 1e-15
MARGIN = 10


@dataclass(frozen=True)
class Rates:
    """Events among requests, per look, of both variants; looks stand on the last axis."""

    champion_requests: Counts
    champion_events: Counts
    challenger_requests: Counts
    challenger_events: Counts

    @property
    def total_events(self) -> Counts:
        return np.asarray(self.champion_events + self.challenger_events)

    def log_likelihood(self, grid: Grid) -> Array:
        """Per look and effect: log of how much better this odds ratio explains the look than no difference."""
        strata = np.stack([self.champion_requests, self.challenger_requests, self.total_events], axis=-1)
        different, which = np.unique(strata.reshape(-1, 3), axis=0, return_inverse=True)
        normaliser = log_normaliser(different[:, 0], different[:, 1], different[:, 2], grid.effects)
        shape = (*self.total_events.shape, len(grid.effects))
        explained = self.challenger_events[..., None] * grid.effects
        return np.asarray(explained - normaliser[which.ravel()].reshape(shape))

    def evidence(self, grid: Grid) -> Evidence:
        """The evidence after each look."""
        return Evidence(grid, np.cumsum(self.log_likelihood(grid), axis=-2))


def odds_effect(base: float, changed: float) -> float:
    """The log odds ratio that takes one rate to another."""
    return float(logit(changed) - logit(base))


def log_normaliser(
    champion_requests: ArrayLike, challenger_requests: ArrayLike, total_events: ArrayLike, effects: ArrayLike
) -> Array:
    """Per stratum and effect t: log of the mean of exp(t X), X the challenger's events when there is no difference."""
    n0, n1, k = (np.asarray(given, dtype=np.int64) for given in (champion_requests, challenger_requests, total_events))
    theta = np.asarray(effects, dtype=np.float64)
    answer = np.zeros((len(k), len(theta)))
    reach = _reach(n0, n1, k)
    order = np.argsort(reach)
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop - start + 1) * len(theta) * (2 * reach[order[stop]] + 1) <= WORK:
            stop += 1
        some = order[start:stop]
        answer[some] = _log_mean_exp(n0[some], n1[some], k[some], theta, int(reach[some].max()))
        start = stop
    return answer


def _reach(n0: Counts, n1: Counts, k: Counts) -> Counts:
    """How far from the mode terms matter: no cell of the table varies more than its smallest margin split evenly."""
    smallest = np.minimum(np.minimum(n0, n1), np.minimum(k, n0 + n1 - k))
    return np.minimum(np.ceil(REACH * np.sqrt(smallest) / 2) + MARGIN, smallest + 1).astype(np.int64)


def _mode(n0: Counts, n1: Counts, k: Counts, ratio: Array) -> Array:
    """Near where the law peaks: the root x of x (n0 - k + x) = ratio (n1 - x)(k - x)."""
    a = 1 - ratio
    b = n0 - k + ratio * (n1 + k)
    c = -ratio * n1 * k
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(b >= 0, -2 * c / (b + root), (root - b) / (2 * a)))


def _log_mean_exp(n0: Counts, n1: Counts, k: Counts, theta: Array, reach: int) -> Array:
    low, high = np.maximum(0, k - n0), np.minimum(n1, k)
    mode = np.nan_to_num(_mode(n0[:, None], n1[:, None], k[:, None], np.exp(theta)[None, :]))
    around = np.clip(np.rint(mode).astype(np.int64), low[:, None], high[:, None])
    x = around[:, :, None] + np.arange(-reach, reach + 1)
    inside = (x >= low[:, None, None]) & (x <= high[:, None, None])
    x = np.clip(x, low[:, None, None], high[:, None, None])
    n0, n1, k = n0[:, None, None], n1[:, None, None], k[:, None, None]
    log_factorial = _log_factorial(int((n0 + n1).max()))
    constant = log_factorial(n1) + log_factorial(n0) + log_factorial(k) + log_factorial(n0 + n1 - k)
    constant = constant - log_factorial(n0 + n1)
    terms = theta[None, :, None] * x + constant
    for cell in (x, n1 - x, k - x, n0 - k + x):
        terms -= log_factorial(cell)
    terms = np.where(inside, terms, -np.inf)
    top = terms.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(terms - top).sum(axis=-1)) + top[..., 0])


class _log_factorial:  # noqa: N801 - it stands for a function
    """Log factorials: from a table where there is one, it is five times as fast."""

    def __init__(self, largest: int) -> None:
        self.table = _table(1 << max(10, largest.bit_length())) if largest < TABLE else None

    def __call__(self, n: Counts) -> Array:
        return np.asarray(gammaln(n + 1.0) if self.table is None else self.table[n])


@lru_cache(maxsize=4)
def _table(size: int) -> Array:
    return np.asarray(gammaln(np.arange(size) + 1.0))
