"""Logistic regression, scikit-learn's: the simplest model that can be trusted, and a baseline for every other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from contract.records import Schema, Task
from families.encoding import category_columns, number_columns, settle, slots
from families.estimator import Estimator
from families.family import QUIET, Journal, Matrix, Table
from families.hyperparameters import Hyperparameter

FARTHEST = 10.0  # standard deviations; what lies beyond counts as this far, so one wild number decides nothing


class LinearEstimator(Estimator):
    """The fitted pipeline; in the fast form each level is a number to add, so a thousand levels cost one look-up."""

    def fast_form(self) -> bytes:
        from families.fastform.graph import Graph

        graph, regression = Graph(self.schema), self.pipeline["model"]
        weights = np.asarray(regression.coef_, dtype=np.float64).T
        scores = graph.constant(np.asarray(regression.intercept_, dtype=np.float64).reshape(1, -1))
        if number_columns(self.schema):
            scores = graph.step("Add", self._numbers(graph, weights), scores)
        if category_columns(self.schema):
            scores = graph.step("Add", self._levels(graph, weights), scores)
        return graph.finish(graph.answers(scores, weights.shape[1], self.schema.task))

    def contributions(self, rows: Matrix) -> Matrix:
        """Each column's share of the scores, against the mean of the given rows: exact for a linear model."""
        encoded = self.pipeline["encode"].transform(settle(rows, self.schema))
        weights = np.asarray(self.pipeline["model"].coef_, dtype=np.float64).T
        shares = np.zeros((len(rows), len(self.schema.columns)))
        for column, at in self._encoded_columns():
            added = np.asarray(encoded[:, at] @ weights[at])
            shares[:, column] = np.abs(added - added.mean(axis=0)).mean(axis=1)
        return shares

    def _encoded_columns(self) -> Iterator[tuple[int, list[int]]]:
        """Which encoded columns stand for each input."""
        encoder, numbers = self.pipeline["encode"], number_columns(self.schema)
        begin = encoder.output_indices_["numbers"].start if numbers else 0
        marked = self._marked()
        for order, column in enumerate(numbers):
            marks = [begin + len(numbers) + marked.index(order)] if order in marked else []
            yield column, [begin + order, *marks]
        for column in category_columns(self.schema):
            part = encoder.output_indices_[f"levels_{column}"]
            yield column, list(range(part.start, part.stop))

    def _marked(self) -> list[int]:
        """The numbers (by their order) that have a mark for being missing."""
        if not number_columns(self.schema):
            return []
        indicator = self.pipeline["encode"].named_transformers_["numbers"]["fill"].indicator_
        return [] if indicator is None else [int(at) for at in indicator.features_]

    def _numbers(self, graph: Any, weights: Matrix) -> str:
        encoder = self.pipeline["encode"]
        imputer, scaler = (encoder.named_transformers_["numbers"][name] for name in ("fill", "scale"))
        given = graph.columns(number_columns(self.schema))
        missing = graph.step("IsNaN", given)
        values = graph.step("Where", missing, graph.constant(imputer.statistics_), given)
        if self._marked():
            picked = graph.step("Gather", missing, graph.constant(self._marked(), np.int64), axis=1)
            values = graph.step("Concat", values, graph.as_numbers(picked), axis=1)
        scaled = graph.step(
            "Div", graph.step("Sub", values, graph.constant(scaler.mean_)), graph.constant(scaler.scale_)
        )
        bounded = graph.step("Clip", scaled, graph.constant(-FARTHEST), graph.constant(FARTHEST))
        return str(graph.step("MatMul", bounded, graph.constant(weights[encoder.output_indices_["numbers"]])))

    def _levels(self, graph: Any, weights: Matrix) -> str:
        """What every level adds to the scores, asked of the fitted encoder and summed over the columns."""
        encoder, places = self.pipeline["encode"], category_columns(self.schema)
        tables = []
        for at in places:
            name = f"levels_{at}"
            hot = encoder.named_transformers_[name].transform(slots(self.schema, at).reshape(-1, 1))
            tables.append(np.asarray(hot @ weights[encoder.output_indices_[name]], dtype=np.float64))
        width = weights.shape[1]
        found = graph.lookup(places, tables)
        shaped = graph.step("Reshape", found, graph.constant([-1, len(places), width], np.int64))
        return str(graph.step("ReduceSum", shaped, graph.constant([1], np.int64), keepdims=0))


class LogisticRegression:
    name = "logistic_regression"
    about = "logistic regression (scikit-learn)"
    libraries = ("scikit-learn", "numpy", "scipy", "skops")
    tasks: tuple[Task, ...] = ("classification",)
    tolerance = 1e-9
    quick: Mapping[str, Any] = {"min_rows_per_level": 20}
    hyperparameters = (
        Hyperparameter("C", "number", 1.0, "how little weights are held down", 1e-6, 1e6, search=(1e-3, 1e2), log=True),
        Hyperparameter("max_iter", "integer", 2000, "steps at most", 10, 100_000),
        Hyperparameter("min_rows_per_level", "integer", 10, "rarer levels count as one", 1, 1_000_000, search=(2, 100)),
        Hyperparameter("balanced", "boolean", False, "whether rare classes weigh as much as common ones"),
    )

    def fit(self, table: Table, settings: Mapping[str, Any], *, seed: int, journal: Journal = QUIET) -> LinearEstimator:
        from sklearn import linear_model
        from sklearn.pipeline import Pipeline

        regression = linear_model.LogisticRegression(
            C=settings["C"],
            max_iter=settings["max_iter"],
            class_weight="balanced" if settings["balanced"] else None,
            random_state=seed,
        )
        encoder = _encoder(table.schema, settings["min_rows_per_level"])
        pipeline = Pipeline([("encode", encoder), ("model", regression)])
        pipeline.fit(settle(table.rows, table.schema), table.labels)
        journal.checkpoint(1, 1, bytes, {})
        return LinearEstimator(pipeline, table.schema)

    def load(self, folder: Path, schema: Schema) -> LinearEstimator:
        return LinearEstimator.load(folder, schema)


def _encoder(schema: Schema, rows_per_level: int) -> Any:
    """Numbers filled, scaled and bounded, with a mark where one was missing; levels one-hot, kept sparse."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    bound = FunctionTransformer(np.clip, kw_args={"a_min": -FARTHEST, "a_max": FARTHEST})
    fill = SimpleImputer(add_indicator=True, keep_empty_features=True)
    parts: list[Any] = []
    if number_columns(schema):
        numbers = Pipeline([("fill", fill), ("scale", StandardScaler()), ("bound", bound)])
        parts.append(("numbers", numbers, number_columns(schema)))
    for at in category_columns(schema):
        hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=rows_per_level)
        parts.append((f"levels_{at}", hot, [at]))
    return ColumnTransformer(parts, sparse_threshold=1.0)


FAMILY = LogisticRegression()
