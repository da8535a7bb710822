"""The fast form of a model: ONNX, one thread, nothing of a training library."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, when it is imported; else it tells its maker of every model
import onnxruntime

from families.artifact import ArtifactError

ROWS = "rows"
ANSWERS = "answers"
ROWS_AT_ONCE = 65_536  # bounds the memory of a large batch; above a few thousand rows larger is not faster
ERRORS_ONLY = 3


class FastModel:
    """Answers from `model.onnx` for the float64 matrix in schema order.

    One thread: a server has a process per core, and threads of several processes on one core only wait for each other.
    """

    def __init__(self, form: Path | bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        content = form if isinstance(form, bytes) else form.read_bytes()
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as problem:  # onnxruntime's exceptions have no common class of their own
            raise ArtifactError(
                f"the fast form cannot be read ({problem}): it is damaged, or made for a newer onnxruntime than "
                f"{onnxruntime.__version__}; pack the artifact again or serve it with the versions of its manifest"
            ) from problem
        self._session = session
        self.columns = int(session.get_inputs()[0].shape[1])
        self.outputs = int(session.get_outputs()[0].shape[1])

    def predict(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Probabilities [rows, classes], or values [rows, 1]."""
        if len(rows) <= ROWS_AT_ONCE:
            return self._answer(rows)
        answers = np.empty((len(rows), self.outputs))
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            answers[part] = self._answer(rows[part])
        return answers

    def _answer(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        answers: Any = self._session.run([ANSWERS], {ROWS: rows})[0]
        return answers  # type: ignore[no-any-return]
