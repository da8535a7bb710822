"""The tree form of a model: arrays of trees, answered by compiled code; see families/fastform/compiled.py."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from families.artifact import ArtifactError
from families.family import Matrix

DOUBLE = np.dtype(np.float64)
NODE = np.dtype([("threshold", "<f8"), ("feature", "<u4"), ("left", "<u4")])
FEATURE = np.dtype([("missing", "<f8"), ("table", "<i8"), ("stride", "<i8"), ("levels", "<i8"), ("column", "<i8")])
LINKS = ("identity", "logistic", "softmax", "complement")
ARRAYS = ("nodes", "leaves", "roots", "depths", "targets", "features", "tables", "start")

try:
    from families._trees import Forest
except ImportError:  # no compiler when this was set up: the ONNX form answers instead
    Forest = None


def is_compiled() -> bool:
    """Whether tree forms can be answered here."""
    return Forest is not None


class TreeModel:
    """Answers from `model.trees` for the float64 matrix in schema order."""

    def __init__(self, form: Path | bytes) -> None:
        if Forest is None:
            raise ArtifactError("the compiled evaluator of trees was not built here; use the ONNX form")
        try:
            arrays = _read(form)
            self.columns, self.outputs, link, single = (int(each) for each in arrays["shape"])
            start = arrays["start"]
            settings = (self.columns, len(start), self.outputs, float(arrays["divisor"][0]), link, bool(single))
            forest = Forest(*(arrays[name] for name in ARRAYS), *settings)
        except (ValueError, KeyError, OSError, TypeError, zipfile.BadZipFile) as problem:
            raise ArtifactError(
                f"the tree form cannot be read ({problem}): it is damaged; pack the artifact again"
            ) from problem
        self._predict = forest.predict
        self.answer_row = forest.answer_row  # what `predict` says of the one row that a buffer begins with

    def predict(self, rows: Matrix) -> Matrix:
        """Probabilities [rows, classes], or values [rows, 1]; the same for a row whatever rows stand beside it."""
        answers = np.empty((len(rows), self.outputs))
        if rows.dtype is not DOUBLE or not rows.flags.c_contiguous:
            rows = np.ascontiguousarray(rows, dtype=np.float64)
        if rows.shape[1:] != (self.columns,):
            raise ValueError(f"the rows have shape {rows.shape}, expected (rows, {self.columns})")
        self._predict(rows, answers)
        return answers


def _read(form: Path | bytes) -> dict[str, Any]:
    content = io.BytesIO(form) if isinstance(form, bytes) else form
    with np.load(content, allow_pickle=False) as arrays:
        return {name: np.ascontiguousarray(arrays[name]) for name in arrays.files}
