"""A made-up world to measure in: a baseline, and endless windows that do or do not differ from it.

Numeric columns (normal, lognormal, integer, with and without missing values) are drawn row by row and counted in the
baseline's bins. Category columns have Zipf frequencies; the counts of a window's cells are drawn directly, which is
exactly what drawing and counting its rows would give. Without correlations numeric columns can be drawn so too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import special

from contract.records import Column
from monitoring.bins import CELLS
from monitoring.layout import UNSEEN, CategoryColumn, Layout, NumericColumn, lay_out
from monitoring.profile import count
from monitoring.verdict import Reference, Sums, reference_of

HOLES = 0.02  # the share of missing values where there are any
LEVELS = (5, 20, 100, 1_000, 10_000)


@dataclass(frozen=True)
class World:
    """The columns of a population, with the baseline that was drawn from it."""

    reference: Reference
    kinds: tuple[str, ...]  # of the numeric columns
    masses: tuple[npt.NDArray[np.float64], ...]  # of the category columns: the true mass of each cell
    by_hour: tuple[Reference, ...] = ()  # when the population has a daily season

    @property
    def layout(self) -> Layout:
        return self.reference.layout


def numeric(kind: str, rng: np.random.Generator, size: int, shift: float = 0.0) -> npt.NDArray[np.float64]:
    drawn = rng.standard_normal(size) + shift
    if kind == "lognormal":
        return np.exp(drawn)
    if kind == "integer":
        return np.floor(np.exp(1.5 + drawn * 0.5))
    if kind == "holes":
        drawn[rng.random(size) < HOLES] = np.nan
    return drawn


def true_masses(kind: str, column: NumericColumn) -> npt.NDArray[np.float64]:
    """The probability of each bin, from the population's own distribution."""
    edges = np.array(column.edges)
    with np.errstate(divide="ignore", invalid="ignore"):
        normal = {
            "lognormal": np.log(np.maximum(edges, 0.0)),
            "integer": (np.log(np.maximum(np.ceil(edges), 0.0)) - 1.5) / 0.5,
        }.get(kind, edges)
    below = np.concatenate([[0.0], special.ndtr(normal), [1.0]])
    masses = np.zeros(CELLS)
    masses[: len(edges) + 1] = np.diff(below)
    return masses


def masses_of(levels: int) -> npt.NDArray[np.float64]:
    mass = 1.0 / np.arange(1, levels + 1)
    return mass / mass.sum()


def make(rng: np.random.Generator, columns: int, rows: int = 100_000, share: float = 0.2, teaching: int = 0) -> World:
    """A population of that many columns, `share` of them categories, and a baseline of so many rows.

    Its levels are those of the baseline, or of so many teaching rows: a schema names those of the training data.
    """
    categories = int(columns * share)
    kinds = tuple(("normal", "lognormal", "integer", "holes")[i % 4] for i in range(columns - categories))
    frame: dict[str, pl.Series] = {}
    schema: list[Column] = []
    for i, kind in enumerate(kinds):
        frame[f"n{i}"] = pl.Series(numeric(kind, rng, rows), nan_to_null=False)
        schema.append(Column(f"n{i}", "number"))
    for i in range(categories):
        mass = masses_of(LEVELS[i % len(LEVELS)])
        drawn = np.searchsorted(np.cumsum(mass), rng.random(rows) * (1 - 1e-12))
        frame[f"c{i}"] = pl.Series(drawn).cast(pl.String)
        taught = np.flatnonzero(rng.multinomial(teaching, mass)) if teaching else ()
        schema.append(Column(f"c{i}", "category", tuple(str(level) for level in taught)))
    table = pl.DataFrame(frame)
    layout = lay_out(table.head(100_000), schema)
    cells = []
    for i, column in enumerate(layout.columns):
        if isinstance(column, CategoryColumn):
            mass = masses_of(LEVELS[(i - len(kinds)) % len(LEVELS)])
            cell = np.full(len(mass), UNSEEN)
            cell[[int(level) for level in column.levels]] = column.cell_of_level
            cells.append(np.bincount(cell, weights=mass, minlength=CELLS).astype(np.float64))
    return World(reference_of(count(table, layout)), kinds, tuple(cells))


def windows(world: World, rng: np.random.Generator, number: int, rows: int, *, pairs: bool = True) -> Sums:
    """That many windows of so many rows, without drift: counts with the window as the first axis."""
    layout = world.layout
    cells = np.zeros((number, len(layout.columns), CELLS), np.int32)
    missing = np.zeros((number, len(layout.columns)), np.int64)
    scores = np.zeros((len(layout.paired), number * rows), np.float32) if pairs else None
    for i, column in enumerate(layout.columns):
        if isinstance(column, NumericColumn) and not pairs:
            missing[:, i] = rng.binomial(rows, HOLES if world.kinds[i] == "holes" else 0.0, size=number)
            cells[:, i] = rng.multinomial(rows - missing[:, i], true_masses(world.kinds[i], column))
        elif isinstance(column, NumericColumn):
            codes = fill(cells, missing, i, column, numeric(world.kinds[i], rng, number * rows).reshape(number, rows))
            if scores is not None and i < len(scores):
                table = np.zeros(CELLS + 1, np.float32)
                table[: len(column.scores)] = column.scores
                scores[i] = table[codes]
        else:
            cells[:, i] = rng.multinomial(rows, world.masses[i - len(world.kinds)], size=number)
    products = None
    if scores is not None:
        by_window = scores.reshape(len(layout.paired), number, rows).transpose(1, 0, 2)
        products = np.rint(by_window @ by_window.transpose(0, 2, 1)).astype(np.int64)
    return Sums(cells.astype(np.int64), missing, np.full(number, rows), products)


def fill(
    cells: npt.NDArray[np.int32],
    missing: npt.NDArray[np.int64],
    i: int,
    column: NumericColumn,
    drawn: npt.NDArray[np.float64],
) -> npt.NDArray[np.uint8]:
    """Count one numeric column of many windows at once."""
    number, rows = drawn.shape
    flat = drawn.reshape(-1)
    absent = np.isnan(flat)
    codes = np.full(len(flat), CELLS, np.uint8)
    if absent.any():
        codes[~absent] = column.bins.find(flat[~absent])
    else:
        for start in range(0, len(flat), 1 << 14):
            codes[start : start + (1 << 14)] = column.bins.find(flat[start : start + (1 << 14)])
    place = codes.astype(np.int64) + np.repeat(np.arange(number) * (CELLS + 1), rows)
    counted = np.bincount(place, minlength=number * (CELLS + 1)).reshape(number, CELLS + 1)
    cells[:, i] = counted[:, :CELLS]
    missing[:, i] = counted[:, CELLS]
    return codes
