"""What the model said about the rows of one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from contract.records import Schema
from inference.refusals import RequestError
from inference.settings import Output


@dataclass(frozen=True, slots=True)
class Predictions:
    """Probabilities [rows, classes] of a classification, or values [rows, 1] of a regression; and which to tell."""

    values: npt.NDArray[np.float64]
    schema: Schema
    output: Output = "both"

    @property
    def is_classification(self) -> bool:
        return self.schema.task == "classification"

    @property
    def labels(self) -> list[str]:
        """The most probable class of each row."""
        classes = self.schema.classes
        return [classes[at] for at in self.values.argmax(axis=1).tolist()]

    def __len__(self) -> int:
        return len(self.values)


def output_named(name: str, schema: Schema) -> Output:
    for known in get_args(Output):
        if name == known:
            if known == "labels" and schema.task == "regression":
                raise RequestError(
                    "output=labels: the model is a regression, which has values only", code="bad_parameter"
                )
            return known
    raise RequestError(f"output={name}: expected one of {', '.join(get_args(Output))}", code="bad_parameter")
