"""Whether traffic is split as its weights say, watched all the time.

A split that differs from its weights means assignment or logging is broken, and the comparison with it. Under the
weights, the counts of a look are multinomial; against them stands a Dirichlet-multinomial that predicts each look
from the looks before: the weights in force, tilted by what was seen of each variant against what was expected. Its
likelihood ratio has mean one as long as the weights are true, whatever they change to between looks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from monitoring.experiment.evidence import Array

CONCENTRATION = 10_000.0
"""How surely the alternative stays near the weights: of a one-point fault it expects about half a point."""


@dataclass(frozen=True)
class SampleRatio:
    """Requests and the weights in force, [..., looks, variants]; weights need not sum to one."""

    requests: NDArray[np.int64]
    weights: Array

    @property
    def shares(self) -> Array:
        return np.asarray(self.weights / self.weights.sum(axis=-1, keepdims=True))

    @property
    def log_e(self) -> Array:
        """After each look: evidence against "traffic follows the weights"."""
        n, shares = self.requests, self.shares
        expected = shares * n.sum(axis=-1, keepdims=True)
        seen_before = np.cumsum(n, axis=-2) - n
        expected_before = np.cumsum(expected, axis=-2) - expected
        held = CONCENTRATION * shares
        # Only the shape of this tilt matters: with constant weights it is exactly the Dirichlet posterior.
        tilted = shares * (held + seen_before) / np.where(shares > 0, held + expected_before, 1)
        tilted = tilted / tilted.sum(axis=-1, keepdims=True)
        total_before = seen_before.sum(axis=-1, keepdims=True)
        prior = (CONCENTRATION + total_before) * tilted
        return np.asarray(np.cumsum(self._log_factor(prior), axis=-1))

    def _log_factor(self, prior: Array) -> Array:
        n, shares = self.requests, self.shares
        open_to_traffic = shares > 0
        safe_prior = np.where(open_to_traffic, prior, 1.0)
        seen = np.where(open_to_traffic, n, 0)
        predicted = np.where(open_to_traffic, gammaln(safe_prior + seen) - gammaln(safe_prior), 0).sum(axis=-1)
        total_prior = np.where(open_to_traffic, prior, 0).sum(axis=-1)
        predicted = predicted - gammaln(total_prior + seen.sum(axis=-1)) + gammaln(total_prior)
        claimed = (seen * np.log(np.where(open_to_traffic, shares, 1))).sum(axis=-1)
        return np.asarray(predicted - claimed)
