"""From a table to what a family takes: the schema that training fixes, and the float64 matrix in its order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from contract.records import Column, Kind, Schema, Task, nearest
from contract.stages import SCHEMA_FILE, SPLITS
from families.family import Matrix, Table

FEW_NUMBERS = 20  # a whole-number target with at most this many values is taken for classes
TEXT = (pl.String, pl.Categorical, pl.Enum)


class FeatureError(Exception):
    """A table cannot become features; the text names the column, what it holds and what was expected."""


def infer_schema(
    frame: pl.DataFrame, target: str, *, task: str = "auto", drop: Sequence[str] = (), categories: Sequence[str] = ()
) -> Schema:
    """What goes in and what comes out, as the training rows show it; `categories` are numbers that mean names."""
    if target not in frame.columns:
        raise FeatureError(
            f"there is no column '{target}' to predict.{nearest(target, frame.columns)} "
            f"The table has: {', '.join(frame.columns)}."
        )
    for option, names in (("drop", drop), ("categories", categories)):
        unknown = [name for name in names if name not in frame.columns]
        if unknown:
            raise FeatureError(
                f"'{option}' names columns that are not there: {', '.join(unknown)}."
                f"{nearest(unknown[0], frame.columns)}"
            )
    inputs = [name for name in frame.columns if name != target and name not in drop]
    if not inputs:
        raise FeatureError(f"besides the target '{target}' no column is left to learn from")
    kind = _task_of(frame[target], task)
    classes = tuple(_classes(frame[target])) if kind == "classification" else ()
    if kind == "classification" and len(classes) < 2:
        raise FeatureError(
            f"the target '{target}' has the single value '{', '.join(classes)}': a classification needs two classes"
        )
    columns = (frame[name].cast(pl.String) if name in categories else frame[name] for name in inputs)
    return Schema(tuple(_column(column) for column in columns), target, kind, classes)


def _task_of(target: pl.Series, task: str) -> Task:
    if task == "classification":
        return "classification"
    if task == "regression":
        if not target.dtype.is_numeric():
            raise FeatureError(f"the target '{target.name}' is {target.dtype}, and a regression predicts a number")
        return "regression"
    whole = target.dtype.is_integer() and target.n_unique() <= FEW_NUMBERS
    return "classification" if whole or not target.dtype.is_numeric() else "regression"


def _classes(target: pl.Series) -> list[str]:
    if target.dtype.is_integer():
        return [str(value) for value in sorted(target.drop_nulls().unique().to_list())]
    return sorted(_as_text(target).drop_nulls().unique().to_list())


def _as_text(column: pl.Series) -> pl.Series:
    if column.dtype.is_float():
        raise FeatureError(f"'{column.name}' holds fractions, and classes are names or whole numbers")
    return column.cast(pl.String)


def _column(column: pl.Series) -> Column:
    kind, missing = _kind_of(column), column.null_count() > 0
    if kind == "category":
        return Column(
            column.name, kind, tuple(sorted(_as_text(column).drop_nulls().unique().to_list())), missing=missing
        )
    numbers = _as_numbers(column)
    present = numbers[~np.isnan(numbers)]
    low, high = (float(present.min()), float(present.max())) if present.size else (None, None)
    return Column(column.name, kind, minimum=low, maximum=high, missing=bool(np.isnan(numbers).any()))


def _kind_of(column: pl.Series) -> Kind:
    if column.dtype == pl.Boolean:
        return "boolean"
    if column.dtype.is_integer():
        return "integer"
    if column.dtype.is_numeric():
        return "number"
    if column.dtype in TEXT:
        return "category"
    raise FeatureError(
        f"'{column.name}' holds {column.dtype}: an input is a number, a truth value or text. "
        "Convert it, or name it in the hyperparameter 'drop'."
    )


def _as_numbers(column: pl.Series) -> Matrix:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)


def encode(frame: pl.DataFrame, schema: Schema) -> Matrix:
    """The input matrix: numbers as they are, missing as NaN, a level as its index and an unknown one as -1."""
    absent = [name for name in schema.names if name not in frame.columns]
    if absent:
        raise FeatureError(f"the table lacks {', '.join(absent)}; it has {', '.join(frame.columns)}")
    rows = np.empty((len(frame), len(schema.columns)), dtype=np.float64)
    for at, column in enumerate(schema.columns):
        rows[:, at] = (
            _levels(frame[column.name], column) if column.is_category else _numbers(frame[column.name], column)
        )
    return rows


def _numbers(values: pl.Series, column: Column) -> Matrix:
    if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
        raise FeatureError(f"'{column.name}' holds {values.dtype}, and training fixed it as {column.kind}")
    return _as_numbers(values)


def _levels(values: pl.Series, column: Column) -> Matrix:
    index = pl.DataFrame({"level": list(column.levels), "index": np.arange(len(column.levels), dtype=np.float64)})
    given = pl.DataFrame({"level": values.cast(pl.String)})
    found = given.join(index, on="level", how="left", maintain_order="left")["index"]
    return pl.select(pl.when(values.is_null()).then(float("nan")).otherwise(found.fill_null(-1.0)).alias("index"))[
        "index"
    ].to_numpy()


def targets(frame: pl.DataFrame, schema: Schema) -> Matrix:
    """One number per row: the class's index, or the value to predict."""
    column = frame[schema.target]
    if schema.task == "regression":
        return _as_numbers(column)
    index = {name: float(at) for at, name in enumerate(schema.classes)}
    unknown = sorted(set(_as_text(column).drop_nulls().unique().to_list()) - set(index))
    if unknown:
        raise FeatureError(
            f"the target '{schema.target}' holds {', '.join(unknown[:5])}, which training never saw. "
            f"Classes: {', '.join(schema.classes)}."
        )
    return _as_text(column).replace_strict(index, default=float("nan"), return_dtype=pl.Float64).to_numpy()


def table(frame: pl.DataFrame, schema: Schema) -> Table:
    """Rows that have a target, encoded."""
    known = frame.filter(pl.col(schema.target).is_not_null())
    return Table(schema, encode(known, schema), targets(known, schema))


def features(splits: Mapping[str, pl.DataFrame], schema: Schema) -> dict[str, Table]:
    """Every split encoded by the schema that the training rows fixed."""
    return {name: table(frame, schema) for name, frame in splits.items()}


def write_features(tables: Mapping[str, Table], folder: Path, data_hash: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    schema = next(iter(tables.values())).schema
    described = {"data_hash": data_hash, "schema": schema.to_json()}
    (folder / SCHEMA_FILE).write_text(json.dumps(described, indent=1) + "\n")
    for name, each in tables.items():
        np.savez(folder / f"{name}.npz", rows=each.rows, target=each.target)


def read_features(folder: Path) -> tuple[dict[str, Table], str]:
    """The encoded splits as they were written, and the hash of the data they came from."""
    described = folder / SCHEMA_FILE
    if not described.is_file():
        raise FeatureError(f"no {SCHEMA_FILE} in '{folder}': the stage `features` writes one")
    given = json.loads(described.read_bytes())
    schema = Schema.from_json(given["schema"])
    tables: dict[str, Table] = {}
    for name in SPLITS:
        if (kept := folder / f"{name}.npz").is_file():
            with np.load(kept, allow_pickle=False) as arrays:
                tables[name] = Table(schema, arrays["rows"], arrays["target"])
    return tables, str(given["data_hash"])
