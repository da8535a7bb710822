"""Hyperparameters are read once, typed, and every mistake is reported with the nearest real name."""

from __future__ import annotations

import pytest

from families.discovery import UnknownFamilyError
from families.hyperparameters import HyperparameterError
from training.cli import hyperparameters_of
from training.settings import read_settings


def test_text_becomes_typed_values_of_the_run_and_its_family() -> None:
    settings = read_settings(
        {"target": "left", "max_iter": "50", "learning_rate": "1e-2", "header": "false", "drop": "id, name"}
    )
    assert (settings.target, settings.header, settings.drop) == ("left", False, ("id", "name"))
    assert settings.of_family["max_iter"] == 50
    assert settings.of_family["learning_rate"] == 0.01
    assert settings.of_family["max_leaf_nodes"] == 31


def test_what_sagemaker_and_its_toolkits_add_is_passed_over() -> None:
    given = {"sagemaker_region": '"eu-west-1"', "_tuning_objective_metric": "validation_auc", "seed": "7"}
    assert read_settings(given).seed == 7


def test_all_mistakes_are_reported_together_with_the_nearest_real_names() -> None:
    with pytest.raises(HyperparameterError) as raised:
        read_settings({"max_itr": "50", "learning_rate": "fast", "seed": "-1", "task": "guess"})
    said = str(raised.value)
    assert "unknown hyperparameter 'max_itr'. Did you mean 'max_iter'?" in said
    assert "learning_rate is 'fast', expected a number from 0.0001 to 1" in said
    assert "seed is '-1', expected a whole number" in said
    assert "task is 'guess', expected one of auto, classification, regression" in said


def test_a_hyperparameter_of_another_family_is_unknown() -> None:
    with pytest.raises(HyperparameterError, match="unknown hyperparameter 'n_estimators'"):
        read_settings({"family": "logistic_regression", "n_estimators": "10"})


def test_names_in_lists_are_checked() -> None:
    with pytest.raises(HyperparameterError, match="Did you mean 'leakage'"):
        read_settings({"allow": "leakages"})
    with pytest.raises(UnknownFamilyError, match="Did you mean 'xgboost'"):
        read_settings({"tune_families": "xgbost"})


def test_options_of_the_command_line_are_hyperparameters() -> None:
    assert hyperparameters_of(["--target", "left", "--tune-trials=5"]) == {"target": "left", "tune_trials": "5"}
    with pytest.raises(ValueError, match="'--target' has no value"):
        hyperparameters_of(["--target"])
    with pytest.raises(ValueError, match="'left' is no option"):
        hyperparameters_of(["left"])


@pytest.mark.parametrize("text", ['{"max_iter": 50, "seed": "7"}', '"{\\"max_iter\\": 50, \\"seed\\": 7}"'])
def test_what_is_said_of_one_execution_goes_over_its_own_hyperparameters(text: str) -> None:
    settings = read_settings({"target": "left", "max_iter": "20", "overrides": text})
    assert (settings.target, settings.seed, settings.of_family["max_iter"]) == ("left", 7, 50)


@pytest.mark.parametrize("text", ["max_iter=50", "[1]", "7"])
def test_overrides_that_are_no_json_object_are_refused(text: str) -> None:
    with pytest.raises(HyperparameterError, match="expected an object of hyperparameters as JSON"):
        read_settings({"overrides": text})


def test_a_misspelt_override_is_named_like_any_other() -> None:
    with pytest.raises(HyperparameterError, match=r"unknown hyperparameter 'max_itr'\. Did you mean 'max_iter'\?"):
        read_settings({"overrides": '{"max_itr": 50}'})
