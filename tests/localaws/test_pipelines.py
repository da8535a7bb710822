"""Pipelines run their steps: references, conditions, property files, caching, retries, stop, selection, callbacks."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.app import App
from localaws.execution import retry_pause, seconds_of

ROLE = "arn:aws:iam::123456789012:role/pipelines"
SCORER = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/slipway-local/scorer:1"
TRAINER = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/slipway-local/trainer:1"
Definition = dict[str, Any]


@pytest.fixture(scope="module")
def s3(client: Callable[..., Any]) -> Any:
    s3 = client("s3")
    s3.create_bucket(Bucket="flow", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="flow", Key="in/a.csv", Body=b"1,2\n")
    return s3


@pytest.fixture(scope="module")
def sagemaker(client: Callable[..., Any], s3: Any) -> Any:
    sagemaker = client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="flow")
    return sagemaker


def get(path: str) -> dict[str, str]:
    return {"Get": path}


def evaluate(name: str = "Evaluate", **more: Any) -> Definition:
    source = {
        "S3Uri": "s3://flow/in/",
        "LocalPath": "/opt/ml/processing/input",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    place = {"Std:Join": {"On": "/", "Values": ["s3://flow/reports", get("Execution.PipelineExecutionId")]}}
    output = {"S3Uri": place, "LocalPath": "/opt/ml/processing/output", "S3UploadMode": "EndOfJob"}
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "RoleArn": ROLE,
            "AppSpecification": {"ImageUri": SCORER},
            "ProcessingInputs": [{"InputName": "data", "S3Input": source}],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": output}]},
            "ProcessingResources": {"ClusterConfig": cluster},
            "Environment": {"ACCURACY": {"Std:Join": {"On": "", "Values": [get("Parameters.Accuracy")]}}},
        },
        "PropertyFiles": [
            {"PropertyFileName": "Report", "OutputName": "report", "FilePath": "report-algo-1.json"},
        ],
        **more,
    }


def train(name: str = "Train", **wishes: str) -> Definition:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://flow/in/", "S3DataDistributionType": "FullyReplicated"}
    return {
        "Name": name,
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {"TrainingImage": TRAINER, "TrainingInputMode": "File"},
            "HyperParameters": wishes,
            "RoleArn": ROLE,
            "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": "s3://flow/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
    }


def register() -> Definition:
    container = {"Image": SCORER, "ModelDataUrl": get("Steps.Train.ModelArtifacts.S3ModelArtifacts")}
    return {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "flow",
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        },
    }


def gate(*, yes: list[Definition], no: list[Definition]) -> Definition:
    value = {"Std:JsonGet": {"PropertyFile": get("Steps.Evaluate.PropertyFiles.Report"), "Path": "metrics.accuracy"}}
    condition = {"Type": "GreaterThanOrEqualTo", "LeftValue": value, "RightValue": 0.8}
    return {
        "Name": "Gate",
        "Type": "Condition",
        "Arguments": {"Conditions": [condition], "IfSteps": yes, "ElseSteps": no},
    }


def fail() -> Definition:
    message = {"Std:Join": {"On": " ", "Values": ["accuracy", get("Parameters.Accuracy"), "is too low"]}}
    return {"Name": "TooLow", "Type": "Fail", "Arguments": {"ErrorMessage": message}}


ACCURACY = [{"Name": "Accuracy", "Type": "Float", "DefaultValue": 0.9}]


def create(sagemaker: Any, *steps: Definition, parameters: list[Definition] | None = None) -> str:
    name = f"flow-{uuid.uuid4().hex[:8]}"
    definition = {"Version": "2020-12-01", "Parameters": parameters or [], "Steps": list(steps)}
    sagemaker.create_pipeline(
        PipelineName=name, RoleArn=ROLE, PipelineDefinition=json.dumps(definition), ClientRequestToken=uuid.uuid4().hex
    )
    return name


def start(sagemaker: Any, name: str, parameters: dict[str, str] | None = None, **more: Any) -> str:
    given = [{"Name": key, "Value": value} for key, value in (parameters or {}).items()]
    return sagemaker.start_pipeline_execution(PipelineName=name, PipelineParameters=given, **more)[
        "PipelineExecutionArn"
    ]


def ended(sagemaker: Any, arn: str) -> dict[str, Any]:
    deadline = time.monotonic() + 40
    while True:
        found = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        if found["PipelineExecutionStatus"] in {"Succeeded", "Failed", "Stopped"} or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def steps(sagemaker: Any, arn: str) -> dict[str, dict[str, Any]]:
    listed = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn, MaxResults=100)["PipelineExecutionSteps"]
    return {step["StepName"]: step for step in listed}


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def test_a_good_model_is_registered_and_a_bad_one_fails_the_pipeline(sagemaker: Any) -> None:
    name = create(sagemaker, train(), evaluate(), gate(yes=[register()], no=[fail()]), parameters=ACCURACY)
    good, bad = start(sagemaker, name), start(sagemaker, name, {"Accuracy": "0.5"})
    assert ended(sagemaker, good)["PipelineExecutionStatus"] == "Succeeded"
    ran = steps(sagemaker, good)
    assert ran["Gate"]["Metadata"]["Condition"]["Outcome"] == "True"
    assert "TooLow" not in ran
    package = sagemaker.describe_model_package(ModelPackageName=ran["Register"]["Metadata"]["RegisterModel"]["Arn"])
    job = sagemaker.describe_training_job(TrainingJobName=ran["Train"]["Metadata"]["TrainingJob"]["Arn"].split("/")[-1])
    assert (
        package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == job["ModelArtifacts"]["S3ModelArtifacts"]
    )
    end = ended(sagemaker, bad)
    assert (end["PipelineExecutionStatus"], end["FailureReason"]) == ("Failed", "accuracy 0.5 is too low")
    assert steps(sagemaker, bad)["Gate"]["Metadata"]["Condition"]["Outcome"] == "False"


def test_a_step_whose_inputs_did_not_change_comes_from_the_cache(sagemaker: Any) -> None:
    cached = evaluate(CacheConfig={"Enabled": True, "ExpireAfter": "P30D"})
    name = create(sagemaker, cached, parameters=ACCURACY)
    first = start(sagemaker, name)
    assert ended(sagemaker, first)["PipelineExecutionStatus"] == "Succeeded"
    second = start(sagemaker, name)
    assert ended(sagemaker, second)["PipelineExecutionStatus"] == "Succeeded"
    step = steps(sagemaker, second)["Evaluate"]
    assert step["CacheHitResult"] == {"SourcePipelineExecutionArn": first}
    assert step["Metadata"] == steps(sagemaker, first)["Evaluate"]["Metadata"]
    third = start(sagemaker, name, {"Accuracy": "0.7"})
    ended(sagemaker, third)
    assert "CacheHitResult" not in steps(sagemaker, third)["Evaluate"]


def test_a_failed_execution_goes_on_where_it_failed(sagemaker: Any, s3: Any) -> None:
    late = evaluate("Late", DependsOn=["Train"])
    late["Arguments"]["ProcessingInputs"][0]["S3Input"]["S3Uri"] = "s3://flow/late/"
    name = create(sagemaker, train(), late, parameters=ACCURACY)
    arn = start(sagemaker, name)
    assert ended(sagemaker, arn)["PipelineExecutionStatus"] == "Failed"
    before = steps(sagemaker, arn)
    assert (before["Train"]["StepStatus"], before["Late"]["StepStatus"]) == ("Succeeded", "Failed")
    assert "s3://flow/late/" in before["Late"]["FailureReason"]
    s3.put_object(Bucket="flow", Key="late/a.csv", Body=b"1\n")
    sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=uuid.uuid4().hex)
    assert ended(sagemaker, arn)["PipelineExecutionStatus"] == "Succeeded"
    assert steps(sagemaker, arn)["Train"]["Metadata"] == before["Train"]["Metadata"]


def test_a_stopped_execution_stops_what_it_started(sagemaker: Any, app: App) -> None:
    name = create(sagemaker, train(wait="60"), evaluate(DependsOn=["Train"]), parameters=ACCURACY)
    arn = start(sagemaker, name)
    job = until(lambda: steps(sagemaker, arn).get("Train", {}).get("Metadata", {}).get("TrainingJob", {}).get("Arn"))
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=uuid.uuid4().hex)
    assert ended(sagemaker, arn)["PipelineExecutionStatus"] == "Stopped"
    assert sagemaker.describe_training_job(TrainingJobName=job.split("/")[-1])["TrainingJobStatus"] == "Stopped"
    assert set(steps(sagemaker, arn)) == {"Train"}


def test_selected_steps_reuse_the_rest_of_an_earlier_execution(sagemaker: Any) -> None:
    name = create(sagemaker, train(), evaluate(), parameters=ACCURACY)
    first = start(sagemaker, name)
    ended(sagemaker, first)
    chosen = {"SourcePipelineExecutionArn": first, "SelectedSteps": [{"StepName": "Evaluate"}]}
    second = start(sagemaker, name, SelectiveExecutionConfig=chosen)
    assert ended(sagemaker, second)["PipelineExecutionStatus"] == "Succeeded"
    ran, before = steps(sagemaker, second), steps(sagemaker, first)
    assert ran["Train"]["SelectiveExecutionResult"] == {"SourcePipelineExecutionArn": first}
    assert ran["Train"]["Metadata"] == before["Train"]["Metadata"]
    assert ran["Evaluate"]["Metadata"] != before["Evaluate"]["Metadata"]


def test_a_callback_step_waits_for_its_answer_and_hands_it_on(sagemaker: Any, client: Callable[..., Any]) -> None:
    sqs = client("sqs")
    queue = sqs.create_queue(QueueName="callbacks")["QueueUrl"]
    ask = {"Name": "Ask", "Type": "Callback", "Arguments": {"question": "go?"}, "SqsQueueUrl": queue}
    tell = {"Name": "Tell", "Type": "Fail", "Arguments": {"ErrorMessage": get("Steps.Ask.OutputParameters['answer']")}}
    arn = start(sagemaker, create(sagemaker, ask, tell))
    message = until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))[0]
    told = json.loads(message["Body"])
    assert told["arguments"] == {"question": "go?"}
    sagemaker.send_pipeline_execution_step_success(
        CallbackToken=told["token"], OutputParameters=[{"Name": "answer", "Value": "no"}]
    )
    assert ended(sagemaker, arn)["FailureReason"] == "no"


def test_starting_twice_with_one_token_is_one_execution(sagemaker: Any) -> None:
    name = create(sagemaker, fail(), parameters=ACCURACY)
    token = uuid.uuid4().hex
    assert start(sagemaker, name, ClientRequestToken=token) == start(sagemaker, name, ClientRequestToken=token)
    assert len(sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]) == 1


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"Depth": "3"}, "Depth not defined"),
        ({}, "Accuracy have no default"),
        ({"Accuracy": "high"}, "type Float"),
    ],
)
def test_parameters_are_checked_before_anything_runs(sagemaker: Any, given: dict[str, str], complaint: str) -> None:
    name = create(sagemaker, fail(), parameters=[{"Name": "Accuracy", "Type": "Float"}])
    with pytest.raises(ClientError, match=complaint):
        start(sagemaker, name, given)


def test_a_definition_that_is_no_pipeline_is_refused(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="Invalid JSON"):
        sagemaker.create_pipeline(
            PipelineName="broken", RoleArn=ROLE, PipelineDefinition="{", ClientRequestToken=uuid.uuid4().hex
        )
    with pytest.raises(ClientError, match="Step names must be unique: TooLow"):
        create(sagemaker, fail(), fail())


def test_retries_back_off_and_end() -> None:
    policies = [{"ExceptionType": ["Step.THROTTLING"], "IntervalSeconds": 2, "BackoffRate": 3.0, "MaxAttempts": 3}]
    assert [retry_pause(policies, "Step.THROTTLING", attempt) for attempt in (1, 2, 3)] == [2.0, 6.0, None]
    assert retry_pause(policies, "SageMaker.CAPACITY_ERROR", 1) is None


def test_durations_are_read_as_iso_8601() -> None:
    assert [seconds_of(text) for text in ("P30D", "PT12H", "P1W", "P1DT1M")] == [2592000, 43200, 604800, 86460]
