"""Another AWS behind the gateway: here moto's own server, as LocalStack or a remote moto would be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localaws.app import App, start
from localaws.plane import SettingsError
from localaws.server import Server

Client = Callable[..., Any]


@pytest.fixture(scope="module")
def remote() -> Iterator[Server]:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    with Server("127.0.0.1", 0) as server:
        server.start(DomainDispatcherApplication(create_backend_app))
        yield server


@pytest.fixture(scope="module")
def app(remote: Server, tmp_path_factory: pytest.TempPathFactory, settings: Callable[..., Any]) -> Iterator[App]:
    running = start(settings(tmp_path_factory.mktemp("behind"), behind=remote.url))
    yield running
    running.stop()


def there(remote: Server, service: str) -> Any:
    """A client of the other AWS itself."""
    build: Client = boto3.client
    return build(
        service,
        endpoint_url=remote.url,
        region_name="eu-west-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(s3={"addressing_style": "path"}),
    )


def test_a_job_reads_and_writes_the_other_aws(app: App, client: Client, remote: Server) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    there(remote, "s3").put_object(Bucket="far", Key="rows/a.csv", Body=b"1,2\n")
    assert s3.get_object(Bucket="far", Key="rows/a.csv")["Body"].read() == b"1,2\n"
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://far/rows"}
    client("sagemaker").create_training_job(
        TrainingJobName="far",
        RoleArn="arn:aws:iam::123456789012:role/far",
        AlgorithmSpecification={"TrainingImage": "trainer:1", "TrainingInputMode": "File"},
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        OutputDataConfig={"S3OutputPath": "s3://far/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    client("sagemaker").get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName="far", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    made = there(remote, "s3").list_objects_v2(Bucket="far", Prefix="models/")["Contents"]
    assert "models/far/output/model.tar.gz" in [item["Key"] for item in made]
    streams = there(remote, "logs").describe_log_streams(logGroupName="/aws/sagemaker/TrainingJobs")["logStreams"]
    assert any(stream["logStreamName"].startswith("far/algo-1-") for stream in streams)


def test_what_the_other_aws_does_not_have_is_a_typed_501(client: Client) -> None:
    with pytest.raises(ClientError) as refused:
        client("sagemaker").list_labeling_jobs()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "ListLabelingJobs" in refused.value.response["Error"]["Message"]


def test_permissions_need_the_roles_that_are_kept_here(tmp_path: Path, settings: Callable[..., Any]) -> None:
    with pytest.raises(SettingsError, match="roles and policies"):
        start(settings(tmp_path, behind="http://127.0.0.1:9", enforce_iam=True))
