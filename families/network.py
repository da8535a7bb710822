"""A small tabular network as plain arrays: what PyTorch and TensorFlow train, keep and write in the same way.

Numbers are filled, scaled and bounded, each with a mark where it was missing; a level becomes a short learnt row
(an embedding), as do "unseen" and "missing"; layers with a bend between them follow. All of it in float64.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from contract.records import Schema
from families.artifact import ArtifactError
from families.encoding import category_columns, number_columns, settle
from families.family import Matrix, Table
from families.hyperparameters import Hyperparameter

FILE = "network.npz"
FARTHEST = 10.0  # standard deviations; what lies beyond counts as this far
HIDDEN_LEVELS = 0.02  # share of levels hidden in each epoch, so that "unseen" is learnt as well

# What can be set on a network, whoever trains it.
HYPERPARAMETERS = (
    Hyperparameter("epochs", "integer", 30, "how often every row is seen", 1, 10_000, search=(5, 60)),
    Hyperparameter(
        "hidden", "integer", 64, "width of the first layer; each next is half", 2, 4096, search=(16, 256), log=True
    ),
    Hyperparameter("layers", "integer", 2, "hidden layers", 1, 8, search=(1, 3)),
    Hyperparameter("learning_rate", "number", 1e-3, "size of a step", 1e-7, 1, search=(1e-4, 1e-2), log=True),
    Hyperparameter("weight_decay", "number", 1e-2, "pull of weights to zero", 0, 10, search=(1e-5, 1), log=True),
    Hyperparameter("batch", "integer", 256, "rows of one step", 1, 1_000_000),
)

Slots = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Network:
    """The arrays of a network: how numbers are scaled, one table per category column, and the layers."""

    schema: Schema
    middle: Matrix
    spread: Matrix
    tables: tuple[Matrix, ...]
    layers: tuple[tuple[Matrix, Matrix], ...]
    target_middle: float = 0.0
    target_spread: float = 1.0

    @classmethod
    def begin(cls, table: Table, hidden: Sequence[int], *, seed: int) -> Self:
        """A network before its first step: scales from the rows, everything else drawn from the seed."""
        rng, schema = np.random.default_rng(seed), table.schema
        numbers = settle(table.rows, schema)[:, number_columns(schema)]
        present = np.ma.masked_invalid(numbers)
        middle, spread = np.asarray(present.mean(axis=0).filled(0)), np.asarray(present.std(axis=0).filled(0))
        sizes = [len(schema.columns[at].levels) for at in category_columns(schema)]
        tables = tuple(rng.normal(0, 0.1, (size + 3, embedding_width(size))) for size in sizes)
        outputs = len(schema.classes) or 1
        widths = [2 * len(middle) + sum(each.shape[1] for each in tables), *hidden, outputs]
        layers = tuple(
            (rng.normal(0, np.sqrt(2 / before), (before, after)), np.zeros(after)) for before, after in pairwise(widths)
        )
        begun = cls(schema, middle, np.where(spread > 0, spread, 1.0), tables, layers)
        if schema.task == "classification":
            return begun
        return replace(begun, target_middle=float(table.target.mean()), target_spread=float(table.target.std()) or 1.0)

    def inputs(self, rows: Matrix) -> tuple[Matrix, Slots]:
        """What the layers see of the numbers, and which row of each table stands for the level."""
        settled = settle(rows, self.schema)
        numbers = settled[:, number_columns(self.schema)]
        missing = np.isnan(numbers)
        scaled = np.clip((np.where(missing, self.middle, numbers) - self.middle) / self.spread, -FARTHEST, FARTHEST)
        levels = settled[:, category_columns(self.schema)]
        last = np.array([len(table) - 1 for table in self.tables], dtype=np.float64)
        slots = np.where(np.isnan(levels), last, levels + 1).astype(np.int64)
        return np.concatenate([scaled, missing.astype(np.float64)], axis=1), slots

    def target_of(self, table: Table) -> Matrix:
        return (table.target - self.target_middle) / self.target_spread

    def with_weights(self, tables: Sequence[Matrix], layers: Sequence[tuple[Matrix, Matrix]]) -> Self:
        """The trained network; an index past the levels answers as an unseen level does."""
        whole = [np.vstack([each[:-2], each[:1], each[-1:]]) for each in tables]
        return replace(self, tables=tuple(whole), layers=tuple(layers))

    def to_bytes(self) -> bytes:
        arrays = {"middle": self.middle, "spread": self.spread}
        arrays["target"] = np.array([self.target_middle, self.target_spread])
        arrays |= {f"table_{at}": table for at, table in enumerate(self.tables)}
        for at, (weights, offset) in enumerate(self.layers):
            arrays |= {f"weights_{at}": weights, f"offset_{at}": offset}
        return pack_arrays(arrays)

    @classmethod
    def from_bytes(cls, content: bytes, schema: Schema) -> Self:
        arrays = unpack_arrays(content)
        try:
            tables = tuple(arrays[f"table_{at}"] for at in range(sum(name.startswith("table_") for name in arrays)))
            depth = sum(name.startswith("weights_") for name in arrays)
            layers = tuple((arrays[f"weights_{at}"], arrays[f"offset_{at}"]) for at in range(depth))
            middle, spread = arrays["target"].tolist()
            return cls(schema, arrays["middle"], arrays["spread"], tables, layers, middle, spread)
        except KeyError as problem:
            raise ArtifactError(f"{FILE} lacks {problem}: it is damaged or of another version; train again") from None

    def save(self, folder: Path) -> None:
        (folder / FILE).write_bytes(self.to_bytes())

    def fast_form(self) -> bytes:
        from families.fastform.graph import Graph

        graph = Graph(self.schema)
        seen = [*self._number_inputs(graph), *self._level_inputs(graph)]
        flow = graph.step("Concat", *seen, axis=1)
        for at, (weights, offset) in enumerate(self.layers):
            flow = graph.step("Add", graph.step("MatMul", flow, graph.constant(weights)), graph.constant(offset))
            if at < len(self.layers) - 1:
                flow = graph.step("Relu", flow)
        if self.schema.task == "regression":
            scaled = graph.step("Mul", flow, graph.constant(self.target_spread))
            return graph.finish(graph.step("Add", scaled, graph.constant(self.target_middle)))
        return graph.finish(graph.answers(flow, len(self.schema.classes), self.schema.task))

    def _number_inputs(self, graph: Any) -> list[str]:
        if not number_columns(self.schema):
            return []
        given = graph.columns(number_columns(self.schema))
        missing = graph.step("IsNaN", given)
        values = graph.step("Where", missing, graph.constant(self.middle), given)
        away = graph.step("Sub", values, graph.constant(self.middle))
        scaled = graph.step("Div", away, graph.constant(self.spread))
        bounded = graph.step("Clip", scaled, graph.constant(-FARTHEST), graph.constant(FARTHEST))
        return [bounded, graph.as_numbers(missing)]

    def _level_inputs(self, graph: Any) -> list[str]:
        places = category_columns(self.schema)
        return [graph.lookup([at], [table]) for at, table in zip(places, self.tables, strict=True)]


def hidden_widths(settings: Mapping[str, Any]) -> list[int]:
    """The widths of the hidden layers, each half of the one before."""
    return [max(2, settings["hidden"] >> at) for at in range(settings["layers"])]


def embedding_width(levels: int) -> int:
    return min(24, 2 + round(levels**0.4))


def hide_some(slots: Slots, rng: np.random.Generator) -> Slots:
    """The levels of an epoch with a few of them hidden as if unseen."""
    return np.where(rng.random(slots.shape) < HIDDEN_LEVELS, 0, slots)


def pack_arrays(arrays: dict[str, Any]) -> bytes:
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


def unpack_arrays(content: bytes) -> dict[str, Any]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
    except (ValueError, OSError, EOFError) as problem:
        raise ArtifactError(f"kept arrays cannot be read: {problem}") from problem
