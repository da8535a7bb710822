"""What may be concluded about an effect, at any time, from log likelihoods on a grid of effects.

The effect is what the challenger adds (a log odds ratio, or a difference of means), positive is better. For each
effect on the grid we keep the log likelihood of all looks so far, so every question is one ratio of likelihoods:

    against "the effect is at most t":   e(t) = sum over grid points s > t of w(s) L(s) / L(t)

Under every effect up to t, e(t) has mean at most one whenever one looks, so by Ville's inequality the chance that it
*ever* reaches 1/alpha is at most alpha. The weights w put their mass near the minimum effect and leave a tail for
large ones: they set how fast a real difference is seen, never how often a false one is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FINE = np.arange(0.0, 3.01, 0.2)
COARSE = FINE[-1] * 1.3 ** np.arange(1, 10)
MULTIPLES = np.concatenate([-COARSE[::-1], -FINE[:0:-1], FINE, COARSE])

SPREAD = 0.4  # of the log of the weighted effect around the scale
TAIL = 0.1  # mass of the weights that looks for effects far from the scale
NOTHING = 1e-9  # log likelihoods closer than this differ by rounding


@dataclass(frozen=True)
class Grid:
    """The effects considered: multiples of `scale` (the effect that matters), and every effect a question names."""

    scale: float
    through: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"the scale of a grid of effects is {self.scale}, expected a positive number")

    @cached_property
    def effects(self) -> Array:
        return np.unique(np.concatenate([self.scale * MULTIPLES, np.asarray(self.through, dtype=np.float64)]))

    def index(self, effect: float) -> int:
        """Where an effect stands on the grid; asking for one that is not there is a mistake of the caller."""
        found = np.flatnonzero(self.effects == effect)
        if not len(found):
            raise KeyError(f"effect {effect} is not on the grid; name it in `through` when making the grid")
        return int(found[0])

    def log_weights(self, distance: Array) -> Array:
        """The mixing weights of grid points at these signed distances: none at or below zero."""
        d = np.where(distance > 0, distance, np.nan) / self.scale
        spacing = np.gradient(self.effects)
        near = spacing * np.exp(-0.5 * (np.log(d) / SPREAD) ** 2) / d
        far = spacing / (1 + d) ** 2
        weights = (1 - TAIL) * near / np.nansum(near) + TAIL * far / np.nansum(far)
        return np.where(np.isnan(weights), -np.inf, np.log(weights))


def log_sum(log_values: Array) -> Array:
    """The logarithm of the sum over the last axis, without overflow."""
    top = log_values.max(axis=-1, keepdims=True)
    total: Array = np.log(np.exp(log_values - top).sum(axis=-1)) + top[..., 0]
    return total


@dataclass(frozen=True)
class Evidence:
    """Log likelihoods on a grid, one or many at once: `log_likelihood[..., g]` belongs to `grid.effects[g]`."""

    grid: Grid
    log_likelihood: Array

    def log_e_above(self, effect: float) -> Array:
        """Evidence against "the effect is at most this"."""
        return self._log_e(effect, 1.0)

    def log_e_below(self, effect: float) -> Array:
        """Evidence against "the effect is at least this"."""
        return self._log_e(effect, -1.0)

    def _log_e(self, effect: float, side: float) -> Array:
        distance = side * (self.grid.effects - effect)
        weighted = distance > 0
        weights = self.grid.log_weights(distance)[weighted]
        null = self.log_likelihood[..., self.grid.index(effect)]
        return log_sum(self.log_likelihood[..., weighted] + weights) - null

    @property
    def estimate(self) -> Array:
        """The most likely effect, refined by a parabola through the best grid point and its neighbours."""
        x, y = self.grid.effects, self.log_likelihood
        towards_zero = NOTHING * np.abs(x) / self.grid.scale  # without any evidence, the estimate is no effect
        best = np.clip((y - towards_zero).argmax(axis=-1), 1, len(x) - 2)
        left, middle, right = (np.take_along_axis(y, best[..., None] + k, axis=-1)[..., 0] for k in (-1, 0, 1))
        a, b = x[best] - x[best - 1], x[best + 1] - x[best]
        bend = b * left + a * right - (a + b) * middle
        bent = bend < -NOTHING * (a + b)
        shift = np.where(bent, (b**2 * left - a**2 * right + (a**2 - b**2) * middle) / (2 * np.where(bent, bend, 1)), 0)
        return np.asarray(x[best] + np.clip(shift, -a, b))

    def bounds(self, alpha: float) -> tuple[Array, Array]:
        """A confidence sequence: the effect lies between these two at all times at once, but for a chance of alpha.

        The bounds are grid points, rounded outwards; beyond the grid they are infinite.
        """
        x = self.grid.effects
        needed = np.log(2 / alpha)
        above = np.stack([self.log_e_above(float(t)) >= needed for t in x[:-1]], axis=-1)
        below = np.stack([self.log_e_below(float(t)) >= needed for t in x[1:]], axis=-1)
        # Rejected effects are those up to the first one that stands; the bound is the last rejected.
        count_low = np.where(above.all(axis=-1), len(x) - 1, above.argmin(axis=-1))
        count_high = np.where(below.all(axis=-1), len(x) - 1, below[..., ::-1].argmin(axis=-1))
        low = np.concatenate([[-np.inf], x])[count_low]
        high = np.concatenate([x, [np.inf]])[len(x) - count_high]
        return low, high
