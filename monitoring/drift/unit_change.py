"""Unit change: the factor by which a column's spread grew, in powers of ten; a known factor is named.

Metres that became feet, euros that became cents, Celsius that became Fahrenheit: all values are multiplied by one
factor (and perhaps moved). The sign says which way; 0 is no change, 3 is a thousandfold. The p-value is that of a
changed location or spread.

>>> metres = [1.5 + i / 1000 for i in range(500)]
>>> score = METRIC.of_pair(beside(metres, [value * 100 for value in metres]))
>>> round(score.value, 3), score.detail
(2.0, 'as if multiplied by 100 (metres to centimetres, units to cents)')
"""

from __future__ import annotations

import math

import numpy as np

from monitoring.drift import DriftMetric, Pair, Score, beside
from monitoring.evidence import mean_differs
from monitoring.layout import NumericColumn

__all__ = ["METRIC", "beside"]

KNOWN = {
    1000.0: "kilo to unit, seconds to milliseconds", 100.0: "metres to centimetres, units to cents",
    60.0: "hours to minutes, minutes to seconds", 3600.0: "hours to seconds", 24.0: "days to hours",
    1.8: "Celsius to Fahrenheit", 3.28084: "metres to feet", 2.20462: "kilograms to pounds",
    2.54: "inches to centimetres",
    1.60934: "miles to kilometres", 12.0: "feet to inches, years to months", 10.0: "a shifted decimal point",
    1e6: "millions to units", 7.0: "weeks to days",
}  # fmt: skip
NEAR = 0.03  # of a factor, relative
LEAST = 0.15  # powers of ten; nearer to 1 no unit is named


def measure(pair: Pair) -> Score:
    column, before, after = pair.column, pair.table.baseline, pair.table.window
    old, new = before.deviation(pair.index), after.deviation(pair.index)
    rows, others = pair.after.sum(), pair.before.sum()
    if not isinstance(column, NumericColumn) or not (old > 0 and new > 0) or rows < 2 or others < 2:
        return Score(0.0, -math.inf, math.inf, _p_value(pair) if rows and others else 1.0)
    value = math.log10(new / old)
    # A factor leaves the shape alone, so the baseline's own tails say how much the spread scatters.
    half = 1.96 * math.sqrt((_kurtosis(pair) - 1) / 4 * (1 / rows + 1 / others)) / math.log(10)
    return Score(value, value - half, value + half, _p_value(pair), _named(value))


def _p_value(pair: Pair) -> float:
    column = pair.column
    if not isinstance(column, NumericColumn):
        return 1.0
    scores = np.zeros(len(pair.before))
    scores[: len(column.scores)] = column.scores
    centre = (scores * pair.before).sum() / max(pair.before.sum(), 1)
    both = np.stack([scores, (scores - centre) ** 2])
    log_p = mean_differs(np.stack([pair.after] * 2), np.stack([pair.before] * 2), both, screen=0.0)
    return min(1.0, 2 * float(np.exp(log_p.min())))


def _kurtosis(pair: Pair) -> float:
    """Of the baseline, from the middles of its bins."""
    column, before = pair.column, pair.table.baseline
    if not isinstance(column, NumericColumn) or len(column.edges) < 2:
        return 3.0
    edges = np.array(column.edges)
    low, high = min(before.minimum[pair.index], edges[0]), max(before.maximum[pair.index], edges[-1])
    with np.errstate(over="ignore", invalid="ignore"):
        middles = (np.concatenate([[low], edges]) + np.concatenate([edges, [high]])) / 2
        weights = pair.before[: len(middles)] / max(pair.before.sum(), 1)
        centred = middles - (weights * middles).sum()
        second, fourth = (weights * centred**2).sum(), (weights * centred**4).sum()
        found = float(fourth / second**2) if second > 0 else 3.0
    return max(found, 1.8) if math.isfinite(found) else 100.0


def _named(value: float) -> str:
    if abs(value) < LEAST:
        return ""
    factor = 10 ** abs(value)
    way = "multiplied" if value > 0 else "divided"
    near = min(KNOWN, key=lambda known: abs(math.log(factor / known)))
    if abs(factor / near - 1) <= NEAR:
        return f"as if {way} by {near:g} ({KNOWN[near]})"
    return f"as if {way} by {factor:.3g}"


METRIC = DriftMetric("unit_change", "numbers", "Growth of the spread, in powers of ten.", of_pair=measure)
