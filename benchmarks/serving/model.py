"""The model and the rows of the serving benchmark: the churn table, histogram gradient boosting, one seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from families.opening import open_artifact
from training.features import infer_schema, table
from training.fit import fit, write_artifact
from training.sample import TARGET, churn
from training.settings import read_settings

SEED = 7
TRAINING_ROWS = 20_000
ROUNDS = 100  # scikit-learn's own default
BATCH_ROWS = 1_000_000
SAMPLE_ROWS = 2000


def prepare(folder: Path) -> None:
    """Fit and pack the artifact, and write the rows for every part of the benchmark."""
    frame = churn(TRAINING_ROWS, SEED)
    schema = infer_schema(frame, TARGET)
    given = {"family": "hist_gradient_boosting", "target": TARGET, "seed": str(SEED), "max_iter": str(ROUNDS)}
    settings = read_settings(given)
    fitted = fit(table(frame, schema), settings)
    write_artifact(folder / "model", fitted, schema, settings, metrics={}, data_hash=f"churn {TRAINING_ROWS} {SEED}")
    frame.write_csv(folder / "train.csv")
    rows = churn(BATCH_ROWS, SEED + 1).drop(TARGET)
    rows.write_csv(folder / "rows.csv", include_header=False)
    sample = rows.head(SAMPLE_ROWS)
    sample.write_csv(folder / "sample.csv", include_header=False)
    lines = (folder / "sample.csv").read_bytes().splitlines(keepends=True)
    (folder / "1.csv").write_bytes(lines[0])
    (folder / "100.csv").write_bytes(b"".join(lines[:100]))
    (folder / "columns.json").write_text(json.dumps({column.name: column.kind for column in schema.columns}))
    boosting = dict(settings.of_family)
    told = {"target": TARGET, "positive": schema.classes[1], "seed": SEED, "boosting": boosting}
    (folder / "settings.json").write_text(json.dumps(told))


def largest_difference(folder: Path) -> float:
    """How far our probabilities are from the pipeline's on the sample, at most."""
    from inference.decoding import decode
    from inference.layout import Layout

    manifest, model = open_artifact(folder / "model")
    layout = Layout(manifest.schema)
    rows = decode((folder / "sample.csv").read_bytes(), "text/csv", layout, SAMPLE_ROWS)
    theirs = np.loadtxt(folder / "answers.csv", delimiter=",")
    return float(np.abs(model.predict(rows) - theirs).max())
