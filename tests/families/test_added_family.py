"""A family that is one file trains and opens through the program as it stands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from contract.places import Container
from families.opening import open_artifact
from training import sample
from training.features import encode
from training.run import train


def test_the_training_program_takes_it_by_name_and_what_it_made_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "off")
    container = Container(tmp_path)
    container.input_config.mkdir(parents=True)
    wanted = {"family": "nearest_mean", "target": "species", "sharpness": "8"}
    container.hyperparameters.write_text(json.dumps(wanted))
    sample.write(sample.iris(), container.channel("train") / "iris.csv")
    assert train(container) == 0
    manifest, model = open_artifact(container.model)
    assert (manifest.family, manifest.hyperparameters["sharpness"]) == ("nearest_mean", 8)
    assert manifest.metrics["validation_accuracy"] > 0.8
    answers = model.predict(encode(sample.iris(), manifest.schema))
    np.testing.assert_allclose(answers.sum(axis=1), 1)
