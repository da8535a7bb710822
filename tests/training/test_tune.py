"""Tuning looks where it is told to, stops when it no longer helps, and goes on where it was stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from families.family import Table
from families.hyperparameters import HyperparameterError
from training import sample
from training.features import features, infer_schema
from training.settings import Settings, read_settings
from training.tune import _open, tune, write_tuned

QUICK = {"target": sample.TARGET, "max_iter": "20"}


@cache
def tables() -> dict[str, Table]:
    splits = {"train": sample.churn(700, 1), "validation": sample.churn(300, 2)}
    return features(splits, infer_schema(splits["train"], sample.TARGET))


@pytest.fixture
def settings() -> Settings:
    return read_settings(
        {"target": sample.TARGET, "tune_trials": "4", "tune_families": "logistic_regression", "tune_sampler": "random",
         "objective": "auc"}
    )  # fmt: skip


def quiet(_: str) -> None:
    pass


def test_the_best_of_all_trials_is_kept_as_hyperparameters_of_a_run(settings: Settings, tmp_path: Path) -> None:
    found = tune(tables(), settings, tmp_path / "history", say=quiet)
    assert len(found.trials) == 4
    values = [float(str(trial["value"])) for trial in found.trials if trial["state"] == "complete"]
    assert found.value == max(values)
    write_tuned(found, tmp_path)
    best = json.loads((tmp_path / "best.json").read_text())["hyperparameters"]
    assert read_settings({"target": sample.TARGET, **best}).family == "logistic_regression"
    assert "report.html" in {path.name for path in tmp_path.iterdir()}


def test_several_families_compete(settings: Settings, tmp_path: Path) -> None:
    wanted = replace(settings, tune_families=("logistic_regression", "custom"), tune_trials=6)
    with pytest.raises(HyperparameterError, match="class_path is ''"):
        tune(tables(), wanted, tmp_path / "a", say=quiet)
    wanted = replace(settings, tune_families=("logistic_regression", "xgboost"), tune_trials=3, tune_sampler="bayesian")
    found = tune(tables(), wanted, tmp_path / "b", say=quiet)
    assert {trial["family"] for trial in found.trials} <= {"logistic_regression", "xgboost"}
    assert found.family in {"logistic_regression", "xgboost"}
    assert set(found.of_family) <= {"C", "min_rows_per_level", "rounds", "learning_rate", "max_depth",
                                    "min_child_weight", "subsample", "colsample_bytree", "reg_lambda"}  # fmt: skip


def test_a_search_stopped_and_started_again_ends_as_one_never_stopped(settings: Settings, tmp_path: Path) -> None:
    whole = tune(tables(), settings, tmp_path / "whole", say=quiet)
    tune(tables(), replace(settings, tune_trials=2), tmp_path / "parts", say=quiet)
    resumed = tune(tables(), settings, tmp_path / "parts", say=quiet)
    assert resumed == whole


def test_a_trial_that_was_running_when_the_machine_went_away_is_as_if_never_begun(
    settings: Settings, tmp_path: Path
) -> None:
    whole = tune(tables(), settings, tmp_path / "whole", say=quiet)

    def gone(said: str) -> None:
        if said.startswith("trial 1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(tables(), settings, tmp_path / "parts", say=gone)
    study = _open(tmp_path / "parts", "auc", settings)
    study.ask()  # begun, and never told how it ended
    assert tune(tables(), settings, tmp_path / "parts", say=quiet) == whole


def test_patience_ends_a_search_that_no_longer_helps(settings: Settings, tmp_path: Path) -> None:
    found = tune(tables(), replace(settings, tune_trials=50, tune_patience=2), tmp_path / "history", say=quiet)
    best = max(found.trials, key=lambda trial: float(str(trial["value"])))
    assert len(found.trials) == int(str(best["trial"])) + 3


def test_when_the_time_is_over_no_further_trial_begins(settings: Settings, tmp_path: Path) -> None:
    instants = iter([0.0, 0.0, 5.0, 99.0])
    found = tune(
        tables(), replace(settings, tune_seconds=10), tmp_path / "history", say=quiet, now=lambda: next(instants)
    )
    assert len(found.trials) == 2


def test_a_family_that_cannot_do_the_task_is_refused(tmp_path: Path) -> None:
    frame = sample.diabetes()
    schema = infer_schema(frame, "progression", task="regression")
    regression = features({"train": frame.head(300), "validation": frame.tail(100)}, schema)
    settings = read_settings({"target": "progression", "tune_families": "logistic_regression", "tune_trials": "1"})
    with pytest.raises(HyperparameterError, match="logistic_regression, which cannot do a regression"):
        tune(regression, settings, tmp_path / "history", say=quiet)
