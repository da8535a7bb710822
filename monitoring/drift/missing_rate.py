"""Missing rate: the share of rows without a value, less what it was in the baseline.

The p-value bounds the exact (hypergeometric) test of two shares; the interval is Newcombe's.

>>> before, after = [1.0] * 980 + [None] * 20, [1.0] * 900 + [None] * 100
>>> score = METRIC.of_pair(beside(before, after))
>>> round(score.value, 2), score.p < 1e-9
(0.08, True)
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from monitoring.drift import DriftMetric, Pair, Score, beside
from monitoring.evidence import share_differs

__all__ = ["METRIC", "beside"]


def measure(pair: Pair) -> Score:
    before, after = pair.table.baseline, pair.table.window
    gone, rows = int(after.missing[pair.index]), after.rows
    were_gone, others = int(before.missing[pair.index]), before.rows
    if not rows or not others:
        return Score(0.0, -1.0, 1.0, 1.0)
    new, old = gone / rows, were_gone / others
    new_low, new_high = wilson(gone, rows)
    old_low, old_high = wilson(were_gone, others)
    low = new - old - math.hypot(new - new_low, old_high - old)
    high = new - old + math.hypot(new_high - new, old - old_low)
    log_p = share_differs(*(np.array(float(each)) for each in (gone, rows, were_gone, others)))
    return Score(new - old, low, high, float(np.exp(log_p)))


def wilson(hits: float, rows: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z = float(special.ndtri(0.975))
    rate, spread = hits / rows, z * z / rows
    middle = (rate + spread / 2) / (1 + spread)
    half = z * math.sqrt(rate * (1 - rate) / rows + spread / (4 * rows)) / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


METRIC = DriftMetric("missing_rate", "columns", "Change in the share of rows without a value.", of_pair=measure)
