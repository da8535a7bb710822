"""Trees as the fast form holds them: the arrays of one ONNX TreeEnsemble, thresholds in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, numpy_helper

from contract.records import Schema
from families.encoding import category_columns, lookup_tables
from families.family import Matrix
from families.fast import ROWS
from families.fastform.graph import TREES, Graph

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

Comparison = Literal["at most", "below"]
MODES = {"at most": 0, "below": 1}
SUM = 1


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree: for each node where it splits and goes; a leaf has no feature (-1) and a row of values.

    A row goes left where its value is at most (or below) the threshold, and where it is missing and the node says so.
    """

    feature: npt.NDArray[np.int64]
    threshold: Matrix
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    missing_left: npt.NDArray[np.bool_]
    values: Matrix
    first_target: int = 0


def encoded_rows(graph: Graph, encoder: ColumnTransformer, schema: Schema, *, single: bool = False) -> str:
    """The input matrix with what its levels stand for behind it; `single` rounds to float32 as some libraries do."""
    tables = lookup_tables(encoder, schema)
    rows = ROWS
    if tables:
        rows = graph.step("Concat", ROWS, graph.lookup(category_columns(schema), tables), axis=1)
    if single:
        rows = graph.step("Cast", graph.step("Cast", rows, to=TensorProto.FLOAT), to=TensorProto.DOUBLE)
    return rows


def add_trees(graph: Graph, rows: str, trees: Sequence[Tree], targets: int, comparison: Comparison) -> str:
    """The sum of all trees' leaf values per target, [rows, targets]."""
    arrays = _Arrays()
    for tree in trees:
        arrays.add(tree)
    return graph.step(
        "TreeEnsemble",
        rows,
        domain=TREES,
        n_targets=targets,
        aggregate_function=SUM,
        post_transform=0,
        nodes_featureids=arrays.features,
        nodes_splits=numpy_helper.from_array(np.array(arrays.splits, dtype=np.float64)),
        nodes_modes=numpy_helper.from_array(np.full(len(arrays.features), MODES[comparison], dtype=np.uint8)),
        nodes_truenodeids=arrays.left,
        nodes_trueleafs=arrays.left_is_leaf,
        nodes_falsenodeids=arrays.right,
        nodes_falseleafs=arrays.right_is_leaf,
        nodes_missing_value_tracks_true=arrays.missing_left,
        leaf_targetids=arrays.leaf_targets,
        leaf_weights=numpy_helper.from_array(np.array(arrays.leaf_weights, dtype=np.float64)),
        tree_roots=arrays.roots,
    )


class _Arrays:
    def __init__(self) -> None:
        self.features: list[int] = []
        self.splits: list[float] = []
        self.left: list[int] = []
        self.left_is_leaf: list[int] = []
        self.right: list[int] = []
        self.right_is_leaf: list[int] = []
        self.missing_left: list[int] = []
        self.leaf_targets: list[int] = []
        self.leaf_weights: list[float] = []
        self.roots: list[int] = []

    def add(self, tree: Tree) -> None:
        """Add a tree once per value of its leaves: a leaf of this operator holds one value of one target."""
        for column in range(tree.values.shape[1]):
            self._add_for_target(tree, tree.first_target + column, tree.values[:, column])

    def _add_for_target(self, tree: Tree, target: int, values: Matrix) -> None:
        if tree.feature[0] < 0:
            self._add_lone_leaf(target, float(values[0]))
            return
        splits, leaves = np.flatnonzero(tree.feature >= 0), np.flatnonzero(tree.feature < 0)
        place = np.empty(len(tree.feature), dtype=np.int64)
        place[splits] = len(self.features) + np.arange(len(splits))
        place[leaves] = len(self.leaf_targets) + np.arange(len(leaves))
        is_leaf = tree.feature < 0
        self.roots.append(int(place[0]))
        left, right = tree.left[splits], tree.right[splits]
        self.features += tree.feature[splits].tolist()
        self.splits += tree.threshold[splits].tolist()
        self.left += place[left].tolist()
        self.left_is_leaf += is_leaf[left].astype(int).tolist()
        self.right += place[right].tolist()
        self.right_is_leaf += is_leaf[right].astype(int).tolist()
        self.missing_left += tree.missing_left[splits].astype(int).tolist()
        self.leaf_targets += [target] * len(leaves)
        self.leaf_weights += values[leaves].tolist()

    def _add_lone_leaf(self, target: int, value: float) -> None:
        """A tree that never splits: the operator wants a root that splits, so both of its ways give the value."""
        leaf = len(self.leaf_targets)
        self.roots.append(len(self.features))
        self.features.append(0)
        self.splits.append(0.0)
        self.left += [leaf]
        self.left_is_leaf += [1]
        self.right += [leaf + 1]
        self.right_is_leaf += [1]
        self.missing_left.append(0)
        self.leaf_targets += [target, target]
        self.leaf_weights += [value, value]
