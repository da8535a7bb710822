"""Training jobs run the container's own program and leave what SageMaker leaves."""

from __future__ import annotations

import http.client
import io
import json
import tarfile
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from localaws.app import App

ROLE = "arn:aws:iam::123456789012:role/training"
FINAL = {"Completed", "Failed", "Stopped"}


@pytest.fixture(scope="module")
def s3(client: Callable[..., Any]) -> Any:
    s3 = client("s3")
    s3.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for index in range(5):
        s3.put_object(Bucket="data", Key=f"train/part-{index}.csv", Body=b"1,2\n")
    s3.put_object(Bucket="data", Key="validation/deep/er.csv", Body=b"3,4\n")
    return s3


@pytest.fixture(scope="module")
def sagemaker(client: Callable[..., Any], s3: Any) -> Any:
    return client("sagemaker")


def channel(name: str, uri: str, distribution: str = "FullyReplicated") -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": distribution}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "ContentType": "text/csv"}


def train(sagemaker: Any, name: str, *, count: int = 1, limit: int = 60, **more: Any) -> str:
    wishes = {key: str(value) for key, value in more.pop("wishes", {}).items()}
    request = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/slipway-local/trainer:1",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+);"}],
        },
        "HyperParameters": wishes,
        "InputDataConfig": [channel("train", "s3://data/train/")],
        "OutputDataConfig": {"S3OutputPath": "s3://data/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": limit},
    }
    return sagemaker.create_training_job(**request | more)["TrainingJobArn"]


def until(sagemaker: Any, name: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while True:
        found = sagemaker.describe_training_job(TrainingJobName=name)
        if wanted(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def finished(sagemaker: Any, name: str) -> dict[str, Any]:
    return until(sagemaker, name, lambda job: job["TrainingJobStatus"] in FINAL)


def waiting(app: App, name: str) -> bool:
    """The program is up: its first line is in the log."""
    return any("waiting" in line for line in log_lines(app, name))


def log_lines(app: App, name: str) -> list[str]:
    logs = app.plane.clients.get("logs", "123456789012", "eu-west-1")
    group = "/aws/sagemaker/TrainingJobs"
    try:
        found = logs.filter_log_events(logGroupName=group)["events"]  # moto does not look at a prefix
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [event["message"] for event in found if event["logStreamName"].startswith(f"{name}/")]


def archive(s3: Any, uri: str) -> dict[str, bytes]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    with tarfile.open(fileobj=io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read())) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


def test_a_job_trains_and_leaves_its_artifact_metrics_and_logs(sagemaker: Any, s3: Any, client: Any, app: App) -> None:
    arn = train(sagemaker, "churn-1", wishes={"depth": 6}, Environment={"MY_SEED": "7"})
    job = finished(sagemaker, "churn-1")
    assert (job["TrainingJobStatus"], job.get("FailureReason")) == ("Completed", None)
    assert [step["Status"] for step in job["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert all("EndTime" in step for step in job["SecondaryStatusTransitions"])
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == "s3://data/models/churn-1/output/model.tar.gz"
    seen = json.loads(archive(s3, job["ModelArtifacts"]["S3ModelArtifacts"])["algo-1.json"])
    assert seen["argv"] == ["train"]
    assert seen["hyperparameters"] == {"depth": "6"}
    assert seen["files"] == [f"train/part-{index}.csv" for index in range(5)]
    assert seen["channels"]["train"]["S3DistributionType"] == "FullyReplicated"
    assert seen["environment"]["TRAINING_JOB_ARN"] == arn
    assert seen["environment"]["MY_SEED"] == "7"
    assert archive(s3, "s3://data/models/churn-1/output/output.tar.gz") == {"notes.txt": b"trained"}
    assert [(metric["MetricName"], metric["Value"]) for metric in job["FinalMetricDataList"]] == [("loss", 0.25)]
    assert "loss=0.5;" in log_lines(app, "churn-1")
    found = client("cloudwatch").list_metrics(Namespace="/aws/sagemaker/TrainingJobs", MetricName="loss")["Metrics"]
    assert found[0]["Dimensions"] == [{"Name": "TrainingJobName", "Value": "churn-1"}]


def test_several_hosts_share_the_channel_by_key_and_their_models_are_merged(sagemaker: Any, s3: Any) -> None:
    train(sagemaker, "many", count=2, InputDataConfig=[channel("train", "s3://data/train", "ShardedByS3Key")])
    job = finished(sagemaker, "many")
    parts = archive(s3, job["ModelArtifacts"]["S3ModelArtifacts"])
    seen = [json.loads(parts[f"algo-{host}.json"]) for host in (1, 2)]
    assert [len(host["files"]) for host in seen] == [3, 2]
    assert [host["resources"]["current_host"] for host in seen] == ["algo-1", "algo-2"]
    assert seen[0]["resources"]["hosts"] == ["algo-1", "algo-2"]


def test_a_failing_program_fails_the_job_with_its_own_reason(sagemaker: Any) -> None:
    train(sagemaker, "doomed", wishes={"fail": "the label column is missing"})
    job = finished(sagemaker, "doomed")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: the label column is missing, exit code: 7"
    assert "ModelArtifacts" not in job or "S3ModelArtifacts" not in job["ModelArtifacts"]


def test_an_image_that_is_not_here_fails_the_job_and_says_where_it_was_looked_for(sagemaker: Any) -> None:
    algorithm = {"TrainingImage": "nowhere/unknown:1", "TrainingInputMode": "File"}
    train(sagemaker, "unknown", AlgorithmSpecification=algorithm)
    assert "unknown/Dockerfile" in finished(sagemaker, "unknown")["FailureReason"]


def test_a_stopped_job_ends_stopped_with_what_it_had(sagemaker: Any, s3: Any, app: App) -> None:
    train(sagemaker, "halted", wishes={"wait": 60})
    until(sagemaker, "halted", lambda _job: waiting(app, "halted"))
    sagemaker.stop_training_job(TrainingJobName="halted")
    job = finished(sagemaker, "halted")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert archive(s3, job["ModelArtifacts"]["S3ModelArtifacts"])
    with pytest.raises(ClientError, match="status Stopped"):
        sagemaker.stop_training_job(TrainingJobName="halted")


def test_a_job_that_runs_too_long_is_stopped_as_exceeded(sagemaker: Any) -> None:
    train(sagemaker, "slow", limit=1, wishes={"wait": 60})
    job = finished(sagemaker, "slow")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_spot_interruption_resumes_from_the_checkpoints(sagemaker: Any, s3: Any, app: App) -> None:
    arn = train(
        sagemaker,
        "spot",
        wishes={"wait": 60, "checkpoint": "epoch-3"},
        EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120},
        CheckpointConfig={"S3Uri": "s3://data/checkpoints/spot"},
    )
    until(sagemaker, "spot", lambda _job: waiting(app, "spot"))
    connection = http.client.HTTPConnection(urlsplit(app.url).netloc, timeout=10)
    connection.request("POST", "/_localaws/interrupt", json.dumps({"arn": arn}))
    assert json.load(connection.getresponse()) == {"interrupted": arn}
    connection.close()
    job = finished(sagemaker, "spot")
    assert [step["Status"] for step in job["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Interrupted",
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    seen = json.loads(archive(s3, job["ModelArtifacts"]["S3ModelArtifacts"])["algo-1.json"])
    assert seen["checkpoints"] == ["epoch-3"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"InputDataConfig": [channel("train", "s3://data/nothing/here")]}, "No S3 objects found under S3 URL"),
        ({"EnableManagedSpotTraining": True}, "Invalid MaxWaitTimeInSeconds"),
        ({"HyperParameters": {"long": "x" * 2501}}, "length less than or equal to 2500"),
        ({"InputDataConfig": [channel("a", "s3://data/train"), channel("a", "s3://data/train")]}, "must be unique"),
    ],
)
def test_a_request_that_cannot_work_is_refused_at_once(sagemaker: Any, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ClientError, match=complaint) as refused:
        train(sagemaker, "refused", **change)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_a_name_can_be_used_once(sagemaker: Any) -> None:
    train(sagemaker, "once")
    with pytest.raises(ClientError) as refused:
        train(sagemaker, "once")
    assert refused.value.response["Error"]["Code"] == "ResourceInUse"
    finished(sagemaker, "once")
    sagemaker.delete_training_job(TrainingJobName="once")
    with pytest.raises(ClientError, match="Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName="once")
