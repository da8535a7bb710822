"""Any Python class with fit and predict, by its import path: `class_path = my_company.models:Rules`.

    class Rules:
        def __init__(self, **arguments): ...                  # what the hyperparameter `arguments` holds, as JSON
        def fit(self, rows, target): ...                      # float64 [n, columns]; class indices, or numbers
        def predict_proba(self, rows): ...                    # [n, classes]; or only predict(rows) -> [n]
        def save(self, folder): ...                           # optional, with the class method load(folder)
        def fast_form(self): ...                              # optional: ONNX, see families/fastform

Without save and load the object is pickled. A pickle runs code when loaded: it is opened only from a folder whose
manifest vouches for it, and only when the class still comes from the same import path.
"""

from __future__ import annotations

import importlib
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from contract.records import Schema, Task
from families.artifact import ArtifactError, verify
from families.encoding import settle
from families.family import QUIET, FamilyError, Journal, Matrix, Table, check_rows
from families.hyperparameters import Hyperparameter, HyperparameterError

DESCRIPTION, OBJECT, OWN = "custom.json", "model.pickle", "own"


class CustomModel:
    """An object of somebody's class, held to the shape every model's answers have."""

    def __init__(self, fitted: Any, path: str, schema: Schema) -> None:
        self.fitted = fitted
        self.path = path
        self.schema = schema

    def predict(self, rows: Matrix) -> Matrix:
        check_rows(rows, self.schema)
        settled = settle(rows, self.schema)
        if self.schema.task == "regression":
            return self._checked(np.asarray(self.fitted.predict(settled), dtype=np.float64).reshape(-1, 1), rows)
        if hasattr(self.fitted, "predict_proba"):
            return self._checked(np.asarray(self.fitted.predict_proba(settled), dtype=np.float64), rows)
        chosen = np.asarray(self.fitted.predict(settled)).astype(np.int64)
        return self._checked(np.eye(len(self.schema.classes))[chosen], rows)

    def _checked(self, answers: Matrix, rows: Matrix) -> Matrix:
        expected = (len(rows), len(self.schema.classes) or 1)
        if answers.shape != expected:
            raise FamilyError(
                f"'{self.path}' answered {answers.shape} for {len(rows)} rows, expected {expected}: "
                "one probability per class in the order of the schema's classes, or one value per row"
            )
        return answers

    def save(self, folder: Path) -> None:
        (folder / DESCRIPTION).write_text(json.dumps({"class_path": self.path}))
        if hasattr(self.fitted, "save"):
            (folder / OWN).mkdir()
            self.fitted.save(folder / OWN)
        else:
            (folder / OBJECT).write_bytes(pickle.dumps(self.fitted, protocol=5))

    def fast_form(self) -> bytes | None:
        return self.fitted.fast_form() if hasattr(self.fitted, "fast_form") else None


class Custom:
    name = "custom"
    about = "any Python class with fit and predict, by its import path"
    libraries = ("numpy",)
    tasks: tuple[Task, ...] = ("classification", "regression")
    tolerance = 1e-5
    quick: Mapping[str, Any] = {
        "class_path": "sklearn.ensemble:ExtraTreesClassifier",
        "arguments": '{"n_estimators": 8, "max_depth": 6, "random_state": 0}',
    }
    hyperparameters = (
        Hyperparameter("class_path", "text", "", "where the class is: package.module:Class"),
        Hyperparameter("arguments", "text", "{}", "what the class is made with, a JSON object"),
    )

    def fit(self, table: Table, settings: Mapping[str, Any], *, seed: int, journal: Journal = QUIET) -> CustomModel:
        made = find_class(settings["class_path"])(**_arguments(settings["arguments"]))
        np.random.seed(seed)  # noqa: NPY002 - a class that draws from the global generator shall repeat as well
        made.fit(settle(table.rows, table.schema), table.target if table.schema.task == "regression" else table.labels)
        journal.checkpoint(1, 1, bytes, {})
        return CustomModel(made, settings["class_path"], table.schema)

    def load(self, folder: Path, schema: Schema) -> CustomModel:
        verify(folder)
        path = json.loads((folder / DESCRIPTION).read_bytes())["class_path"]
        kind = find_class(path)
        if (folder / OWN).is_dir():
            return CustomModel(kind.load(folder / OWN), path, schema)
        fitted = pickle.loads((folder / OBJECT).read_bytes())  # noqa: S301 - vouched for by the manifest just verified
        if type(fitted) is not kind:
            raise ArtifactError(f"{OBJECT} holds a {type(fitted).__qualname__}, and {DESCRIPTION} promises '{path}'")
        return CustomModel(fitted, path, schema)


def find_class(path: str) -> Any:
    """The class at `package.module:Class`, or an error that says which part was not found."""
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise HyperparameterError(f"class_path is '{path}', expected package.module:Class")
    try:
        found = getattr(importlib.import_module(module), name)
    except ImportError as problem:
        raise HyperparameterError(
            f"class_path is '{path}', and '{module}' cannot be imported ({problem}): install it in the image, "
            "or put its folder on PYTHONPATH"
        ) from problem
    except AttributeError:
        raise HyperparameterError(f"class_path is '{path}', and '{module}' has no '{name}'") from None
    lacking = [each for each in ("fit", "predict") if not hasattr(found, each)]
    if lacking:
        raise HyperparameterError(f"'{path}' has no {' and no '.join(lacking)}: a custom model has fit and predict")
    return found


def _arguments(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError as problem:
        raise HyperparameterError(f"arguments is '{text}', expected a JSON object ({problem})") from None
    if not isinstance(given, dict):
        raise HyperparameterError(f"arguments is '{text}', expected a JSON object")
    return given


FAMILY = Custom()
