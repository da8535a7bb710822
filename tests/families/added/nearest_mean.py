"""A family as a user adds one: this file is all of it. Each class is its mean row; near is likely."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from contract.records import Schema, Task
from families.encoding import settle
from families.family import QUIET, Journal, Matrix, Table, check_rows
from families.hyperparameters import Hyperparameter


class NearestMeanModel:
    def __init__(self, schema: Schema, means: Matrix, middle: Matrix, spread: Matrix, sharpness: float) -> None:
        self.schema = schema
        self.arrays = {"means": means, "middle": middle, "spread": spread, "sharpness": np.array(sharpness)}

    def predict(self, rows: Matrix) -> Matrix:
        check_rows(rows, self.schema)
        given = settle(rows, self.schema)
        filled = np.where(np.isnan(given), self.arrays["middle"], given)
        scaled = np.clip((filled - self.arrays["middle"]) / self.arrays["spread"], -10, 10)
        scores = -((scaled[:, None, :] - self.arrays["means"]) ** 2).mean(axis=2) * self.arrays["sharpness"]
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(likely / likely.sum(axis=1, keepdims=True))

    def save(self, folder: Path) -> None:
        packed = io.BytesIO()
        np.savez(packed, **self.arrays)
        (folder / "means.npz").write_bytes(packed.getvalue())

    def fast_form(self) -> None:
        return None


class NearestMean:
    name = "nearest_mean"
    about = "the nearest class mean"
    libraries = ("numpy",)
    tasks: tuple[Task, ...] = ("classification",)
    tolerance = 0.0
    quick: Mapping[str, Any] = {}
    hyperparameters = (Hyperparameter("sharpness", "number", 5.0, "how sure it is", 0.1, 100),)

    def fit(
        self, table: Table, settings: Mapping[str, Any], *, seed: int, journal: Journal = QUIET
    ) -> NearestMeanModel:
        given = settle(table.rows, table.schema)
        middle = np.nanmean(given, axis=0)
        spread = np.nanstd(given, axis=0) + 1e-9
        scaled = np.clip((np.where(np.isnan(given), middle, given) - middle) / spread, -10, 10)
        means = np.stack([scaled[table.labels == at].mean(axis=0) for at in range(len(table.schema.classes))])
        return NearestMeanModel(table.schema, means, middle, spread, settings["sharpness"])

    def load(self, folder: Path, schema: Schema) -> NearestMeanModel:
        with np.load(folder / "means.npz", allow_pickle=False) as kept:
            return NearestMeanModel(schema, kept["means"], kept["middle"], kept["spread"], float(kept["sharpness"]))


FAMILY = NearestMean()
