"""What a run does is read from a file and from options over it; a wrong name is answered with the nearest right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from delivery.run_file import RunFile, RunFileError, read
from delivery.runs import LONGEST_OVERRIDES, RunError, overrides_of, stage_step

FILE = "data: rows.csv\nfamily: xgboost\nhyperparameters: {max_depth: 4, seed: 1}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "run.yaml"
    place.write_text(FILE)
    return place


def test_settings_go_over_the_file_and_options_over_both(file: Path) -> None:
    options = {"family": "hist_gradient_boosting", "data": None, "reason": None}
    read_ = read(file, options, ["max_depth=6", "hyperparameters.explain=false", "reason=prices changed"])
    assert read_ == RunFile(
        data="rows.csv",
        family="hist_gradient_boosting",
        reason="prices changed",
        hyperparameters={"max_depth": 6, "seed": 1, "explain": False},
    )


def test_without_a_file_what_is_typed_is_all_there_is() -> None:
    assert read(None, {"data": "s3://data/churn/"}, ["C=0.5"]) == RunFile(
        data="s3://data/churn/", hyperparameters={"C": 0.5}
    )


def test_a_misspelt_name_in_the_file_is_answered_with_the_nearest(file: Path) -> None:
    file.write_text("famly: xgboost\n")
    with pytest.raises(RunFileError, match=r"a run has no 'famly'\. Did you mean 'family'\?") as raised:
        read(file, {}, [])
    assert str(file) in str(raised.value)
    assert "others go below hyperparameters" in str(raised.value)


@pytest.mark.parametrize("text", ["- a list\n", "{broken", "data: [1, 2]\n"])
def test_what_is_no_run_is_refused_with_what_was_expected(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(RunFileError, match=r"Expected YAML|expected names and values|data is \[1, 2\]"):
        read(file, {}, [])


@pytest.mark.parametrize("setting", ["max_depth", "=4", " =4"])
def test_a_setting_without_name_or_value_is_refused_with_an_example(setting: str) -> None:
    with pytest.raises(RunFileError, match="expected NAME=VALUE, for example --set max_iter=50"):
        read(None, {}, [setting])


def test_hyperparameters_go_to_the_pipeline_as_one_text_of_json() -> None:
    assert overrides_of({}) is None
    assert overrides_of({"seed": 1, "C": 0.5}) == '{"C":0.5,"seed":1}'


def test_more_hyperparameters_than_a_job_takes_are_refused_with_where_they_belong() -> None:
    with pytest.raises(RunError, match=r"expected at most 256.*models\.<name>\.training\.hyperparameters"):
        overrides_of({"drop": "x" * LONGEST_OVERRIDES})


def test_a_stage_is_named_by_its_word_and_a_wrong_word_by_the_nearest() -> None:
    steps = ["Snapshot", "Evaluate", "Baseline"]
    assert stage_step("evaluate", steps) == "Evaluate"
    with pytest.raises(RunError, match=r"no stage 'evalute'\. Did you mean 'evaluate'\? Stages: snapshot, evaluate"):
        stage_step("evalute", steps)


def test_a_value_that_is_no_yaml_is_refused_with_what_was_expected() -> None:
    with pytest.raises(RunFileError, match=r"--set C=\[: expected a number"):
        read(None, {}, ["C=["])
