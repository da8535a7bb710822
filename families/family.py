"""What a model family is: a small protocol, and the values that pass through it.

A family file defines `FAMILY`, an object with the attributes of `Family`. It imports its library inside its functions,
so that looking at what exists never loads a training library.

The input of every model is one float64 matrix in schema order: numbers as they are with NaN for missing; a category
column holds the index of its level, NaN for missing and -1 for a level that training never saw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from contract.records import Schema, Task
from families.hyperparameters import Hyperparameter

Matrix = npt.NDArray[np.float64]


class FamilyError(Exception):
    """A family cannot do what was asked; the text says what was given, what it needs and what to do."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows to learn from: the input matrix and one target per row (a class's index, or a number)."""

    schema: Schema
    rows: Matrix
    target: Matrix

    def __post_init__(self) -> None:
        check_rows(self.rows, self.schema)
        if self.target.shape != (len(self.rows),):
            raise FamilyError(
                f"the target has shape {self.target.shape}, the rows {self.rows.shape}: expected one target per row"
            )
        if not np.isfinite(self.target).all():
            at = int(np.flatnonzero(~np.isfinite(self.target))[0])
            raise FamilyError(
                f"the target '{self.schema.target}' of row {at} is {self.target[at]}: a row without a target teaches "
                "nothing; drop such rows before fitting"
            )
        if self.schema.task == "classification":
            self._check_classes()

    def _check_classes(self) -> None:
        known = len(self.schema.classes)
        wrong = np.flatnonzero((self.target < 0) | (self.target >= known) | (self.target % 1 != 0))
        if wrong.size:
            at = int(wrong[0])
            raise FamilyError(
                f"the target of row {at} is {self.target[at]}: a classification's target is the index of a class, "
                f"0 to {known - 1} ({', '.join(self.schema.classes)})"
            )

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """The target of a classification as class indices."""
        return self.target.astype(np.int64)


def check_rows(rows: Matrix, schema: Schema) -> None:
    """Refuse what is no input matrix of this schema, saying how it differs."""
    if rows.dtype != np.float64:
        raise FamilyError(
            f"the rows are {rows.dtype}, expected float64: encode categories as level indices and convert the numbers"
        )
    if rows.ndim != 2:
        raise FamilyError(f"the rows have {rows.ndim} dimension(s), expected 2: one row per case, one column per input")
    if rows.shape[1] != len(schema.columns):
        raise FamilyError(
            f"the rows have {rows.shape[1]} columns, the schema has {len(schema.columns)}: {', '.join(schema.names)}"
        )


class Journal(Protocol):
    """What a long fit tells the outside and what it may ask for."""

    def resume(self) -> bytes | None:
        """The state the last checkpoint of this same run kept, if there is one."""
        ...

    def checkpoint(self, done: int, of: int, state: Callable[[], bytes], scores: Mapping[str, float]) -> None:
        """Hear that `done` of `of` rounds are behind us; may keep the state, and may raise to end the fit."""
        ...


class Quiet:
    """A journal that keeps nothing and never ends a fit."""

    def resume(self) -> None:
        return None

    def checkpoint(self, done: int, of: int, state: Callable[[], bytes], scores: Mapping[str, float]) -> None:
        pass


QUIET: Journal = Quiet()


class Model(Protocol):
    """A fitted family."""

    def predict(self, rows: Matrix) -> Matrix:
        """Probabilities per class [rows, classes], or values [rows, 1], from the training library itself."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model in its own form; the same model gives the same bytes."""
        ...

    def fast_form(self) -> bytes | None:
        """The model as ONNX from input matrix to answers, or None where there is no exact one."""
        ...


@runtime_checkable
class TreeEnsemble(Protocol):
    """A model made of trees, which compiled code can answer too."""

    def tree_form(self) -> bytes:
        """The same model as the fast form, as families/fastform/compiled.py writes it."""
        ...


class Family(Protocol):
    """A kind of model: how it is fitted and loaded, what can be set, and what it needs installed."""

    @property
    def name(self) -> str: ...

    @property
    def about(self) -> str: ...

    @property
    def libraries(self) -> tuple[str, ...]:
        """The distributions that fit it; their versions go into the manifest."""
        ...

    @property
    def tasks(self) -> tuple[Task, ...]: ...

    @property
    def hyperparameters(self) -> tuple[Hyperparameter, ...]: ...

    @property
    def quick(self) -> Mapping[str, Any]:
        """Hyperparameters of a fit that takes a moment: for a first look, and for tests."""
        ...

    @property
    def tolerance(self) -> float:
        """How far a probability of the fast form may be from the library's own."""
        ...

    def fit(self, table: Table, settings: Mapping[str, Any], *, seed: int, journal: Journal = QUIET) -> Model: ...

    def load(self, folder: Path, schema: Schema) -> Model: ...
