"""Correlation change: the largest change of a correlation among all pairs of numeric columns.

Correlations are of normal scores, so neither outliers nor a change of scale move them. The p-value is Fisher's, paid
for every pair; where the baseline's dependence is not linear its own scatter is used.

>>> import numpy as np, polars as pl
>>> x, y = np.random.default_rng(1).standard_normal((2, 4000))
>>> table = compare(pl.DataFrame({"x": x, "y": y}), pl.DataFrame({"x": x, "y": 0.6 * x + 0.8 * y}))
>>> score = METRIC.of_table(table)
>>> round(score.value, 1), score.detail, score.p < 1e-9
(0.6, 'x and y', True)
"""

from __future__ import annotations

import numpy as np

from monitoring.drift import DriftMetric, Score, Table, compare
from monitoring.evidence import correlation_differs
from monitoring.verdict import sums_of

__all__ = ["METRIC", "compare"]


def measure(table: Table) -> Score:
    layout, rows, others = table.window.layout, table.window.rows, float(table.reference.sums.rows)
    first, second = np.triu_indices(len(layout.paired), 1)
    if not len(first) or rows < 4 or others < 4 or table.reference.sums.products is None:
        return Score(0.0, 0.0, 1.0, 1.0)
    now = table.judge.correlations(sums_of(table.window))[first, second]
    then = table.judge.correlations(table.reference.sums)[first, second]
    scatter = table.reference.scatter
    spread = np.ones(len(first)) if scatter is None else np.maximum(scatter[first, second], 1.0)
    log_p = correlation_differs(now, np.array(rows), then, np.array(others), spread)
    worst = int(np.argmin(log_p))
    value = float(abs(now[worst] - then[worst]))
    half = 1.96 * float(np.sqrt(spread[worst] * (1 / (rows - 3) + 1 / (others - 3))) * (1 - now[worst] ** 2))
    names = [layout.columns[layout.paired[int(at)]].name for at in (first[worst], second[worst])]
    p = min(1.0, float(np.exp(log_p[worst])) * len(first))
    return Score(value, max(value - half, 0.0), min(value + half, 2.0), p, " and ".join(names))


METRIC = DriftMetric("correlation_change", "table", "Largest change of a correlation.", of_table=measure)
