"""Where the bins of a baseline should be cut, when no machine sees all rows: sketches that merge.

Quantiles come from Apache DataSketches' KLL, whose rank error at this size is about 0.1 %; it flips coins, so two runs
may cut bins a hair apart. What is counted with the bins afterwards is exact.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Self

import numpy as np
import polars as pl

from contract.records import Column, Schema
from monitoring import predictions
from monitoring.layout import Layout, lay_out, numbers
from monitoring.profile import ProfileError

_KLL: Any = import_module("datasketches").kll_doubles_sketch  # a compiled module without type stubs
K = 2_000
POINTS = 50_000  # quantiles that stand for the rows when bins are cut
VERSION = 1


@dataclass
class Sketch:
    """What one share of the rows says of the columns: quantiles of numbers, rows per level."""

    rows: int = 0
    quantiles: dict[str, Any] = field(default_factory=dict)
    levels: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, frame: pl.DataFrame, schema: Schema) -> None:
        self.rows += frame.height
        for column in (*schema.columns, *predictions.columns(schema)):
            if column.name not in frame.columns:
                continue
            if column.is_category:
                found = frame[column.name].cast(pl.String).drop_nulls().value_counts(name="rows")
                self.levels.setdefault(column.name, Counter()).update(dict(found.iter_rows()))
            else:
                values = numbers(frame[column.name])
                self._quantiles_of(column.name).update(values[np.isfinite(values)])

    def _quantiles_of(self, name: str) -> Any:
        return self.quantiles.setdefault(name, _KLL(K))

    def merge(self, other: Sketch) -> None:
        self.rows += other.rows
        for name, sketch in other.quantiles.items():
            self._quantiles_of(name).merge(sketch)
        for name, counts in other.levels.items():
            self.levels.setdefault(name, Counter()).update(counts)

    def layout(self, schema: Schema) -> Layout:
        """Bins for all rows together."""
        if not self.rows:
            raise ProfileError("no rows in any sketch: a baseline needs the data the model was trained on")
        sample = pl.DataFrame([self._points(column) for column in (*schema.columns, *predictions.columns(schema))])
        answered = [column for column in predictions.columns(schema) if sample[column.name].null_count() < POINTS]
        return lay_out(sample, schema.columns, answered)

    def _points(self, column: Column) -> pl.Series:
        """So many values in the proportions of the sketch."""
        if column.is_category:
            counts = self.levels.get(column.name, Counter())
            names = sorted(counts, key=lambda name: (-counts[name], name))
            running = np.cumsum([counts[name] for name in names]) / max(sum(counts.values()), 1)
            at = np.minimum(np.searchsorted(running, (np.arange(POINTS) + 0.5) / POINTS), len(names) - 1)
            # Every level is named at least once, however rare.
            listed = [*names[:POINTS], *(names[int(i)] for i in at if names)][:POINTS]
            return pl.Series(column.name, [*listed, *[None] * (POINTS - len(listed))], pl.String)
        sketch = self.quantiles.get(column.name)
        if sketch is None or sketch.is_empty():
            return pl.Series(column.name, [None] * POINTS, pl.Float64)
        return pl.Series(column.name, sketch.get_quantiles((np.arange(POINTS) + 0.5) / POINTS), pl.Float64)

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "rows": self.rows,
            "quantiles": {name: base64.b64encode(each.serialize()).decode() for name, each in self.quantiles.items()},
            "levels": {name: dict(counts) for name, counts in self.levels.items()},
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        if given.get("version") != VERSION or "quantiles" not in given:
            raise ProfileError(f"a sketch of version {given.get('version')!r}; this program reads version {VERSION}")
        read = _KLL.deserialize
        return cls(
            rows=int(given["rows"]),
            quantiles={name: read(base64.b64decode(each)) for name, each in given["quantiles"].items()},
            levels={name: Counter(counts) for name, counts in given["levels"].items()},
        )
