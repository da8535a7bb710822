"""A model ready to answer: its schema laid out and what predicts, from an artifact that its manifest vouches for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contract.places import FAST_FORM, MANIFEST
from contract.records import Manifest
from families.artifact import ArtifactError
from families.forest import TreeModel
from families.opening import open_artifact
from inference.layout import Layout, Matrix

AnswerRow = Callable[[bytearray], list[float]]


class ModelError(Exception):
    """A model cannot be served; the text says why."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model by the name it is asked for, the version that names its content, and what it takes and gives."""

    name: str
    version: str
    manifest: Manifest
    layout: Layout
    predict: Callable[[Matrix], Matrix]
    fast: bool
    url: str = ""
    answer_row: AnswerRow | None = None  # the same for one row held as bytes, where the form can do that

    def check(self) -> None:
        """Predict one row, so that the first caller is not the first to learn that this model cannot."""
        row = np.full((1, self.layout.width), np.nan)
        answer = self.predict(row)
        expected = (1, len(self.manifest.schema.classes) or 1)
        if answer.shape != expected:
            raise ModelError(f"the model '{self.name}' answers one row with shape {answer.shape}, expected {expected}")


def load(folder: Path, name: str, url: str = "") -> ServedModel:
    """The model in a folder, verified, loaded and tried once; its fast form where there is one."""
    try:
        manifest, predictor = open_artifact(folder)
    except (ArtifactError, MemoryError, OSError):
        raise
    except Exception as problem:  # a library that is not there, a team's class that cannot be found or read
        raise ModelError(f"the model '{name}' cannot be loaded: {problem}") from problem
    version = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()[:16]
    fast = FAST_FORM in manifest.files
    one = predictor.answer_row if isinstance(predictor, TreeModel) else None
    model = ServedModel(name, version, manifest, Layout(manifest.schema), predictor.predict, fast, url, one)
    try:
        model.check()
    except ModelError:
        raise
    except Exception as problem:
        raise ModelError(f"the model '{name}' cannot predict one row of missing values: {problem}") from problem
    return model
