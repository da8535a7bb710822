"""How a table is counted: the columns of a baseline, and for each the cells its values fall in.

A layout is fixed when the baseline is made. Profiles of the same layout can be added; of different layouts never.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import special

from contract.records import Column, RecordError, known_fields
from monitoring.bins import CELLS, Bins, Floats, cut

Role = Literal["feature", "prediction"]
Counts = npt.NDArray[np.int64]

UNSEEN = CELLS - 1  # the cell of a category column that holds every level the baseline did not have
RARE = CELLS - 2  # the cell that pools the levels which are not among the most frequent
HEADS = CELLS - 2
SCORE = 8  # normal scores are kept in eighths, so that their products are small exact integers
PAIRED = 128  # correlations are followed among this many numeric columns at most
SHOWN = 60  # characters of a name that are shown where there may be many
FINE = 12  # a column's standard deviation is about 2**FINE quanta of its exact sums


@dataclass(frozen=True)
class NumericColumn:
    """A column of numbers: bins, the score of each bin, and the quantum in which sums are exact."""

    name: str
    edges: tuple[float, ...]
    scores: tuple[int, ...]
    centre: float
    exponent: int
    role: Role = "feature"
    integral: bool = False

    @functools.cached_property
    def bins(self) -> Bins:
        return Bins(np.array(self.edges, np.float64))

    @property
    def quantum(self) -> float:
        return math.ldexp(1.0, -self.exponent)


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories: its levels in the baseline, and the cell each is counted in."""

    name: str
    levels: tuple[str, ...]
    heads: tuple[int, ...]
    role: Role = "feature"

    @functools.cached_property
    def cell_of_level(self) -> npt.NDArray[np.intp]:
        cells = np.full(len(self.levels), RARE, np.intp)
        cells[list(self.heads)] = np.arange(len(self.heads))
        return cells

    def cell_name(self, cell: int) -> str:
        if cell < len(self.heads):
            return self.levels[self.heads[cell]]
        return "(unseen levels)" if cell == UNSEEN else "(rare levels)"


def shortened(name: str, most: int = SHOWN) -> str:
    """A name as far as it fits: a level may be a whole document."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


type_of: Mapping[str, type[NumericColumn | CategoryColumn]] = {"numeric": NumericColumn, "category": CategoryColumn}


@dataclass(frozen=True)
class Layout:
    """All columns of a baseline, in order; predictions come after the features they were made from."""

    columns: tuple[NumericColumn | CategoryColumn, ...]
    pairs: bool = True  # whether correlations are followed; not when the baseline came without rows

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @functools.cached_property
    def paired(self) -> tuple[int, ...]:
        """The columns whose correlations are followed."""
        numeric = [i for i, c in enumerate(self.columns) if isinstance(c, NumericColumn) and c.role == "feature"]
        return tuple(numeric[:PAIRED]) if self.pairs else ()

    @functools.cached_property
    def fingerprint(self) -> str:
        """What a profile carries to say which layout it was counted with."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]

    @functools.cached_property
    def is_numeric(self) -> npt.NDArray[np.bool_]:
        return np.array([isinstance(column, NumericColumn) for column in self.columns], np.bool_)

    def of_role(self, role: Role) -> tuple[int, ...]:
        return tuple(i for i, column in enumerate(self.columns) if column.role == role)

    def without(self, position: int) -> Layout:
        """The layout less one column; correlations go where another column would come to be followed in its place."""
        fewer = dataclasses.replace(self, columns=self.columns[:position] + self.columns[position + 1 :])
        pairs = len(fewer.paired) == len(self.paired) - (position in self.paired)
        return dataclasses.replace(fewer, pairs=self.pairs and pairs)

    def paired_without(self, position: int) -> list[int]:
        """Where the pairs of the layout less one column stand among the pairs of this one."""
        kept = [slot for slot, column in enumerate(self.paired) if column != position]
        return kept if self.without(position).pairs else []

    def to_json(self) -> dict[str, Any]:
        return {
            "pairs": self.pairs,
            "columns": [
                {"type": "numeric" if isinstance(column, NumericColumn) else "category"} | dataclasses.asdict(column)
                for column in self.columns
            ],
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        return cls(tuple(_column(each) for each in given["columns"]), bool(given.get("pairs", True)))


def _column(given: Mapping[str, Any]) -> NumericColumn | CategoryColumn:
    fields = dict(given)
    kind = fields.pop("type", None)
    if kind not in type_of:
        raise RecordError(f"a layout column of type {kind!r}, expected one of {', '.join(type_of)}")
    known: dict[str, Any] = known_fields(type_of[kind], fields)
    known |= {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
    return type_of[kind](**known)


def lay_out(sample: pl.DataFrame, columns: Sequence[Column], predictions: Sequence[Column] = ()) -> Layout:
    """The layout for a sample of the baseline's rows (100,000 are ample; see docs/statistics.md)."""
    return Layout(
        tuple(_lay_out_column(sample, column, "feature") for column in columns)
        + tuple(_lay_out_column(sample, column, "prediction") for column in predictions)
    )


def _lay_out_column(sample: pl.DataFrame, column: Column, role: Role) -> NumericColumn | CategoryColumn:
    given = sample[column.name] if column.name in sample.columns else pl.Series(column.name, [], pl.String)
    if column.is_category:
        return category_column(column.name, given, column.levels, role)
    return numeric_column(column.name, numbers(given), role)


def category_column(name: str, given: pl.Series, levels: Sequence[str], role: Role) -> CategoryColumn:
    """The schema's levels, or the sample's own when it names none; the most frequent get a cell each."""
    found = given.cast(pl.String).drop_nulls().value_counts(name="rows").sort("rows", name, descending=[True, False])
    known = tuple(levels) or tuple(sorted(found[name].to_list()))
    position = {level: index for index, level in enumerate(known)}
    heads = [position[level] for level in found[name].to_list() if level in position]
    taken = set(heads)
    rest = [index for index in range(len(known)) if index not in taken]
    return CategoryColumn(name, known, tuple((heads + rest)[:HEADS]), role)


def numeric_column(name: str, values: Floats, role: Role) -> NumericColumn:
    bins = cut(values)
    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore", invalid="ignore"):
        centre, spread = (float(np.median(finite)), float(np.std(finite))) if len(finite) else (0.0, 1.0)
        if not np.isfinite(centre):  # the two in the middle are too large to be added
            centre = float(np.median(finite / 2)) * 2
    if not np.isfinite(spread) or spread == 0:
        spread = max(abs(centre), 1.0)
    return NumericColumn(
        name=name,
        edges=tuple(bins.edges.tolist()),
        scores=normal_scores(np.bincount(bins.find(finite), minlength=bins.count)),
        centre=centre,
        exponent=int(np.clip(FINE - math.floor(math.log2(spread)), -900, 900)),
        role=role,
        integral=bool(len(finite)) and bool((finite == np.floor(finite)).all()),
    )


def normal_scores(counts: Counts) -> tuple[int, ...]:
    """The normal quantile of each bin's middle rank, in eighths."""
    rows = max(int(counts.sum()), 1)
    middle = (np.cumsum(counts) - counts / 2) / rows
    bounded = np.clip(middle, 0.5 / (rows + 1), 1 - 0.5 / (rows + 1))
    scores = np.clip(np.rint(special.ndtri(bounded) * SCORE), -3 * SCORE, 3 * SCORE)
    return tuple(int(score) for score in scores)


def numbers(given: pl.Series) -> Floats:
    """A column as float64, missing and unreadable as NaN."""
    readable = given if given.dtype.is_numeric() else as_numbers(given)
    values: Floats = readable.cast(pl.Float64).to_numpy()
    return values


def as_numbers(given: pl.Series) -> pl.Series:
    """Text or truth values as numbers; what cannot be read becomes null."""
    if given.dtype in (pl.Boolean, pl.Null):
        return given.cast(pl.Float64)
    text = given.cast(pl.String).str.strip_chars()
    truth = pl.Series(["true", "false"])
    spelled = text.str.to_lowercase()
    plain = text.cast(pl.Float64, strict=False)
    if not spelled.is_in(truth.implode()).any():
        return plain
    return (
        pl.select(pl.when(spelled == "true").then(1.0).when(spelled == "false").then(0.0).otherwise(plain))
        .to_series()
        .alias(given.name)
    )
