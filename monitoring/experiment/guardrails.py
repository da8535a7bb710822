"""Guardrails: what the challenger must not make worse, and the proof that it does not.

Errors and slow answers are rates, so they are compared as rates are: exactly, within looks. A slow answer is one
beyond a limit taken from the champion before the look (its 99th percentile), the same for both variants; if the limit
is off, it is off for both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from monitoring.experiment.evidence import Array, log_sum
from monitoring.experiment.experiment import Guardrail
from monitoring.experiment.odds import Rates

SMALL_RATES = np.array([0.0, 0.1, 0.25, 0.5, 0.7])
"""As shares of the negligible rate: the alternatives against "the rate is at least negligible"."""


@dataclass(frozen=True)
class GuardrailReading:
    """After each look: log evidence that the guardrail is broken, and, where a promotion needs it, that it holds."""

    log_e_harm: Array
    log_e_safe: Array | None


def read(guardrail: Guardrail, bad: Rates) -> GuardrailReading:
    evidence = bad.evidence(guardrail.grid)
    harm = evidence.log_e_above(math.log(guardrail.tolerated))
    if guardrail.never is None:
        return GuardrailReading(harm, None)
    not_multiplied = evidence.log_e_below(math.log(guardrail.never))
    if guardrail.negligible == 0:
        return GuardrailReading(harm, not_multiplied)
    n, k = (np.cumsum(each, axis=-1) for each in (bad.challenger_requests, bad.challenger_events))
    absence = log_e_negligible(n, k, guardrail.negligible)
    # Either proof refutes "multiplied and not negligible"; the mean of two e-processes is one.
    both = np.stack([not_multiplied, absence], axis=-1)
    return GuardrailReading(harm, log_sum(both) - math.log(2))


def log_e_negligible(requests: ArrayLike, bad: ArrayLike, rate: float) -> Array:
    """Evidence against "the rate of bad requests is at least this", from the challenger's counts so far alone."""
    n, k = (np.asarray(given, dtype=np.float64)[..., None] for given in (requests, bad))
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.where(k > 0, k * np.log(SMALL_RATES), 0.0)
    unseen = (n - k) * (np.log1p(-rate * SMALL_RATES) - math.log1p(-rate))
    return log_sum(seen + unseen) - math.log(len(SMALL_RATES))
