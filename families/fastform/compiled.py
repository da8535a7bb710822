"""Trees as arrays for the compiled evaluator: the same model as the ONNX form, several times faster on many rows.

    nodes      threshold, feature, left: the right child follows the left; a leaf is its own left child
    leaves     the value of each node that is a leaf
    roots, depths, targets    of each tree: its first node, its longest way, the score it adds to
    features   what nodes compare: a column or what its levels stand for; and what stands in for a missing value
    tables     the lookup tables of the categories, one after the other
    start      added to the scores, after they were divided by `divisor`

A missing value is taken for minus or plus infinity, whichever goes the way the tree sends it; so a feature stands here
once for each way it is used.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from contract.records import Schema
from families.encoding import category_columns
from families.family import Matrix
from families.fastform.trees import Tree
from families.forest import FEATURE, LINKS, NODE

Link = Literal["identity", "logistic", "softmax", "complement"]
LARGEST = np.finfo(np.float64).max


@dataclass(frozen=True, slots=True)
class Scoring:
    """What is made of the sums of the leaves."""

    start: Matrix
    link: Link
    divisor: float = 1.0
    single: bool = False


def tree_form(schema: Schema, tables: Sequence[Matrix], trees: Sequence[Tree], scoring: Scoring) -> bytes:
    """The arrays as one .npz file; the same model gives the same bytes."""
    arrays = _Arrays(schema, tables)
    for tree in trees:
        for column in range(tree.values.shape[1]):
            arrays.add(tree, tree.values[:, column], tree.first_target + column)
    outputs = len(schema.classes) or 1
    packed = io.BytesIO()
    np.savez(
        packed,
        nodes=np.array(arrays.nodes, dtype=NODE),
        leaves=np.array(arrays.leaves, dtype=np.float64),
        roots=np.array(arrays.roots, dtype=np.uint32),
        depths=np.array(arrays.depths, dtype=np.uint32),
        targets=np.array(arrays.targets, dtype=np.uint32),
        features=np.array(arrays.features, dtype=FEATURE),
        tables=np.concatenate([table.ravel() for table in tables]) if tables else np.zeros(0),
        start=np.asarray(scoring.start, dtype=np.float64).ravel(),
        shape=np.array([len(schema.columns), outputs, LINKS.index(scoring.link), scoring.single], dtype=np.int64),
        divisor=np.array([scoring.divisor]),
    )
    return packed.getvalue()


@dataclass(slots=True)
class _Arrays:
    schema: Schema
    tables: Sequence[Matrix]
    nodes: list[tuple[float, int, int]] = field(default_factory=list)
    leaves: list[float] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    features: list[tuple[float, int, int, int, int]] = field(default_factory=list)
    _known: dict[tuple[int, bool], int] = field(default_factory=dict)

    def add(self, tree: Tree, values: Matrix, target: int) -> None:
        self.roots.append(self._reserve(1))
        self.targets.append(target)
        waiting, deepest = [(0, self.roots[-1], 0)], 0
        while waiting:
            at, place, depth = waiting.pop()
            deepest = max(deepest, depth)
            if tree.feature[at] < 0:
                self.nodes[place] = (np.inf, 0, place)
                self.leaves[place] = float(values[at])
                continue
            left = self._reserve(2)
            feature = self._feature(int(tree.feature[at]), bool(tree.missing_left[at]))
            self.nodes[place] = (min(float(tree.threshold[at]), LARGEST), feature, left)
            waiting += [(int(tree.left[at]), left, depth + 1), (int(tree.right[at]), left + 1, depth + 1)]
        self.depths.append(deepest)
        if not self.features:
            self._feature(0, False)  # a forest of lone leaves compares nothing, yet each node names a feature

    def _reserve(self, count: int) -> int:
        place = len(self.nodes)
        self.nodes += [(0.0, 0, 0)] * count
        self.leaves += [0.0] * count
        return place

    def _feature(self, place: int, missing_left: bool) -> int:
        """The number of a feature for nodes that send missing values that way."""
        if (place, missing_left) not in self._known:
            self._known[place, missing_left] = len(self.features)
            self.features.append((-np.inf if missing_left else np.inf, *self._source(place)))
        return self._known[place, missing_left]

    def _source(self, place: int) -> tuple[int, int, int, int]:
        """Table, stride, levels and column of a place of the encoded row; see families.encoding.feature_places."""
        if place < len(self.schema.columns):
            return -1, 1, 0, place
        stride = self.tables[0].shape[1]
        at, within = divmod(place - len(self.schema.columns), stride)
        begins = sum(table.size for table in self.tables[:at])
        return begins + within, stride, len(self.tables[at]) - 3, category_columns(self.schema)[at]
