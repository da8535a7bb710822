"""Drift metrics, one file each: how far a window is from its baseline, how uncertain that is, and how surprising.

A file in this folder that has a `METRIC` is found; nothing else needs to know of it. A metric sees two profiles, never
rows. Its p-value answers "how often would two samples of one population differ this much?" and holds at the window's
size; its interval is for the true value, corrected for what sampling alone adds.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

import numpy as np
import polars as pl

from contract.records import Column
from monitoring.bins import CELLS, Floats
from monitoring.layout import UNSEEN, CategoryColumn, NumericColumn, lay_out
from monitoring.profile import Profile, count, unthreaded
from monitoring.verdict import Judge, Reference, reference_of

Applies = Literal["numbers", "categories", "columns", "table"]
DRAWS, TAIL = 81, 2  # the third from either end of the draws leaves 2.5 % of them outside
SEED = 20_26
MANY = 50_000  # rows


@dataclass(frozen=True, slots=True)
class Score:
    """What a metric says: the value, an interval for the true one, and a p-value."""

    value: float
    low: float
    high: float
    p: float
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high, "p": self.p, "detail": self.detail}


@dataclass(frozen=True)
class Table:
    """A window beside its reference."""

    reference: Reference
    baseline: Profile
    window: Profile

    @cached_property
    def judge(self) -> Judge:
        return Judge(self.window.layout)

    def column(self, index: int) -> Pair:
        return Pair(self, index)

    @property
    def columns(self) -> Iterable[Pair]:
        return (self.column(index) for index in range(len(self.window.layout.columns)))


@dataclass(frozen=True)
class Pair:
    """One column of a window beside the same column of its reference."""

    table: Table
    index: int

    @property
    def column(self) -> NumericColumn | CategoryColumn:
        return self.table.window.layout.columns[self.index]

    @cached_property
    def before(self) -> Floats:
        """The baseline's rows per cell; levels seen once count as unseen, where the levels are the baseline's own."""
        cells = self.table.baseline.cells[self.index].astype(np.float64)
        column, counts = self.column, self.table.baseline.levels.get(self.index)
        if counts is not None and isinstance(column, CategoryColumn) and (counts > 0).all():
            once = counts == 1
            cells -= np.bincount(column.cell_of_level, weights=once, minlength=CELLS)
            cells[UNSEEN] += once.sum()
        return cells

    @property
    def after(self) -> Floats:
        """The window's rows per cell."""
        return self.table.window.cells[self.index].astype(np.float64)

    @property
    def shares(self) -> tuple[Floats, Floats]:
        """What part of the present rows each cell holds, before and after."""
        return share(self.before), share(self.after)

    @cached_property
    def resampled(self) -> tuple[Floats, Floats]:
        """Shares as they might have come out, before and after: draws by cells."""
        rng = np.random.default_rng([SEED, self.index])
        return redraw(rng, self.before), redraw(rng, self.after)

    def interval(self, value: float, statistic: Callable[[Floats, Floats], Floats]) -> tuple[float, float]:
        """Where the true value lies with 95 % confidence: the value, less what redrawing adds to it."""
        if not self.before.sum() or not self.after.sum():
            return 0.0, float("inf")
        drawn = np.sort(statistic(*self.resampled))
        low, high = 2 * value - drawn[[-1 - TAIL, TAIL]]
        return max(float(low), 0.0), max(float(high), 0.0)


def share(cells: Floats) -> Floats:
    result: Floats = cells / np.maximum(cells.sum(-1, keepdims=True), 1)
    return result


@cache
def noise() -> Floats:
    """Standard normal numbers, the same for every column."""
    return np.random.default_rng(SEED).standard_normal((DRAWS, CELLS))


def redraw(rng: np.random.Generator, cells: Floats) -> Floats:
    rows = round(cells.sum())
    if rows >= MANY:  # the normal curve is near enough, and a hundred times quicker than drawing counts
        return share(np.maximum(cells + np.sqrt(cells) * rng.permutation(noise())[:, : len(cells)], 0.0))
    return (
        share(rng.multinomial(rows, share(cells), size=DRAWS).astype(np.float64))
        if rows
        else np.zeros((DRAWS, len(cells)))
    )


@dataclass(frozen=True, slots=True)
class DriftMetric:
    """A metric by name: what it applies to, what it says in one line, and how it is measured."""

    name: str
    applies: Applies
    says: str
    of_pair: Callable[[Pair], Score] | None = None
    of_table: Callable[[Table], Score] | None = None

    def applies_to(self, column: NumericColumn | CategoryColumn) -> bool:
        kind = "numbers" if isinstance(column, NumericColumn) else "categories"
        return self.applies in (kind, "columns")


@cache
def metrics() -> Mapping[str, DriftMetric]:
    """Every metric in this folder, by name."""
    modules = [
        importlib.import_module(f"{__name__}.{each.name}")
        for each in pkgutil.iter_modules(__path__)
        if not each.name.startswith("_")
    ]
    found: list[DriftMetric] = [module.METRIC for module in modules if hasattr(module, "METRIC")]
    return {metric.name: metric for metric in sorted(found, key=lambda metric: metric.name)}


@dataclass(frozen=True, slots=True)
class Measured:
    """All scores of a window: per column and metric, and of the table as a whole."""

    columns: Mapping[str, Mapping[str, Score]]
    table: Mapping[str, Score]

    @property
    def p_values(self) -> dict[str, float]:
        """One p-value per column: Simes' rule over its metrics."""
        return {name: simes([score.p for score in scores.values()]) for name, scores in self.columns.items()}

    def to_json(self) -> dict[str, Any]:
        return {
            "columns": {
                name: {metric: score.to_json() for metric, score in scores.items()}
                for name, scores in self.columns.items()
            },
            "table": {metric: score.to_json() for metric, score in self.table.items()},
        }


def simes(p_values: Sequence[float]) -> float:
    """The p-value that none of several hypotheses is false; holds for metrics that rise together."""
    ordered = np.sort(np.asarray(p_values, np.float64))
    return float(np.min(ordered * len(ordered) / np.arange(1, len(ordered) + 1))) if len(ordered) else 1.0


def measure(table: Table) -> Measured:
    """Every metric, wherever it applies."""
    with unthreaded():
        columns = {
            pair.column.name: {
                metric.name: metric.of_pair(pair)
                for metric in metrics().values()
                if metric.of_pair is not None and metric.applies_to(pair.column)
            }
            for pair in table.columns
        }
        whole = {metric.name: metric.of_table(table) for metric in metrics().values() if metric.of_table is not None}
    return Measured(columns, whole)


def compare(before: pl.DataFrame, after: pl.DataFrame, scatter: Floats | None = None) -> Table:
    """Two frames as a reference and a window: for examples and for trying things out."""
    schema = [Column(name, "number" if dtype.is_numeric() else "category") for name, dtype in before.schema.items()]
    layout = lay_out(before, schema)
    baseline = count(before, layout)
    return Table(reference_of(baseline, scatter), baseline, count(after, layout))


def beside(before: Sequence[Any], after: Sequence[Any]) -> Pair:
    """Two lists as one column of a reference and of a window."""
    return compare(pl.DataFrame({"x": before}), pl.DataFrame({"x": after})).column(0)


__all__ = [
    "DriftMetric", "Measured", "Pair", "Score", "Table", "beside", "compare", "measure", "metrics", "redraw", "share",
    "simes",
]  # fmt: skip
