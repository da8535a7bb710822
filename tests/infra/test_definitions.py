"""What the pipelines do, as the documents SageMaker reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from infra.definitions import Machine, Monitor, Surroundings, Training, monitor, promotion, training

AROUND = Surroundings("image@sha256:1", "arn:role", "arn:key")


def given(floors: Mapping[str, float] | None = None) -> Training:
    return Training(
        group="churn",
        data_uri="s3://data/churn/",
        artifacts_uri="s3://artifacts/runs/churn",
        hyperparameters={"family": "forest", "target": "churned"},
        machine=Machine("ml.m5.large", 1, 30, 60),
        surroundings=AROUND,
        serving_image="serve@sha256:2",
        judging=AROUND,
        baselines_uri="s3://artifacts/baselines/churn/",
        floors=floors or {},
    )


def every_step(steps: Any) -> Iterator[dict[str, Any]]:
    for each in steps:
        yield each
        for branch in ("IfSteps", "ElseSteps"):
            yield from every_step(each.get("Arguments", {}).get(branch, ()))


def named(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["Name"]: each for each in every_step(document["Steps"])}


def test_without_floors_every_trained_model_is_registered() -> None:
    top = [each["Name"] for each in training(given())["Steps"]]
    assert top[-1] == "Register"
    assert "Floors" not in named(training(given()))


@pytest.mark.parametrize("pipeline", [training, promotion])
def test_below_a_floor_nothing_is_registered_and_the_run_says_why(pipeline: Any) -> None:
    document = pipeline(given({"auc": 0.6, "log_loss": 0.7}))
    floors = named(document)["Floors"]["Arguments"]
    bounds = {
        each["LeftValue"]["Std:JsonGet"]["Path"]: (each["Type"], each["RightValue"]) for each in floors["Conditions"]
    }
    assert bounds == {
        "metrics.auc.value": ("GreaterThanOrEqualTo", 0.6),
        "metrics.log_loss.value": ("LessThanOrEqualTo", 0.7),
    }
    assert [each["Name"] for each in floors["IfSteps"]] == ["Register"]
    (hopeless,) = floors["ElseSteps"]
    assert hopeless["Type"] == "Fail"
    assert "auc at least 0.6, log_loss at most 0.7" in json.dumps(hopeless)
    assert "Register" not in [each["Name"] for each in document["Steps"]]


def test_what_is_promoted_is_judged_but_not_trained() -> None:
    steps = named(promotion(given()))
    assert "Train" not in steps
    model = next(each for each in steps["Evaluate"]["Arguments"]["ProcessingInputs"] if each["InputName"] == "model")
    assert model["S3Input"]["S3Uri"] == {"Get": "Parameters.Artifact"}
    container = steps["Register"]["Arguments"]["InferenceSpecification"]["Containers"][0]
    assert container == {"Image": "serve@sha256:2", "ModelDataUrl": {"Get": "Parameters.Artifact"}}


def test_a_promoted_version_says_where_it_comes_from() -> None:
    facts = named(promotion(given()))["Register"]["Arguments"]["CustomerMetadataProperties"]
    assert {name: facts[name] for name in ("promoted_from", "promoted_package", "promoted_evidence")} == {
        "promoted_from": {"Get": "Parameters.From"},
        "promoted_package": {"Get": "Parameters.Package"},
        "promoted_evidence": {"Get": "Parameters.Evidence"},
    }


@pytest.mark.parametrize("pipeline", [training, promotion])
def test_a_stage_takes_what_another_wrote_from_where_that_one_put_it(pipeline: Any) -> None:
    """So that one stage alone can be repeated with what an earlier execution made."""
    read = [
        each["S3Input"]["S3Uri"]
        for step in named(pipeline(given())).values()
        for each in step["Arguments"].get("ProcessingInputs", ())
    ]
    assert all(set(each) == {"Get"} for each in read)
    assert {"Get": "Steps.Snapshot.ProcessingOutputConfig.Outputs['snapshot'].S3Output.S3Uri"} in read


def test_what_is_said_of_one_execution_reaches_every_stage() -> None:
    steps = named(training(given()))
    assert steps["Train"]["Arguments"]["HyperParameters"]["overrides"] == {"Get": "Parameters.Overrides"}
    assert steps["Train"]["Arguments"]["Environment"] == {"MLFLOW_EXPERIMENT_NAME": {"Get": "Parameters.Experiment"}}
    for stage in ("Snapshot", "Validate", "Evaluate", "Explain"):
        arguments = steps[stage]["Arguments"]["AppSpecification"]["ContainerArguments"]
        assert arguments[arguments.index("--overrides") + 1] == {"Get": "Parameters.Overrides"}


def test_the_monitor_is_told_what_quality_must_keep_only_where_settings_say() -> None:
    machine = Machine("ml.m5.large", 1, 30, 50)
    bare = Monitor("churn-dev", "churn", "capture", "outcomes", "artifacts", machine, AROUND)
    keeping = replace(bare, quality={"auc": 0.7, "accuracy": 0.8}, slices=["region"])
    without, told = (monitor(each)["Steps"][0]["Arguments"]["Environment"] for each in (bare, keeping))
    assert {name: told[name] for name in told.keys() - without.keys()} == {
        "SLIPWAY_QUALITY": "accuracy=0.8 auc=0.7",
        "SLIPWAY_SLICES": '["region"]',
    }
