"""XGBoost: gradient boosting where a team already speaks it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contract.records import Schema, Task
from families import estimator
from families.artifact import ArtifactError
from families.encoding import category_columns, feature_places, number_columns, settle, target_encoded
from families.estimator import legs_of
from families.family import QUIET, Journal, Matrix, Table, check_rows
from families.hyperparameters import Hyperparameter

if TYPE_CHECKING:
    from families.fastform.trees import Tree

ENCODER, BOOSTER = "encoder.skops", "booster.json"


class BoosterModel:
    """The encoder of the levels, and the booster behind it."""

    def __init__(self, encoder: Any, booster: Any, schema: Schema) -> None:
        self.encoder = encoder
        self.booster = booster
        self.schema = schema

    def predict(self, rows: Matrix) -> Matrix:
        check_rows(rows, self.schema)
        features = self.encoder.transform(settle(rows, self.schema))
        answers = np.asarray(self.booster.predict(_matrix(features)), dtype=np.float64)
        if self.schema.task == "regression":
            return answers.reshape(-1, 1)
        return np.stack([1 - answers, answers], axis=1) if answers.ndim == 1 else answers

    def contributions(self, rows: Matrix) -> Matrix:
        """Each column's share of the scores (TreeSHAP, which the library computes quickly)."""
        features = self.encoder.transform(settle(rows, self.schema))
        given = np.abs(np.asarray(self.booster.predict(_matrix(features), pred_contribs=True), dtype=np.float64))
        by_feature = given[..., :-1].reshape(len(rows), -1, given.shape[-1] - 1).mean(axis=1)
        shares = np.zeros((len(rows), len(self.schema.columns)))
        numbers, categories = number_columns(self.schema), category_columns(self.schema)
        shares[:, numbers] = by_feature[:, : len(numbers)]
        if categories:
            shares[:, categories] = by_feature[:, len(numbers) :].reshape(len(rows), len(categories), -1).sum(axis=2)
        return shares

    def save(self, folder: Path) -> None:
        (folder / ENCODER).write_bytes(estimator.dump(self.encoder))
        (folder / BOOSTER).write_bytes(bytes(self.booster.save_raw("json")))

    def fast_form(self) -> bytes:
        from families.fastform.graph import Graph
        from families.fastform.trees import add_trees, encoded_rows

        learner = json.loads(bytes(self.booster.save_raw("json")))["learner"]
        model = learner["gradient_booster"]["model"]
        places = feature_places(self.encoder, self.schema)
        trees = [_tree(tree, places, target) for tree, target in zip(model["trees"], model["tree_info"], strict=True)]
        width = max(1, int(learner["learner_model_param"]["num_class"]))
        graph = Graph(self.schema)
        rows = encoded_rows(graph, self.encoder, self.schema, single=True)
        start = self._start(learner, width)
        scores = graph.step("Add", add_trees(graph, rows, trees, width, "below"), graph.constant(start))
        return graph.finish(graph.answers(scores, width, self.schema.task))

    def _start(self, learner: Mapping[str, Any], width: int) -> Matrix:
        """Where the sum of trees begins: kept as an answer, and added as a score."""
        kept = np.atleast_1d(np.array(json.loads(learner["learner_model_param"]["base_score"]), dtype=np.float64))
        if len(self.schema.classes) == 2:
            kept = np.log(kept / (1 - kept))
        return np.broadcast_to(kept, (1, width)).copy()


def _tree(tree: Mapping[str, Any], places: np.ndarray[Any, np.dtype[np.int64]], target: int) -> Tree:
    from families.fastform.trees import Tree

    left = np.array(tree["left_children"], dtype=np.int64)
    leaf = left < 0
    split = np.array(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    return Tree(
        feature=np.where(leaf, -1, places[np.where(leaf, 0, np.array(tree["split_indices"], dtype=np.int64))]),
        threshold=split,
        left=left,
        right=np.array(tree["right_children"], dtype=np.int64),
        missing_left=np.array(tree["default_left"], dtype=bool),
        values=split.reshape(-1, 1),
        first_target=target,
    )


def _matrix(features: Any, target: Any = None) -> Any:
    import xgboost

    return xgboost.DMatrix(np.asarray(features, dtype=np.float32), label=target)


class XGBoost:
    name = "xgboost"
    about = "gradient boosting (XGBoost)"
    libraries = ("xgboost-cpu", "scikit-learn", "numpy", "skops")
    tasks: tuple[Task, ...] = ("classification", "regression")
    tolerance = 5e-6  # the library adds up in float32, the fast form in float64
    quick: Mapping[str, Any] = {"rounds": 30, "max_depth": 3}
    hyperparameters = (
        Hyperparameter("rounds", "integer", 200, "how many rounds of trees", 1, 10_000, search=(50, 500)),
        Hyperparameter(
            "learning_rate", "number", 0.1, "how much each round counts", 1e-4, 1, search=(0.01, 0.3), log=True
        ),
        Hyperparameter("max_depth", "integer", 6, "how deep a tree may be", 1, 20, search=(3, 10)),
        Hyperparameter("min_child_weight", "number", 1.0, "weight a leaf needs", 0, 1e6, search=(0.5, 50), log=True),
        Hyperparameter("subsample", "number", 1.0, "share of rows a round sees", 0.05, 1, search=(0.5, 1)),
        Hyperparameter("colsample_bytree", "number", 1.0, "share of columns a tree sees", 0.05, 1, search=(0.3, 1)),
        Hyperparameter("reg_lambda", "number", 1.0, "pull of leaf values to zero", 0, 1e6, search=(0, 20)),
    )

    def fit(self, table: Table, settings: Mapping[str, Any], *, seed: int, journal: Journal = QUIET) -> BoosterModel:
        import xgboost

        encoder = target_encoded(table, seed=seed)
        features = encoder.fit_transform(settle(table.rows, table.schema), table.target)
        data = _matrix(features, table.target)
        options = {name: value for name, value in settings.items() if name != "rounds"}
        options |= _objective(table.schema) | {"seed": seed, "tree_method": "hist", "verbosity": 0}
        legs, kept = legs_of(settings["rounds"]), journal.resume()
        booster = None if kept is None else _read(kept)
        done = 0 if booster is None else booster.num_boosted_rounds()
        for leg in (leg for leg in legs if leg > done):
            # Each leg begins from kept bytes, so that one resumed cannot differ from one never interrupted.
            booster = xgboost.train(options | {"seed": seed + leg}, data, leg - done, xgb_model=booster)
            done, state = leg, bytes(booster.save_raw("json"))
            if leg != legs[-1]:
                journal.checkpoint(leg, legs[-1], lambda kept=state: kept, {})
            booster = _read(state)
        return BoosterModel(encoder, booster, table.schema)

    def load(self, folder: Path, schema: Schema) -> BoosterModel:
        encoder = estimator.load((folder / ENCODER).read_bytes())
        return BoosterModel(encoder, _read((folder / BOOSTER).read_bytes()), schema)


def _objective(schema: Schema) -> dict[str, Any]:
    if schema.task == "regression":
        return {"objective": "reg:squarederror"}
    if len(schema.classes) == 2:
        return {"objective": "binary:logistic"}
    return {"objective": "multi:softprob", "num_class": len(schema.classes)}


def _read(state: bytes) -> Any:
    import xgboost

    try:
        return xgboost.Booster(model_file=bytearray(state))
    except xgboost.core.XGBoostError as problem:
        raise ArtifactError(f"{BOOSTER} cannot be read by XGBoost {xgboost.__version__}: {problem}") from problem


FAMILY = XGBoost()
