"""Random forest, scikit-learn's: many deep trees that vote; hard to get wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contract.records import Schema, Task
from families.encoding import feature_places, lookup_tables, settle, target_encoded
from families.estimator import Estimator, fit_in_legs, legs_of
from families.family import QUIET, Journal, Table
from families.hyperparameters import Hyperparameter

if TYPE_CHECKING:
    from families.fastform.trees import Tree


class ForestEstimator(Estimator):
    """The fitted pipeline, which can be written as one tree ensemble whose votes are divided by the trees."""

    def fast_form(self) -> bytes:
        from families.fastform.graph import Graph
        from families.fastform.trees import add_trees, encoded_rows

        graph, trees = Graph(self.schema), self._trees()
        rows = encoded_rows(graph, self.pipeline["encode"], self.schema, single=True)
        targets = trees[0].values.shape[1]
        votes = add_trees(graph, rows, trees, targets, "at most")
        share = graph.step("Div", votes, graph.constant(float(len(trees))))
        if len(self.schema.classes) == 2:
            share = graph.step("Concat", graph.step("Sub", graph.constant(1.0), share), share, axis=1)
        return graph.finish(share)

    def tree_form(self) -> bytes:
        """The model for compiled code, see families/fastform/compiled.py."""
        from families.fastform.compiled import Scoring, tree_form

        trees, tables = self._trees(), lookup_tables(self.pipeline["encode"], self.schema)
        start = np.zeros(trees[0].values.shape[1])
        link = "complement" if len(self.schema.classes) == 2 else "identity"
        return tree_form(self.schema, tables, trees, Scoring(start, link, divisor=float(len(trees)), single=True))

    def _trees(self) -> list[Tree]:
        places = feature_places(self.pipeline["encode"], self.schema)
        return [_tree(each.tree_, places) for each in self.pipeline["model"].estimators_]


def _tree(tree: Any, places: np.ndarray[Any, np.dtype[np.int64]]) -> Tree:
    from families.fastform.trees import Tree

    leaf = tree.children_left < 0
    values = tree.value[:, 0, :]
    return Tree(
        feature=np.where(leaf, -1, places[np.where(leaf, 0, tree.feature)]),
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        missing_left=np.asarray(tree.missing_go_to_left, dtype=bool),
        values=values[:, 1:] if values.shape[1] == 2 else values,
    )


class RandomForest:
    name = "random_forest"
    about = "random forest (scikit-learn)"
    libraries = ("scikit-learn", "numpy", "skops")
    tasks: tuple[Task, ...] = ("classification", "regression")
    tolerance = 1e-9
    quick: Mapping[str, Any] = {"n_estimators": 12, "max_depth": 6}
    hyperparameters = (
        Hyperparameter("n_estimators", "integer", 100, "how many trees", 1, 5000, search=(50, 300)),
        Hyperparameter("max_depth", "integer", 14, "how deep a tree may be", 1, 64, search=(4, 20)),
        Hyperparameter("min_samples_leaf", "integer", 5, "rows a leaf needs", 1, 100_000, search=(1, 50), log=True),
        Hyperparameter("max_features", "number", 0.3, "share of columns a split looks at", 0.01, 1, search=(0.1, 1)),
    )

    def fit(self, table: Table, settings: Mapping[str, Any], *, seed: int, journal: Journal = QUIET) -> ForestEstimator:
        from sklearn.pipeline import Pipeline

        encoder = target_encoded(table, seed=seed)
        features = encoder.fit_transform(settle(table.rows, table.schema), table.target)
        target = table.target if table.schema.task == "regression" else table.labels
        forest = fit_in_legs(
            self._begin(table, settings, seed),
            "n_estimators",
            legs_of(settings["n_estimators"]),
            lambda model: model.fit(features, target),
            journal,
        )
        forest.set_params(n_jobs=None)  # votes added by several threads come in any order, and rounding shows it
        return ForestEstimator(Pipeline([("encode", encoder), ("model", forest)]), table.schema)

    def _begin(self, table: Table, settings: Mapping[str, Any], seed: int) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        kinds = {"classification": RandomForestClassifier, "regression": RandomForestRegressor}
        return kinds[table.schema.task](**settings, random_state=seed, warm_start=True, n_jobs=-1)

    def load(self, folder: Path, schema: Schema) -> ForestEstimator:
        return ForestEstimator.load(folder, schema)


FAMILY = RandomForest()
