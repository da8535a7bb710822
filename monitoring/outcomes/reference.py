"""What quality is compared with: the model's own on labelled data it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import polars as pl

from contract.records import RecordError, Schema, known_fields
from monitoring.outcomes.attribution import reliance
from monitoring.outcomes.decay import Misses, misses_by_class, misses_of_numbers
from monitoring.outcomes.estimate import AS_GIVEN, Calibrator
from monitoring.outcomes.join import OUTCOME, PREDICTED, PROBABILITY
from monitoring.outcomes.measures import Array, Measure, Truth, of_classes, of_numbers

VERSION = 1
FILE = "reference.json"
USUAL = 0.9
"""The share of the reference's errors within what is called usual; beyond it an error of a regression is a miss."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Measures, misses per class, the usual error of a regression, and how honest probabilities are."""

    measures: Mapping[str, Measure]
    misses: Mapping[str, Misses]
    usual_error: float | None = None
    calibrator: Calibrator = AS_GIVEN
    reliance: Mapping[str, float] | None = None
    """How much of the prediction each input explains, where the labelled rows had the inputs."""

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "measures": {name: each.to_json() for name, each in self.measures.items()},
            "misses": {name: {"n": each.n, "misses": each.misses} for name, each in self.misses.items()},
            "usual_error": self.usual_error,
            "calibrator": self.calibrator.to_json(),
            "reliance": None if self.reliance is None else dict(self.reliance),
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        if given.get("version") != VERSION:
            raise RecordError(
                f"a quality reference of version {given.get('version')!r}, this program reads {VERSION}: make it again"
            )
        fields = known_fields(cls, {name: value for name, value in given.items() if name != "version"})
        return cls(
            {name: Measure(**known_fields(Measure, each)) for name, each in fields["measures"].items()},
            {name: Misses(**known_fields(Misses, each)) for name, each in fields["misses"].items()},
            fields["usual_error"],
            Calibrator.from_json(fields["calibrator"]),
            fields.get("reliance"),
        )


def reference_of(known: pl.DataFrame, schema: Schema) -> Reference:
    """From predictions whose outcome is known; with their inputs, if they are there."""
    found = _quality_of(known, schema)
    if set(schema.names) - set(known.columns):
        return found
    return replace(found, reliance=dict(zip(schema.names, reliance(*inputs_of(known, schema)).tolist(), strict=True)))


def _quality_of(known: pl.DataFrame, schema: Schema) -> Reference:
    if not known.height:
        raise RecordError("no labelled rows: a quality reference needs predictions with their outcomes")
    found = measures_of(known, schema)
    if schema.task == "regression":
        predicted, actual = numbers_of(known)
        usual = float(np.quantile(np.abs(predicted - actual), USUAL))
        return Reference(found, misses_of_numbers(predicted, actual, usual), usual)
    misses = misses_by_class(*labels_of(known), schema.classes)
    chance, right = confidence_of(known, schema)
    return Reference(found, misses, None, Calibrator.learn(chance, right))


def inputs_of(frame: pl.DataFrame, schema: Schema) -> tuple[Array, Array, Truth]:
    """Inputs as numbers (codes for levels), what the model answered as a number, and which are categories."""
    columns = [
        frame[each.name].cast(pl.String).rank("dense").cast(pl.Float64)
        if each.is_category
        else frame[each.name].cast(pl.Float64, strict=False)
        for each in schema.columns
    ]
    matrix = np.column_stack([each.to_numpy().astype(np.float64) for each in columns])
    answer = frame[PREDICTED if schema.task == "regression" or not frame[PROBABILITY].count() else PROBABILITY]
    if schema.task == "classification" and answer.dtype == pl.String:
        answer = answer == schema.classes[-1]
    told = answer.cast(pl.Float64, strict=False).to_numpy().astype(np.float64)
    known = np.isfinite(told)
    return matrix[known], told[known], np.array([each.is_category for each in schema.columns])


def measures_of(known: pl.DataFrame, schema: Schema) -> dict[str, Measure]:
    """Every measure of the task on joined rows."""
    if schema.task == "regression":
        return of_numbers(*numbers_of(known))
    chance = known[PROBABILITY].to_numpy().astype(np.float64) if known[PROBABILITY].count() else None
    return of_classes(*labels_of(known), chance, schema.classes)


def misses_of(known: pl.DataFrame, schema: Schema, reference: Reference) -> dict[str, Misses]:
    """Misses per class of joined rows, counted as the reference counts them."""
    if schema.task == "regression":
        return misses_of_numbers(*numbers_of(known), reference.usual_error or 0.0)
    return misses_by_class(*labels_of(known), schema.classes)


def labels_of(known: pl.DataFrame) -> tuple[Any, Any]:
    """Predicted and actual classes."""
    return tuple(known[name].fill_null("").to_numpy().astype(np.str_) for name in (PREDICTED, OUTCOME))  # type: ignore[return-value]


def numbers_of(known: pl.DataFrame) -> tuple[Any, Any]:
    """Predicted and actual numbers, rows where either is none left out."""
    both = known.select(pl.col(PREDICTED, OUTCOME).cast(pl.Float64, strict=False)).drop_nulls()
    both = both.filter(pl.all_horizontal(pl.all().is_finite()))
    return both[PREDICTED].to_numpy(), both[OUTCOME].to_numpy()


def confidence_of(known: pl.DataFrame, schema: Schema) -> tuple[Any, Any]:
    """The probability given, and whether what it speaks of was so: the last of two classes, else the predicted one."""
    given = known.filter(pl.col(PROBABILITY).is_not_null())
    so = given[OUTCOME] == schema.classes[-1] if len(schema.classes) == 2 else given[PREDICTED] == given[OUTCOME]
    return given[PROBABILITY].to_numpy(), so.fill_null(value=False).to_numpy()


def labelled(frame: pl.DataFrame, schema: Schema, name: str) -> pl.DataFrame:
    """The columns a reference is made from, of the rows whose target is known and one of the classes."""
    missing = [each for each in (PREDICTED, schema.target) if each not in frame.columns]
    if missing:
        raise RecordError(f"{name} has no column {' or '.join(missing)}; it has {', '.join(frame.columns[:20])}")
    probability = pl.col(PROBABILITY) if PROBABILITY in frame.columns else pl.lit(None)
    rows = frame.select(
        pl.col(PREDICTED).cast(pl.String),
        probability.cast(pl.Float64).alias(PROBABILITY),
        pl.col(schema.target).cast(pl.String).alias(OUTCOME),
        *(pl.col(each) for each in schema.names if not set(schema.names) - set(frame.columns)),
    ).drop_nulls(OUTCOME)
    return rows.filter(pl.col(OUTCOME).is_in(list(schema.classes))) if schema.classes else rows
