"""What a model answered, as columns: the same two for every model, so that the same metrics judge them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from contract.records import Column, RecordError, Schema

PREDICTED = "predicted"
PROBABILITY = "predicted_probability"  # of the last class when there are two, else of the predicted one


def columns(schema: Schema) -> tuple[Column, ...]:
    """The prediction columns of a model."""
    taken = {PREDICTED, PROBABILITY} & set(schema.names)
    if taken:
        raise RecordError(
            f"the schema has an input named {' and '.join(sorted(taken))}: the monitor keeps that name for what "
            "the model answers. Rename the input."
        )
    if schema.task == "regression":
        return (Column(PREDICTED, "number"),)
    return (Column(PREDICTED, "category", levels=schema.classes), Column(PROBABILITY, "number"))


def of_probabilities(values: Sequence[float], classes: Sequence[str]) -> tuple[str, float]:
    """The predicted class, and the probability that stands for the answer."""
    best = max(range(len(values)), key=values.__getitem__)
    return classes[best], float(values[-1] if len(classes) == 2 else values[best])


def as_float(value: Any) -> float:
    """A number as JSON may write it; a whole number beyond every float is infinite, as the same number with a point is.

    >>> as_float(-(10**400))
    -inf
    """
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def from_fields(fields: Sequence[str], schema: Schema) -> tuple[Any, ...] | None:
    """One CSV line of an answer: a value; a label; probabilities; or a label and probabilities."""
    if schema.task == "regression":
        return (fields[0],) if len(fields) == 1 else None
    classes = schema.classes
    if len(fields) == 1:
        return _label_or_number(fields[0], classes)
    label = fields[0] if len(fields) == len(classes) + 1 else None
    if label is None and len(fields) != len(classes):
        return None
    try:
        predicted, probability = of_probabilities([float(each) for each in fields[-len(classes) :]], classes)
    except ValueError:
        return None
    return label if label is not None else predicted, probability


def _label_or_number(field: str, classes: Sequence[str]) -> tuple[Any, ...] | None:
    """A lone field: a class, or the probability of the last of two (as XGBoost's container answers)."""
    if field in classes or len(classes) != 2:
        return (field, None)
    try:
        value = float(field)
    except ValueError:
        return (field, None)
    return of_probabilities([1 - value, value], classes)


def from_record(record: Any, schema: Schema) -> tuple[Any, ...] | None:
    """One prediction of a JSON answer: an object, a list of probabilities, or a single value."""
    if isinstance(record, Mapping):
        return _from_object(record, schema)
    if isinstance(record, list):
        return from_fields([str(each) for each in record], schema)
    return None if record is None else from_fields([_text(record)], schema)


def _from_object(record: Mapping[str, Any], schema: Schema) -> tuple[Any, ...] | None:
    if schema.task == "regression":
        value = next((record[name] for name in ("value", "prediction", "score") if name in record), None)
        return None if value is None else (value,)
    label = next((record[name] for name in ("label", "predicted_label", "prediction") if name in record), None)
    given = next((record[name] for name in ("probabilities", "probability", "score") if name in record), None)
    if isinstance(given, list) and len(given) == len(schema.classes):
        predicted, probability = of_probabilities([as_float(each) for each in given], schema.classes)
        return predicted if label is None else _text(label), probability
    if isinstance(given, int | float) and len(schema.classes) == 2:
        predicted, probability = of_probabilities([1 - as_float(given), as_float(given)], schema.classes)
        return predicted if label is None else _text(label), probability
    return None if label is None else (_text(label), None)


def _text(value: Any) -> str:
    """A class as the schema spells it: whole numbers without a point, truth values as JSON does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
