"""Means and ratios compared within looks and then across them, with less noise when a covariate is known.

Each look gives a difference of the two variants' means and its variance; looks are weighed by how much they can tell
(from traffic and from earlier looks alone, so that weighing cannot follow the outcome), and the sums enter a normal-
mixture e-process. It is exact for normal values and holds for others as counts grow: no verdict is drawn before
`Means.SETTLED` values per variant.

With a covariate known before assignment (CUPED), each value is first relieved of what the covariate explains, by a
slope learned from earlier looks; a correlation of 0.7 halves the variance. A ratio of sums is compared through its
linear form, numerator minus the look's own ratio times denominator (the delta method).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monitoring.experiment.evidence import Array, Evidence, Grid

ROUNDING = 1e-6  # of the effect that matters: a spread below is no spread, it is what is left of sums of equal values


@dataclass(frozen=True)
class Moments:
    """Sums over the units of one variant, per look (looks on the last axis): of y, of x beside it, of products.

    For a mean, x is the covariate (zeros without one); for a ratio, y is the numerator and x the denominator.
    """

    n: Array
    y: Array
    yy: Array
    x: Array
    xx: Array
    xy: Array

    @classmethod
    def of(cls, y: Array, x: Array | None = None) -> Moments:
        """The sums of one look's values."""
        beside = np.zeros_like(y) if x is None else x
        sums = (len(y), y.sum(), (y * y).sum(), beside.sum(), (beside * beside).sum(), (y * beside).sum())
        return cls(*(np.asarray([each], dtype=np.float64) for each in sums))

    def mean(self, slope: Array) -> Array:
        """The mean of y - slope x."""
        return np.asarray((self.y - slope * self.x) / np.maximum(self.n, 1))

    def scatter(self, slope: Array) -> Array:
        """The sum of squares of y - slope x around its mean."""
        squares = self.yy - 2 * slope * self.xy + slope**2 * self.xx
        return np.asarray(np.maximum(squares - (self.y - slope * self.x) ** 2 / np.maximum(self.n, 1), 0))

    @property
    def scatter_xy(self) -> Array:
        return np.asarray(self.xy - self.x * self.y / np.maximum(self.n, 1))

    @property
    def scatter_xx(self) -> Array:
        return np.asarray(np.maximum(self.xx - self.x**2 / np.maximum(self.n, 1), 0))


@dataclass(frozen=True)
class Differences:
    """Per look: the difference of means, its variance, the spread of one unit, and how many units per variant."""

    d: Array
    v: Array
    spread: Array
    champion_n: Array
    challenger_n: Array

    SETTLED: ClassVar[int] = 100

    def evidence(self, grid: Grid) -> Evidence:
        """The evidence after each look: none before both variants gave enough values for the normal law."""
        usable = (self.champion_n > 1) & (self.challenger_n > 1)
        told = self.champion_n * self.challenger_n / np.maximum(self.champion_n + self.challenger_n, 1)
        told = np.where(usable, told, 0)
        variance = before(told * self.spread**2, told, self.spread**2)  # of one unit, from earlier looks
        real = variance > (ROUNDING * grid.scale) ** 2
        weight = np.where(real, told / np.where(real, variance, 1), 0)
        found = np.cumsum(weight * self.d, axis=-1)[..., None]
        precision = np.cumsum(weight, axis=-1)[..., None]
        noise = np.cumsum(weight**2 * self.v, axis=-1)[..., None]
        s = grid.effects
        # Were every look as noisy as those before it, noise would equal precision; the wider of both keeps the promise.
        shrink = precision / np.maximum(np.maximum(noise, precision), np.finfo(np.float64).tiny)
        log_likelihood = (s * found - s**2 * precision / 2) * shrink
        return Evidence(grid, np.where(self._settled[..., None], log_likelihood, 0.0))

    @property
    def _settled(self) -> NDArray[np.bool_]:
        fewest = np.minimum(np.cumsum(self.champion_n, axis=-1), np.cumsum(self.challenger_n, axis=-1))
        return np.asarray(fewest >= self.SETTLED)


def before(total: Array, weight: Array, first: Array) -> Array:
    """The weighted mean of all earlier looks; of the look itself where there is none earlier."""
    earlier_total = np.cumsum(total, axis=-1) - total
    earlier_weight = np.cumsum(weight, axis=-1) - weight
    return np.where(earlier_weight > 0, earlier_total / np.where(earlier_weight > 0, earlier_weight, 1), first)


def mean_differences(champion: Moments, challenger: Moments) -> Differences:
    """Challenger minus champion, relieved of what the covariate explains."""
    xy = champion.scatter_xy + challenger.scatter_xy
    xx = champion.scatter_xx + challenger.scatter_xx
    earlier_xx = np.cumsum(xx, axis=-1) - xx
    slope = np.where(earlier_xx > 0, (np.cumsum(xy, axis=-1) - xy) / np.where(earlier_xx > 0, earlier_xx, 1), 0.0)
    return _differences(champion, challenger, slope, np.ones_like(slope))


def ratio_differences(champion: Moments, challenger: Moments) -> Differences:
    """Challenger's ratio of sums minus the champion's."""
    denominator = champion.x + challenger.x
    ratio = (champion.y + challenger.y) / np.where(denominator > 0, denominator, 1)
    per_unit = denominator / np.maximum(champion.n + challenger.n, 1)
    return _differences(champion, challenger, ratio, np.where(per_unit > 0, per_unit, np.inf))


def _differences(champion: Moments, challenger: Moments, slope: Array, unit: Array) -> Differences:
    scatters = [each.scatter(slope) for each in (champion, challenger)]
    variances = [
        scatter / np.maximum(each.n - 1, 1) / np.maximum(each.n, 1)
        for each, scatter in zip((champion, challenger), scatters, strict=True)
    ]
    freedom = np.maximum(champion.n + challenger.n - 2, 1)
    return Differences(
        d=(challenger.mean(slope) - champion.mean(slope)) / unit,
        v=(variances[0] + variances[1]) / unit**2,
        spread=np.sqrt((scatters[0] + scatters[1]) / freedom) / unit,
        champion_n=champion.n,
        challenger_n=challenger.n,
    )
