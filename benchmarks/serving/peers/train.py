"""Fit the pipeline the peers serve, with the steps and seeds of the family that Slipway serves; time it on a table.

python train.py fit        train.csv -> pipeline.joblib, and an MLflow model beside it where MLflow is installed
python train.py time       rows.csv: pandas.read_csv and predict_proba, in seconds
python train.py answers    sample.csv -> answers.csv
"""

from __future__ import annotations

import json
import sys
import time

import joblib
import numpy as np
import pandas as pd
from answering import COLUMNS, FOLDER, KINDS, answer, load


def fit() -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import TargetEncoder

    settings = json.loads((FOLDER / "settings.json").read_text())
    table = pd.read_csv(FOLDER / "train.csv", dtype=KINDS)
    target = (table[settings["target"]] == settings["positive"]).to_numpy().astype(np.int64)
    numbers = [name for name, kind in COLUMNS.items() if kind != "category"]
    categories = [name for name, kind in COLUMNS.items() if kind == "category"]
    folds = StratifiedKFold(5, shuffle=True, random_state=settings["seed"])
    encoder = ColumnTransformer(
        [
            ("numbers", "passthrough", numbers),
            ("categories", TargetEncoder(target_type="binary", cv=folds), categories),
        ]
    )
    model = HistGradientBoostingClassifier(**settings["boosting"], random_state=settings["seed"], early_stopping=False)
    pipeline = Pipeline([("encode", encoder), ("model", model)]).fit(table[list(COLUMNS)], target)
    joblib.dump(pipeline, FOLDER / "pipeline.joblib")


def save_for_mlflow() -> None:
    import mlflow

    mlflow.sklearn.save_model(
        load(),
        FOLDER / "mlflow",
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
        pip_requirements=[],
    )


def time_table() -> None:
    pipeline = load()
    started = time.perf_counter()
    table = pd.read_csv(FOLDER / "rows.csv", header=None, names=list(COLUMNS), dtype=KINDS)
    read = time.perf_counter()
    pipeline.predict_proba(table)
    print(json.dumps({"read": read - started, "predict": time.perf_counter() - read, "rows": len(table)}))


if __name__ == "__main__":
    if sys.argv[1] == "fit":
        fit()
    elif sys.argv[1] == "mlflow":
        save_for_mlflow()
    elif sys.argv[1] == "time":
        time_table()
    else:
        (FOLDER / "answers.csv").write_text(answer(load(), (FOLDER / "sample.csv").read_text()))
