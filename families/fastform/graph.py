"""Build the fast form: an ONNX graph from the input matrix to answers, in float64 throughout.

The parts here are what the families share: looking a level up in a table, and turning scores into probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from contract.records import Schema, Task
from families.family import Matrix
from families.fast import ANSWERS, ROWS

OPSETS = (helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 5))
IR_VERSION = 10
TREES = "ai.onnx.ml"


class Graph:
    """An ONNX graph in the making; each step answers the name of what it gives."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float64) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype=dtype), name))
        return name

    def step(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def columns(self, at: Sequence[int]) -> str:
        """Some columns of the input matrix, in the given order."""
        if list(at) == list(range(len(self._schema.columns))):
            return ROWS
        return self.step("Gather", ROWS, self.constant(at, np.int64), axis=1)

    def as_numbers(self, truths: str) -> str:
        return self.step("Cast", truths, to=TensorProto.DOUBLE)

    def lookup(self, at: Sequence[int], tables: Sequence[Matrix]) -> str:
        """What each category column's level stands for: [rows, columns * width], each column's values side by side.

        A table has a row per slot: unseen, every level in order, unseen again (an index past the levels), missing.
        """
        sizes = np.array([len(table) - 3 for table in tables], dtype=np.float64)
        starts = np.concatenate([[0.0], np.cumsum(sizes + 3)[:-1]])
        given = self.columns(at)
        known = self.step("Min", self.step("Max", given, self.constant(-1.0)), self.constant(sizes))
        index = self.step("Where", self.step("IsNaN", given), self.constant(sizes + 1), known)
        slot = self.step("Cast", self.step("Add", index, self.constant(starts + 1)), to=TensorProto.INT64)
        width = tables[0].shape[1]
        if width == 1:
            return self.step("Gather", self.constant(np.concatenate(tables)[:, 0]), slot, axis=0)
        found = self.step("Gather", self.constant(np.concatenate(tables)), slot, axis=0)
        return self.step("Reshape", found, self.constant([-1, len(tables) * width], np.int64))

    def answers(self, scores: str, width: int, task: Task) -> str:
        """Scores as answers: one score of two classes through the logistic curve, several through softmax."""
        if task == "regression":
            return scores
        if width > 1:
            return self.step("Softmax", scores, axis=1)
        second = self.step("Sigmoid", scores)
        return self.step("Concat", self.step("Sub", self.constant(1.0), second), second, axis=1)

    def finish(self, answers: str) -> bytes:
        """The whole model, its last step renamed to what a server asks for."""
        last = next(node for node in self._nodes if answers in node.output)
        last.output[0] = ANSWERS
        outputs = len(self._schema.classes) if self._schema.task == "classification" else 1
        graph = helper.make_graph(
            self._nodes,
            "fast form",
            [helper.make_tensor_value_info(ROWS, TensorProto.DOUBLE, [None, len(self._schema.columns)])],
            [helper.make_tensor_value_info(ANSWERS, TensorProto.DOUBLE, [None, outputs])],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=list(OPSETS), ir_version=IR_VERSION, producer_name="slipway")
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))
