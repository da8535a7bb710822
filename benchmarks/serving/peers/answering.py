"""What every peer does with a request: CSV to pandas, the scikit-learn pipeline, CSV back."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import joblib
import pandas as pd

FOLDER = Path(os.environ["BENCHMARK_FOLDER"])
COLUMNS = json.loads((FOLDER / "columns.json").read_text())
KINDS = {name: "object" if kind == "category" else "float64" for name, kind in COLUMNS.items()}


def load() -> Any:
    return joblib.load(FOLDER / "pipeline.joblib")


def frame_of(body: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(body), header=None, names=list(COLUMNS), dtype=KINDS)


def answer(pipeline: Any, body: str) -> str:
    probabilities = pipeline.predict_proba(frame_of(body))
    out = io.StringIO()
    pd.DataFrame(probabilities).to_csv(out, header=False, index=False)
    return out.getvalue()
