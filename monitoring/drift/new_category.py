"""New categories: the share of rows whose level the baseline did not have.

Some newcomers are expected where levels are many. Good and Turing: the chance that the next row brings a new level is
about the share of rows whose level was seen once. The p-value compares with that.

>>> score = METRIC.of_pair(beside(["a", "b"] * 500, ["a", "b"] * 490 + ["c"] * 20))
>>> score.value, score.p < 1e-4, score.detail
(0.02, True, 'c: 20')
"""

from __future__ import annotations

import numpy as np

from monitoring.drift import DriftMetric, Pair, Score, beside
from monitoring.drift.missing_rate import wilson
from monitoring.evidence import share_above
from monitoring.layout import UNSEEN

__all__ = ["METRIC", "beside"]
SHOWN = 5


def measure(pair: Pair) -> Score:
    new, rows = float(pair.after[UNSEEN]), float(pair.after.sum())
    rest = pair.table.reference.rest
    expected, others = float(rest.high[pair.index, -1]), max(float(rest.rows[pair.index, -1]), 1.0)
    if not rows:
        return Score(0.0, 0.0, 1.0, 1.0)
    log_p = share_above(*(np.array(each) for each in (new, rows, expected * others, others)))
    names = sorted(pair.table.window.unseen[pair.index].counts.items(), key=lambda item: (-item[1], item[0]))
    detail = ", ".join(f"{name}: {count}" for name, count in names[:SHOWN])
    return Score(new / rows, *wilson(new, rows), float(np.exp(log_p)), detail)


METRIC = DriftMetric(
    "new_category", "categories", "Share of rows with a level the baseline did not have.", of_pair=measure
)
