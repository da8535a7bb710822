"""The repository's own training and serving containers, through the API, in the backend this machine runs best."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from localaws.app import start
from localaws.plane import Settings

World = Any  # the fixture of conftest.py
ROOT = Path(__file__).resolve().parents[3]
ROLE = "arn:aws:iam::123456789012:role/sagemaker"


@pytest.fixture(scope="module")
def world(make_world: Callable[..., World], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    work = tmp_path_factory.mktemp("work")
    running = start(Settings(containers=ROOT, work=work, interpreter=sys.executable))

    def client(service: str) -> Any:
        build: Callable[..., Any] = boto3.client
        return build(
            service,
            endpoint_url=running.url,
            region_name="eu-west-1",
            aws_access_key_id="123456789012",
            aws_secret_access_key="local",
        )

    yield make_world(running, client)
    running.stop()


def test_what_the_training_container_learned_the_serving_container_answers(world: World) -> None:
    """Under the real /opt/ml where private mount namespaces are allowed."""
    from training import sample

    world.bucket("lake")
    table = sample.churn(600, 1)
    world.s3.put_object(Bucket="lake", Key="train/part-0.csv", Body=table.write_csv().encode())
    world.sm.create_training_job(
        TrainingJobName="churn",
        AlgorithmSpecification={"TrainingImage": "1.dkr.ecr/slipway-local/training:1", "TrainingInputMode": "File"},
        RoleArn=ROLE,
        HyperParameters={"target": sample.TARGET, "max_iter": "10", "max_leaf_nodes": "7"},
        InputDataConfig=[
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://lake/train/"}},
            }
        ],
        OutputDataConfig={"S3OutputPath": "s3://lake/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        Environment={"OMP_NUM_THREADS": "1"},
    )

    def trained() -> dict[str, Any]:
        return world.sm.describe_training_job(TrainingJobName="churn")

    assert world.until(lambda: trained()["TrainingJobStatus"] != "InProgress", 120)
    assert trained()["TrainingJobStatus"] == "Completed", trained().get("FailureReason")
    world.sm.create_model(
        ModelName="churn",
        PrimaryContainer={
            "Image": "1.dkr.ecr/slipway-local/inference:1",
            "ModelDataUrl": trained()["ModelArtifacts"]["S3ModelArtifacts"],
        },
        ExecutionRoleArn=ROLE,
    )
    world.up("churn", {"champion": ("churn", 1, 1)})
    described = world.describe("churn")
    assert described["EndpointStatus"] == "InService", described
    rows = table.drop(sample.TARGET).head(5)
    answer = world.runtime.invoke_endpoint(
        EndpointName="churn", Body=rows.write_csv(include_header=False), ContentType="text/csv", Accept="text/csv"
    )
    said = [line.split(",")[0] for line in answer["Body"].read().decode().splitlines()]
    assert len(said) == 5
    assert set(said) <= {"no", "yes"}
    assert answer["InvokedProductionVariant"] == "champion"
    world.down("churn")
