"""application/json: one document with a prediction per row, and the classes its probabilities are in the order of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inference.predictions import Predictions

MEDIA_TYPES = ("application/json",)
_to_json = msgspec.json.Encoder().encode


def encode(predictions: Predictions, parameters: Mapping[str, str]) -> bytes:
    del parameters
    told = of_rows(predictions)
    if predictions.is_classification and predictions.output != "labels":
        return _to_json({"predictions": told, "classes": predictions.schema.classes})
    return _to_json({"predictions": told})


def of_rows(predictions: Predictions, start: int = 0, stop: int | None = None) -> list[dict[str, Any]]:
    """One object per row; `value` of a regression, `label` and `probabilities` of a classification."""
    some = Predictions(predictions.values[start:stop], predictions.schema, predictions.output)
    if not some.is_classification:
        return [{"value": value} for value in some.values[:, 0].tolist()]
    if some.output == "labels":
        return [{"label": label} for label in some.labels]
    if some.output == "probabilities":
        return [{"probabilities": each} for each in some.values.tolist()]
    pairs = zip(some.labels, some.values.tolist(), strict=True)
    return [{"label": label, "probabilities": each} for label, each in pairs]
