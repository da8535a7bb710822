"""Histogram gradient boosting, scikit-learn's: the first choice for tables; takes missing values as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contract.records import Schema, Task
from families.encoding import feature_places, lookup_tables, settle, target_encoded
from families.estimator import Estimator, fit_in_legs, legs_of
from families.family import QUIET, Journal, Matrix, Table
from families.hyperparameters import Hyperparameter

if TYPE_CHECKING:
    from families.fastform.trees import Tree


CELLS_PER_THREAD = 500_000


def threads_for(cells: int, most: int) -> int:
    """Of a small table, threads wait for each other longer than they work: a few rows grow fastest on one."""
    return max(1, min(most, cells // CELLS_PER_THREAD))


@contextmanager
def threads_worth(cells: int) -> Iterator[None]:
    """As many threads as a table of so many cells keeps busy, of those OpenMP would take."""
    from threadpoolctl import ThreadpoolController

    pools = ThreadpoolController().select(user_api="openmp")
    most = max((each.num_threads for each in pools.lib_controllers), default=1)
    with pools.limit(limits=threads_for(cells, most)):
        yield


class BoostedEstimator(Estimator):
    """The fitted pipeline, which can be written as one tree ensemble."""

    def fast_form(self) -> bytes:
        from families.fastform.graph import Graph
        from families.fastform.trees import add_trees, encoded_rows

        graph, start = Graph(self.schema), self._start()
        rows = encoded_rows(graph, self.pipeline["encode"], self.schema)
        width = start.shape[1]
        scores = graph.step("Add", add_trees(graph, rows, self._trees(), width, "at most"), graph.constant(start))
        return graph.finish(graph.answers(scores, width, self.schema.task))

    def tree_form(self) -> bytes:
        """The model for compiled code, see families/fastform/compiled.py."""
        from families.fastform.compiled import Link, Scoring, tree_form

        start = self._start()
        of_classes: Link = "logistic" if start.size == 1 else "softmax"
        scoring = Scoring(start, "identity" if self.schema.task == "regression" else of_classes)
        return tree_form(self.schema, lookup_tables(self.pipeline["encode"], self.schema), self._trees(), scoring)

    def _start(self) -> Matrix:
        baseline = self.pipeline["model"]._baseline_prediction  # noqa: SLF001 - scikit-learn shows it to nobody
        return np.asarray(baseline, dtype=np.float64).reshape(1, -1)

    def _trees(self) -> list[Tree]:
        places = feature_places(self.pipeline["encode"], self.schema)
        iterations = self.pipeline["model"]._predictors  # noqa: SLF001 - scikit-learn offers no public view of its trees
        return [
            _tree(predictor.nodes, places, target)
            for iteration in iterations
            for target, predictor in enumerate(iteration)
        ]


def _tree(nodes: Any, places: np.ndarray[Any, np.dtype[np.int64]], target: int) -> Tree:
    from families.fastform.trees import Tree

    leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        feature=np.where(leaf, -1, places[np.where(leaf, 0, nodes["feature_idx"])]),
        threshold=nodes["num_threshold"],
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        values=nodes["value"].reshape(-1, 1),
        first_target=target,
    )


class HistGradientBoosting:
    name = "hist_gradient_boosting"
    about = "histogram gradient boosting (scikit-learn)"
    libraries = ("scikit-learn", "numpy", "skops")
    tasks: tuple[Task, ...] = ("classification", "regression")
    tolerance = 1e-9
    quick: Mapping[str, Any] = {"max_iter": 30, "max_leaf_nodes": 7}
    hyperparameters = (
        Hyperparameter("max_iter", "integer", 200, "how many rounds of trees", 1, 5000, search=(50, 500)),
        Hyperparameter(
            "learning_rate", "number", 0.1, "how much each round counts", 1e-4, 1, search=(0.01, 0.3), log=True
        ),
        Hyperparameter("max_leaf_nodes", "integer", 31, "leaves of one tree", 2, 1024, search=(7, 63), log=True),
        Hyperparameter("min_samples_leaf", "integer", 20, "rows a leaf needs", 1, 100_000, search=(5, 200), log=True),
        Hyperparameter("l2_regularization", "number", 0.0, "pull of leaf values to zero", 0, 1e6, search=(0, 10)),
        Hyperparameter("max_features", "number", 1.0, "share of columns a split looks at", 0.01, 1, search=(0.3, 1)),
    )

    def fit(
        self, table: Table, settings: Mapping[str, Any], *, seed: int, journal: Journal = QUIET
    ) -> BoostedEstimator:
        from sklearn.pipeline import Pipeline

        rows = settle(table.rows, table.schema)
        encoder = target_encoded(table, seed=seed)
        features = np.asarray(encoder.fit_transform(rows, table.target), dtype=np.float64)
        target = table.target if table.schema.task == "regression" else table.labels
        beginning = self._begin(table, settings, seed)
        with threads_worth(features.size):
            boosting = fit_in_legs(
                beginning, "max_iter", legs_of(settings["max_iter"]), lambda model: model.fit(features, target), journal
            )
        boosting._bin_mapper.n_threads = 1  # noqa: SLF001 - else the artifact would tell the cores of its machine
        return BoostedEstimator(Pipeline([("encode", encoder), ("model", boosting)]), table.schema)

    def _begin(self, table: Table, settings: Mapping[str, Any], seed: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        kinds = {"classification": HistGradientBoostingClassifier, "regression": HistGradientBoostingRegressor}
        kind = kinds[table.schema.task]
        return kind(**settings, random_state=seed, warm_start=True, early_stopping=False)

    def load(self, folder: Path, schema: Schema) -> BoostedEstimator:
        return BoostedEstimator.load(folder, schema)


FAMILY = HistGradientBoosting()
