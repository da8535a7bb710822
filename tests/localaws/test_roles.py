"""Where permissions are enforced, what the platform does for a role it may do only as that role."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.app import App, start
from localaws.clock import Clock

Client = Callable[..., Any]
Statement = dict[str, Any]
ACCOUNT = "123456789012"
IMAGE = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::own/*"}
LIST = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::own"}
WRITE = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::own/*"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, settings: Callable[..., Any]) -> Iterator[App]:
    clock = Clock.stepped(datetime(2026, 1, 5, tzinfo=UTC))
    running = start(settings(tmp_path_factory.mktemp("roles"), enforce_iam=True), clock=clock)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(app: App, clients: Callable[[App], Client]) -> Client:
    make = clients(app)
    s3 = make("s3")
    s3.create_bucket(Bucket="own", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="own", Key="data/rows.csv", Body=b"1,2\n")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("model.txt"))
    s3.put_object(Bucket="own", Key="model.tar.gz", Body=packed.getvalue())
    return make


@pytest.fixture
def role(client: Client, request: pytest.FixtureRequest) -> Callable[..., str]:
    iam = client("iam")
    made: list[str] = []

    def make(*statements: Statement, service: str = "sagemaker") -> str:
        name = f"{request.node.name[:50]}-{len(made)}"
        trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        made.append(iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"])
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy)
        return made[-1]

    return make


def training(name: str, role: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://own/data"}
    return {
        "TrainingJobName": name,
        "RoleArn": role,
        "AlgorithmSpecification": {"TrainingImage": f"{IMAGE}/trainer:1", "TrainingInputMode": "File"},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": "s3://own/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }


def train(app: App, client: Client, name: str, role: str) -> dict[str, Any]:
    sagemaker = client("sagemaker")
    sagemaker.create_training_job(**training(name, role))
    app.plane.clock.settle()
    return sagemaker.describe_training_job(TrainingJobName=name)


def test_a_job_needs_a_role_that_reads_its_data_and_writes_its_model(
    app: App, client: Client, role: Callable[..., str]
) -> None:
    done = train(app, client, "may-all", role(READ, LIST, WRITE))
    assert (done["TrainingJobStatus"], done.get("FailureReason")) == ("Completed", None)

    blind = role(LIST, WRITE)
    failed = train(app, client, "may-not-read", blind)
    assert failed["TrainingJobStatus"] == "Failed"
    assert failed["FailureReason"].startswith("ClientError: Data download failed: ")
    assert (
        "is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::own/data/rows.csv"
        in (failed["FailureReason"])
    )
    assert blind in failed["FailureReason"]

    mute = train(app, client, "may-not-write", role(READ, LIST))
    assert mute["TrainingJobStatus"] == "Failed"
    assert mute["FailureReason"].startswith("ClientError: Artifact upload failed: ")
    assert "s3:PutObject" in mute["FailureReason"]


def test_a_channel_the_role_cannot_list_is_refused_at_once(client: Client, role: Callable[..., str]) -> None:
    with pytest.raises(ClientError, match='has "s3:ListBucket" permissions on the bucket'):
        client("sagemaker").create_training_job(**training("may-not-list", role(READ, WRITE)))


def test_a_job_s_program_works_with_its_role_s_session(app: App, client: Client, role: Callable[..., str]) -> None:
    train(app, client, "who-am-i", role(READ, LIST, WRITE))
    body = client("s3").get_object(Bucket="own", Key="models/who-am-i/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        told = json.loads(tar.extractfile("algo-1.json").read())  # type: ignore[union-attr]
    environment = told["environment"]
    assert environment["AWS_ACCESS_KEY_ID"] != ACCOUNT
    assert environment["AWS_SESSION_TOKEN"]


def test_an_endpoint_needs_a_role_that_reads_its_model(app: App, client: Client, role: Callable[..., str]) -> None:
    sagemaker = client("sagemaker")
    served = {}
    for name, statements in (("seeing", [READ]), ("blind", [WRITE])):
        container = {"Image": f"{IMAGE}/echo:1", "ModelDataUrl": "s3://own/model.tar.gz"}
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role(*statements), PrimaryContainer=container)
        variant = {"VariantName": "a", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        app.plane.clock.settle()
        served[name] = sagemaker.describe_endpoint(EndpointName=name)
        sagemaker.delete_endpoint(EndpointName=name)
    assert served["seeing"]["EndpointStatus"] == "InService"
    assert served["blind"]["EndpointStatus"] == "Failed"
    assert served["blind"]["FailureReason"].startswith("Could not access model data at s3://own/model.tar.gz.")
    assert 'it has "s3:GetObject" permissions' in served["blind"]["FailureReason"]
    app.plane.clock.settle()


def test_a_pipeline_s_steps_do_what_its_role_may(app: App, client: Client, role: Callable[..., str]) -> None:
    sagemaker = client("sagemaker")
    worker = role(READ, LIST, WRITE)
    jobs = {
        "Effect": "Allow",
        "Action": ["sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob"],
        "Resource": f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:training-job/*",
    }
    passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": worker}
    arguments = {key: value for key, value in training("", worker).items() if key != "TrainingJobName"}
    definition = {"Version": "2020-12-01", "Steps": [{"Name": "Train", "Type": "Training", "Arguments": arguments}]}
    ends = {}
    for name, statements in (("full", [jobs, passing]), ("no-pass", [jobs]), ("no-jobs", [passing])):
        sagemaker.create_pipeline(
            PipelineName=name,
            ClientRequestToken="t" * 32,
            PipelineDefinition=json.dumps(definition),
            RoleArn=role(*statements),
        )
        execution = sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
        app.plane.clock.settle()
        (step,) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution)["PipelineExecutionSteps"]
        ends[name] = step["StepStatus"], step.get("FailureReason", "")
    assert ends["full"] == ("Succeeded", "")
    assert ends["no-pass"][0] == ends["no-jobs"][0] == "Failed"
    assert f"is not authorized to perform: iam:PassRole on resource: {worker}" in ends["no-pass"][1]
    assert "is not authorized to perform: sagemaker:CreateTrainingJob" in ends["no-jobs"][1]


def test_a_schedule_calls_with_its_role(app: App, client: Client, role: Callable[..., str]) -> None:
    queue = client("sqs").create_queue(QueueName="undelivered")["QueueUrl"]
    grouping = {"Effect": "Allow", "Action": "sagemaker:CreateModelPackageGroup", "Resource": "*"}
    telling = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
    for name, statements in (("may", [grouping]), ("may-not", [telling])):
        client("scheduler").create_schedule(
            Name=name,
            ScheduleExpression="rate(1 hours)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={
                "Arn": "arn:aws:scheduler:::aws-sdk:sagemaker:createModelPackageGroup",
                "RoleArn": role(*statements, service="scheduler"),
                "Input": json.dumps({"ModelPackageGroupName": f"made-by-{name}"}),
                "DeadLetterConfig": {"Arn": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:undelivered"},
                "RetryPolicy": {"MaximumRetryAttempts": 0},
            },
        )
    app.plane.clock.advance(60)
    groups = client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
    assert [group["ModelPackageGroupName"] for group in groups] == ["made-by-may"]
    (dead,) = client("sqs").receive_message(QueueUrl=queue, MessageAttributeNames=["All"])["Messages"]
    assert "not authorized" in dead["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"]
