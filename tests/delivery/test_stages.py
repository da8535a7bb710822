"""Runs are started, found again and repeated by stage: on an embedded AWS, with a container of a few lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from delivery.runs import Pipeline, Run, RunError, places_of
from localaws.app import App, start
from localaws.plane import Settings

IMAGES = Path(__file__).resolve().parents[1] / "localaws" / "images"
SCORER = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/slipway-local/scorer:1"
FIRST = "Steps.Snapshot.ProcessingOutputConfig.Outputs['report'].S3Output.S3Uri"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    work = tmp_path_factory.mktemp("aws")
    running = start(Settings(containers=IMAGES, work=work, interpreter=sys.executable))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(app: App) -> Callable[[str], Any]:
    make: Any = boto3.client
    return lambda service: make(
        service, endpoint_url=app.url, region_name="eu-west-1", aws_access_key_id="123456789012",
        aws_secret_access_key="local", config=Config(s3={"addressing_style": "path"}),
    )  # fmt: skip


def step(name: str, source: Any) -> dict[str, Any]:
    """A job that reads a place and writes to a folder of its execution."""
    read = {"S3Uri": source, "LocalPath": "/opt/ml/processing/input", "S3DataType": "S3Prefix", "S3InputMode": "File"}
    place = {"Std:Join": {"On": "/", "Values": ["s3://flow", {"Get": "Execution.PipelineExecutionId"}, name]}}
    write = {"S3Uri": place, "LocalPath": "/opt/ml/processing/output", "S3UploadMode": "EndOfJob"}
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "RoleArn": "arn:aws:iam::123456789012:role/pipelines",
            "AppSpecification": {"ImageUri": SCORER},
            "ProcessingInputs": [{"InputName": "data", "S3Input": read}],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": write}]},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
            },
            "Environment": {"ACCURACY": {"Get": "Parameters.Accuracy"}},
        },
    }


@pytest.fixture(scope="module")
def pipeline(client: Callable[[str], Any]) -> Pipeline:
    s3, sagemaker = client("s3"), client("sagemaker")
    s3.create_bucket(Bucket="flow", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="flow", Key="in/a.csv", Body=b"1,2\n")
    definition = {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "Accuracy", "Type": "String", "DefaultValue": "0.1"}],
        "Steps": [step("Snapshot", "s3://flow/in/"), step("Evaluate", {"Get": FIRST})],
    }
    role = "arn:aws:iam::123456789012:role/pipelines"
    sagemaker.create_pipeline(PipelineName="flow", PipelineDefinition=json.dumps(definition), RoleArn=role)
    return Pipeline(sagemaker, "flow", lambda: None)


@pytest.fixture(scope="module")
def whole(pipeline: Pipeline) -> Run:
    run = pipeline.start({"Accuracy": "0.9"}, "a" * 32)
    pipeline.finish(run)
    return run


def test_a_stage_runs_alone_with_what_the_run_before_it_made_and_was_told(pipeline: Pipeline, whole: Run) -> None:
    again = pipeline.repeat(whole, "Evaluate", {})
    before, after = ({each.name: each for each in pipeline.finish(run)} for run in (whole, again))
    assert after["Snapshot"].facts == before["Snapshot"].facts
    assert after["Evaluate"].facts != before["Evaluate"].facts
    assert pipeline.parameters(again) == {"Accuracy": "0.9"}
    assert places_of(pipeline.sagemaker, after["Evaluate"]) == {"report": f"s3://flow/{again.id}/Evaluate"}
    assert places_of(pipeline.sagemaker, after["Snapshot"]) == {"report": f"s3://flow/{whole.id}/Snapshot"}


def test_only_jobs_are_stages(pipeline: Pipeline) -> None:
    assert pipeline.step_names() == ["Snapshot", "Evaluate"]


def test_a_repeated_request_finds_its_run_and_starts_anew_only_after_a_failed_one(
    client: Callable[[str], Any], pipeline: Pipeline
) -> None:
    definition = {"Version": "2020-12-01", "Steps": [step("Snapshot", "s3://flow/late/")]}
    del definition["Steps"][0]["Arguments"]["Environment"]
    role = "arn:aws:iam::123456789012:role/pipelines"
    pipeline.sagemaker.create_pipeline(PipelineName="late", PipelineDefinition=json.dumps(definition), RoleArn=role)
    late = Pipeline(pipeline.sagemaker, "late", lambda: None)
    for _ in range(2):  # the data are not there yet
        with pytest.raises(RunError, match="failed in step Snapshot"):
            late.finish(late.start({}, "b" * 32))
    client("s3").put_object(Bucket="flow", Key="late/a.csv", Body=b"1,2\n")
    running = late.start({}, "b" * 32)
    assert late.start({}, "b" * 32).id == running.id
    late.finish(running)
    assert len(late.runs()) == 3
    other = late.start({}, "c" * 32)
    pipeline.sagemaker.stop_pipeline_execution(PipelineExecutionArn=other.arn, ClientRequestToken="d" * 32)
    *_, (last, _) = late.watch(other)
    assert last.failed
    assert late.start({}, "b" * 32).id == running.id  # what became of another request changes nothing
