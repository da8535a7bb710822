"""application/x-npy: the probabilities or values as float64, or with `output=labels` an array of texts."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from inference.predictions import Predictions

MEDIA_TYPES = ("application/x-npy",)


def encode(predictions: Predictions, parameters: Mapping[str, str]) -> bytes:
    del parameters
    told = io.BytesIO()
    by_label = predictions.output == "labels" and predictions.is_classification
    array = np.array(predictions.labels, dtype=np.str_) if by_label else predictions.values
    np.save(told, array, allow_pickle=False)
    return told.getvalue()
