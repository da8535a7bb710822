"""What moto's SageMaker gets right is kept: every operation it has, driven against it and against ours.

Each case tells what AWS documents. Ours must answer that; where moto answers otherwise the case stands in the table of
docs/moto-differences.md with the reason, and only there.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localaws.app import App
from localaws.coverage import moto_has
from localaws.server import Server

PAGE = Path(__file__).parent.parent.parent / "docs" / "moto-differences.md"
OURS = "210987654321"  # the account that ours is asked in
ROLE = "arn:aws:iam::123456789012:role/service"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
ARN = re.compile(r"arn:aws:[\w-]+:[\w-]*:\d*:[\w./-]+")
CLUSTER = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}


# --- what is driven --------------------------------------------------------------------------------------------------


class Aws:
    """One of the two, through boto3; remembers which operations were called."""

    def __init__(self, url: str, account: str) -> None:
        self.url, self.account = url, account
        self.called: set[str] = set()
        self.sm, self.s3, self.metrics = (self.client(name) for name in ("sagemaker", "s3", "sagemaker-metrics"))
        self.sm.meta.events.register(
            "before-call.sagemaker", lambda model, **_: self.called.add(model.name), "remembered"
        )

    def client(self, service: str) -> Any:
        build: Callable[..., Any] = boto3.client
        return build(
            service,
            endpoint_url=self.url,
            region_name="eu-west-1",
            aws_access_key_id=self.account,
            aws_secret_access_key="local",
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
        )

    def bucket(self, name: str, **objects: bytes) -> None:
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for key, body in objects.items():
            self.s3.put_object(Bucket=name, Key=key, Body=body)

    def model(self, name: str, **container: Any) -> str:
        image = {"Image": f"{IMAGE}/echo:1", **container}
        return self.sm.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=image)["ModelArn"]

    def config(self, name: str, model: str, **more: Any) -> Any:
        variant = {"VariantName": "a", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        return self.sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant | more])


def until(look: Callable[[], str], busy: set[str]) -> str:
    """What comes after the busy statuses."""
    deadline = time.monotonic() + 60
    while (found := look()) in busy:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def refused(call: Callable[[], Any]) -> str:
    """Code and text of a refusal; what it answered when there was none."""
    try:
        call()
    except ClientError as error:
        told = error.response["Error"]
        return f"{told['Code']}: {ARN.sub('<arn>', told['Message'])}"
    except Exception as error:  # noqa: BLE001  an answer that boto3 cannot read
        return f"unreadable: {type(error).__name__}"
    return "accepted"


def gone(call: Callable[[], Any]) -> str:
    """Code and text of a refusal as far as providers read it: without the ARN at its end."""
    return re.split(r" ['\"]?<arn>", refused(call))[0]


def some(body: Any, *members: str) -> dict[str, Any]:
    return {member: body.get(member, "absent") for member in members}


def names(listed: list[Any], member: str) -> list[str]:
    return [item[member] for item in listed]


# --- the cases -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    name: str
    play: Callable[[Aws], Any]
    documented: Any


CASES: dict[str, Case] = {}


def answers(documented: Any) -> Callable[[Callable[[Aws], Any]], Callable[[Aws], Any]]:
    """Adds a case whose answers AWS documents."""

    def add(play: Callable[[Aws], Any]) -> Callable[[Aws], Any]:
        name = play.__name__.replace("_", " ")
        CASES[name] = Case(name, play, documented)
        return play

    return add


# models, configurations, endpoints


@answers(
    {
        "arn": "arn:aws:sagemaker:eu-west-1:123456789012:model/plain",
        "described": {
            "ModelName": "plain",
            "PrimaryContainer": {"Image": f"{IMAGE}/echo:1", "Environment": {"A": "1"}},
            "ExecutionRoleArn": ROLE,
            "EnableNetworkIsolation": False,
        },
        "listed": ["plain"],
        "gone": "ValidationException: Could not find model",
    }
)
def a_model_lives(aws: Aws) -> Any:
    arn = aws.model("plain", Environment={"A": "1"})
    described = aws.sm.describe_model(ModelName="plain")
    listed = names(aws.sm.list_models(NameContains="plain")["Models"], "ModelName")
    aws.sm.delete_model(ModelName="plain")
    return {
        "arn": arn,
        "described": some(described, "ModelName", "PrimaryContainer", "ExecutionRoleArn", "EnableNetworkIsolation"),
        "listed": listed,
        "gone": gone(lambda: aws.sm.describe_model(ModelName="plain")),
    }


@answers({"VpcConfig": "absent", "Containers": "absent"})
def a_model_tells_only_what_it_was_given(aws: Aws) -> Any:
    aws.model("bare")
    return some(aws.sm.describe_model(ModelName="bare"), "VpcConfig", "Containers")


@answers('ValidationException: Cannot create already existing model "<arn>".')
def a_model_is_made_once(aws: Aws) -> Any:
    aws.model("twice")
    return refused(lambda: aws.model("twice"))


@answers(True)
def a_model_keeps_its_isolation(aws: Aws) -> Any:
    aws.sm.create_model(
        ModelName="alone", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "x"}, EnableNetworkIsolation=True
    )
    return aws.sm.describe_model(ModelName="alone")["EnableNetworkIsolation"]


@answers([["page-2", "page-1"], ["page-0"]])
def models_are_listed_page_by_page_newest_first(aws: Aws) -> Any:
    for number in range(3):
        aws.model(f"page-{number}")
        time.sleep(0.002)
    first = aws.sm.list_models(NameContains="page-", MaxResults=2)
    rest = aws.sm.list_models(NameContains="page-", MaxResults=2, NextToken=first["NextToken"])
    return [names(page["Models"], "ModelName") for page in (first, rest)]


@answers(10)
def a_list_is_ten_long_when_nobody_says_how_long(aws: Aws) -> Any:
    for number in range(12):
        aws.model(f"many-{number:02d}")
    return len(aws.sm.list_models(NameContains="many-")["Models"])


@answers(
    {
        "arn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint-config/shop-config",
        "variant": {
            "VariantName": "a",
            "ModelName": "shop-model",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": 0.5,
        },
        "listed": ["shop-config"],
        "gone": "ValidationException: Could not find endpoint configuration",
    }
)
def a_configuration_lives(aws: Aws) -> Any:
    aws.model("shop-model")
    arn = aws.config("shop-config", "shop-model", InitialVariantWeight=0.5)["EndpointConfigArn"]
    described = aws.sm.describe_endpoint_config(EndpointConfigName="shop-config")
    listed = names(aws.sm.list_endpoint_configs(NameContains="shop-config")["EndpointConfigs"], "EndpointConfigName")
    aws.sm.delete_endpoint_config(EndpointConfigName="shop-config")
    members = ("VariantName", "ModelName", "InstanceType", "InitialInstanceCount", "InitialVariantWeight")
    return {
        "arn": arn,
        "variant": some(described["ProductionVariants"][0], *members),
        "listed": listed,
        "gone": gone(lambda: aws.sm.describe_endpoint_config(EndpointConfigName="shop-config")),
    }


@answers("ValidationException: Could not find model")
def a_configuration_names_models_that_exist(aws: Aws) -> Any:
    return gone(lambda: aws.config("ghostly", "ghost"))


@answers('ValidationException: Cannot create already existing endpoint configuration "<arn>".')
def a_configuration_is_made_once(aws: Aws) -> Any:
    aws.model("double-model")
    aws.config("double", "double-model")
    return refused(lambda: aws.config("double", "double-model"))


@answers("accepted")
def a_configuration_takes_instance_types_of_today(aws: Aws) -> Any:
    aws.model("new-model")
    return refused(lambda: aws.config("new-type", "new-model", InstanceType="ml.m7i.large"))


@answers({"ShadowProductionVariants": ["shadow"], "AsyncInferenceConfig": "kept", "KmsKeyId": "alias/own"})
def a_configuration_keeps_shadows_and_asynchronous_inference(aws: Aws) -> Any:
    aws.model("dark-model")
    variant = {"ModelName": "dark-model", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    aws.sm.create_endpoint_config(
        EndpointConfigName="dark",
        ProductionVariants=[variant | {"VariantName": "a"}],
        ShadowProductionVariants=[variant | {"VariantName": "shadow"}],
        KmsKeyId="alias/own",
    )
    output = {"S3OutputPath": "s3://own/out", "KmsKeyId": "alias/own"}
    aws.sm.create_endpoint_config(
        EndpointConfigName="later",
        ProductionVariants=[variant | {"VariantName": "a"}],
        AsyncInferenceConfig={"OutputConfig": output},
    )
    dark = aws.sm.describe_endpoint_config(EndpointConfigName="dark")
    later = aws.sm.describe_endpoint_config(EndpointConfigName="later")
    return {
        "ShadowProductionVariants": names(dark.get("ShadowProductionVariants", []), "VariantName"),
        "AsyncInferenceConfig": "kept"
        if later.get("AsyncInferenceConfig", {}).get("OutputConfig") == output
        else "changed",
        "KmsKeyId": dark.get("KmsKeyId", "absent"),
    }


@answers(
    {
        "arn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/shop",
        "status": "InService",
        "described": {"EndpointName": "shop", "EndpointConfigName": "serve-config"},
        "variant": {"VariantName": "a", "CurrentWeight": 2.0, "CurrentInstanceCount": 1, "DesiredInstanceCount": 1},
        "listed": ["shop"],
        "gone": "ValidationException: Could not find endpoint",
    }
)
def an_endpoint_lives(aws: Aws) -> Any:
    aws.model("serve-model")
    aws.config("serve-config", "serve-model", InitialVariantWeight=2.0)
    arn = aws.sm.create_endpoint(EndpointName="shop", EndpointConfigName="serve-config")["EndpointArn"]
    status = until(lambda: aws.sm.describe_endpoint(EndpointName="shop")["EndpointStatus"], {"Creating"})
    described = aws.sm.describe_endpoint(EndpointName="shop")
    listed = names(aws.sm.list_endpoints(NameContains="shop")["Endpoints"], "EndpointName")
    members = ("VariantName", "CurrentWeight", "CurrentInstanceCount", "DesiredInstanceCount")
    aws.sm.delete_endpoint(EndpointName="shop")

    def look() -> str:
        return gone(lambda: aws.sm.describe_endpoint(EndpointName="shop"))

    return {
        "arn": arn,
        "status": status,
        "described": some(described, "EndpointName", "EndpointConfigName"),
        "variant": some(described["ProductionVariants"][0], *members),
        "listed": listed,
        "gone": until(look, {"accepted"}),
    }


@answers(["Creating", 'ValidationException: Cannot create already existing endpoint "<arn>".'])
def an_endpoint_takes_its_time_and_its_name(aws: Aws) -> Any:
    aws.model("slow-model", Environment={"READY_AFTER": "0.5"})
    aws.config("slow-config", "slow-model")
    names_ = {"EndpointName": "slow", "EndpointConfigName": "slow-config"}
    aws.sm.create_endpoint(**names_)
    status = aws.sm.describe_endpoint(EndpointName="slow")["EndpointStatus"]
    said = refused(lambda: aws.sm.create_endpoint(**names_))
    until(lambda: aws.sm.describe_endpoint(EndpointName="slow")["EndpointStatus"], {"Creating"})
    aws.sm.delete_endpoint(EndpointName="slow")
    return [status, said]


@answers(1.0)
def a_variant_weighs_one_when_nobody_says(aws: Aws) -> Any:
    aws.model("light-model")
    aws.config("light-config", "light-model")
    aws.sm.create_endpoint(EndpointName="light", EndpointConfigName="light-config")

    def look() -> Any:
        return aws.sm.describe_endpoint(EndpointName="light")

    until(lambda: look()["EndpointStatus"], {"Creating"})
    weight = look()["ProductionVariants"][0].get("CurrentWeight", "absent")
    aws.sm.delete_endpoint(EndpointName="light")
    return weight


@answers("ValidationException: Could not find endpoint configuration")
def an_endpoint_needs_a_configuration(aws: Aws) -> Any:
    return gone(lambda: aws.sm.create_endpoint(EndpointName="none", EndpointConfigName="none"))


@answers({"weight": [3.0, 1], "count": [3.0, 1], "unknown": "ValidationException"})
def weights_and_counts_change_apart(aws: Aws) -> Any:
    aws.model("w-model")
    aws.config("w-config", "w-model")
    aws.sm.create_endpoint(EndpointName="weighted", EndpointConfigName="w-config")

    def settled() -> Any:
        until(lambda: aws.sm.describe_endpoint(EndpointName="weighted")["EndpointStatus"], {"Creating", "Updating"})
        return aws.sm.describe_endpoint(EndpointName="weighted")["ProductionVariants"][0]

    def change(name: str, **wanted: Any) -> list[Any]:
        aws.sm.update_endpoint_weights_and_capacities(
            EndpointName="weighted", DesiredWeightsAndCapacities=[{"VariantName": name, **wanted}]
        )
        found = settled()
        return [found.get("CurrentWeight"), found.get("CurrentInstanceCount")]

    settled()
    told = {"weight": change("a", DesiredWeight=3.0), "count": change("a", DesiredInstanceCount=1)}
    said = refused(lambda: change("ghost", DesiredWeight=1.0)).partition(":")[0]
    aws.sm.delete_endpoint(EndpointName="weighted")
    return {**told, "unknown": said}


@answers(
    {
        "model": 'ValidationException: Could not find model "<arn>".',
        "endpoint": 'ValidationException: Could not find endpoint "<arn>".',
        "configuration": 'ValidationException: Could not find endpoint configuration "<arn>".',
        "training job": "ValidationException: Requested resource not found.",
        "pipeline": "ResourceNotFound",
        "feature group": "ResourceNotFound",
        "experiment": "ResourceNotFound",
        "card": "ResourceNotFound",
        "tuning job": "ResourceNotFound",
    }
)
def what_is_missing_is_told_in_aws_s_words(aws: Aws) -> Any:
    sm = aws.sm

    def code(call: Callable[[], Any]) -> str:
        return refused(call).partition(":")[0]

    return {
        "model": refused(lambda: sm.describe_model(ModelName="ghost")),
        "endpoint": refused(lambda: sm.describe_endpoint(EndpointName="ghost")),
        "configuration": refused(lambda: sm.describe_endpoint_config(EndpointConfigName="ghost")),
        "training job": refused(lambda: sm.describe_training_job(TrainingJobName="ghost")),
        "pipeline": code(lambda: sm.describe_pipeline(PipelineName="ghost")),
        "feature group": code(lambda: sm.describe_feature_group(FeatureGroupName="ghost")),
        "experiment": code(lambda: sm.describe_experiment(ExperimentName="ghost")),
        "card": code(lambda: sm.describe_model_card(ModelCardName="ghost")),
        "tuning job": code(lambda: sm.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="ghost")),
    }


# jobs


def training(name: str, **more: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": f"{IMAGE}/trainer:1",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+);"}],
        },
        "HyperParameters": {"losses": "0.5,0.25"},
        "Environment": {"MY_OWN": "1"},
        "OutputDataConfig": {"S3OutputPath": "s3://jobs/models"},
        "ResourceConfig": CLUSTER,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **more,
    }


def trained(aws: Aws, name: str, **more: Any) -> Any:
    aws.sm.create_training_job(**training(name, **more))
    until(lambda: aws.sm.describe_training_job(TrainingJobName=name)["TrainingJobStatus"], {"InProgress"})
    return aws.sm.describe_training_job(TrainingJobName=name)


@answers(
    {
        "TrainingJobName": "fit",
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "HyperParameters": {"losses": "0.5,0.25"},
        "RoleArn": ROLE,
        "ResourceConfig": CLUSTER,
        "OutputDataConfig": "s3://jobs/models",
        "listed": ["fit"],
    }
)
def a_training_job_is_described_and_listed(aws: Aws) -> Any:
    described = trained(aws, "fit")
    members = ("TrainingJobName", "TrainingJobStatus", "SecondaryStatus", "HyperParameters", "RoleArn")
    listed = aws.sm.list_training_jobs(NameContains="fit", StatusEquals="Completed")["TrainingJobSummaries"]
    return {
        **some(described, *members, "ResourceConfig"),
        "OutputDataConfig": described["OutputDataConfig"]["S3OutputPath"],
        "listed": names(listed, "TrainingJobName"),
    }


@answers(
    {
        "metrics": [["loss", "loss=([0-9.]+);"]],
        "final": [["loss", 0.25]],
        "environment": {"MY_OWN": "1"},
        "statuses": ["Starting", "Downloading", "Training", "Uploading", "Completed"],
        "artifact": True,
    }
)
def a_training_job_tells_what_really_happened(aws: Aws) -> Any:
    described = trained(aws, "real")
    uri = described["ModelArtifacts"]["S3ModelArtifacts"]
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    listed = aws.s3.list_objects_v2(Bucket=bucket, Prefix=key) if bucket == "jobs" else {}
    definitions = described["AlgorithmSpecification"]["MetricDefinitions"]
    return {
        "metrics": [[item["Name"], item["Regex"]] for item in definitions],
        "final": [[item["MetricName"], item["Value"]] for item in described["FinalMetricDataList"]],
        "environment": described.get("Environment", "absent"),
        "statuses": names(described["SecondaryStatusTransitions"], "Status"),
        "artifact": listed.get("KeyCount") == 1,
    }


@answers(
    "ResourceInUse: Training job names must be unique within an AWS account and region, and a training job with this"
    " name already exists (<arn>)"
)
def a_training_job_s_name_is_used_once(aws: Aws) -> Any:
    trained(aws, "once")
    return refused(lambda: aws.sm.create_training_job(**training("once")))


@answers("ValidationException")
def a_training_job_s_data_must_be_there(aws: Aws) -> Any:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://jobs/nothing-here"}
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": source}}
    return refused(lambda: aws.sm.create_training_job(**training("no-data", InputDataConfig=[channel]))).partition(":")[
        0
    ]


def processing(name: str, **more: Any) -> dict[str, Any]:
    return {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": f"{IMAGE}/scorer:1", "ContainerArguments": ["count"]},
        "ProcessingResources": {"ClusterConfig": CLUSTER},
        **more,
    }


@answers(
    {
        "ProcessingJobName": "count",
        "ProcessingJobStatus": "Completed",
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": f"{IMAGE}/scorer:1", "ContainerArguments": ["count"]},
        "listed": ["count"],
        "missing": "ValidationException",
    }
)
def a_processing_job_is_described_and_listed(aws: Aws) -> Any:
    aws.sm.create_processing_job(**processing("count"))
    until(lambda: aws.sm.describe_processing_job(ProcessingJobName="count")["ProcessingJobStatus"], {"InProgress"})
    described = aws.sm.describe_processing_job(ProcessingJobName="count")
    return {
        **some(described, "ProcessingJobName", "ProcessingJobStatus", "RoleArn", "AppSpecification"),
        "listed": names(
            aws.sm.list_processing_jobs(NameContains="count")["ProcessingJobSummaries"], "ProcessingJobName"
        ),
        "missing": refused(lambda: aws.sm.describe_processing_job(ProcessingJobName="ghost")).partition(":")[0],
    }


@answers({"Environment": {"A": "1"}, "ProcessingResources": {"ClusterConfig": CLUSTER}})
def a_processing_job_keeps_its_environment(aws: Aws) -> Any:
    aws.sm.create_processing_job(**processing("kept", Environment={"A": "1"}))
    return some(aws.sm.describe_processing_job(ProcessingJobName="kept"), "Environment", "ProcessingResources")


@answers("ValidationException: The request was rejected because the processing job is in status Completed.")
def a_finished_processing_job_is_not_stopped(aws: Aws) -> Any:
    aws.sm.create_processing_job(**processing("over"))
    until(lambda: aws.sm.describe_processing_job(ProcessingJobName="over")["ProcessingJobStatus"], {"InProgress"})
    return refused(lambda: aws.sm.stop_processing_job(ProcessingJobName="over"))


def transform(name: str, model: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://jobs/rows"}
    return {
        "TransformJobName": name,
        "ModelName": model,
        "TransformInput": {"DataSource": {"S3DataSource": source}, "ContentType": "text/csv", "SplitType": "Line"},
        "TransformOutput": {"S3OutputPath": "s3://jobs/out"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }


@answers(
    {
        "TransformJobName": "batch",
        "TransformJobStatus": "Completed",
        "ModelName": "summing",
        "TransformInput": "Line",
        "listed": ["batch"],
        "result": b"3",
    }
)
def a_transform_job_is_described_and_listed(aws: Aws) -> Any:
    aws.model("summing", Image=f"{IMAGE}/scorer:1")
    aws.sm.create_transform_job(**transform("batch", "summing"))
    until(lambda: aws.sm.describe_transform_job(TransformJobName="batch")["TransformJobStatus"], {"InProgress"})
    described = aws.sm.describe_transform_job(TransformJobName="batch")
    out = aws.s3.list_objects_v2(Bucket="jobs", Prefix="out/").get("Contents", [])
    return {
        **some(described, "TransformJobName", "TransformJobStatus", "ModelName"),
        "TransformInput": described["TransformInput"]["SplitType"],
        "listed": names(aws.sm.list_transform_jobs(NameContains="batch")["TransformJobSummaries"], "TransformJobName"),
        "result": aws.s3.get_object(Bucket="jobs", Key=out[0]["Key"])["Body"].read().strip() if out else "none",
    }


@answers('ValidationException: Could not find model "<arn>".')
def a_transform_job_needs_a_model(aws: Aws) -> Any:
    return refused(lambda: aws.sm.create_transform_job(**transform("no-model", "ghost")))


def tuning(name: str) -> dict[str, Any]:
    definition = training("")
    del definition["TrainingJobName"], definition["HyperParameters"], definition["Environment"]
    definition["AlgorithmSpecification"] = {
        **definition["AlgorithmSpecification"],
        "MetricDefinitions": [{"Name": "score", "Regex": "score=(-?[0-9.]+);"}],
    }
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Grid",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
            "ResourceLimits": {"MaxParallelTrainingJobs": 2, "MaxNumberOfTrainingJobs": 2},
            "ParameterRanges": {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "2"]}]},
        },
        "TrainingJobDefinition": {**definition, "StaticHyperParameters": {"quadratic": "1"}},
    }


@answers(
    {
        "HyperParameterTuningJobName": "tune",
        "HyperParameterTuningJobStatus": "Completed",
        "strategy": "Grid",
        "listed": ["tune"],
        "missing": "ResourceNotFound",
    }
)
def a_tuning_job_is_described_and_listed(aws: Aws) -> Any:
    described = tuned(aws, "tune")
    listed = aws.sm.list_hyper_parameter_tuning_jobs(NameContains="tune")["HyperParameterTuningJobSummaries"]
    aws.sm.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="tune")

    def look() -> Any:
        return aws.sm.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="tune")

    return {
        **some(described, "HyperParameterTuningJobName", "HyperParameterTuningJobStatus"),
        "strategy": described["HyperParameterTuningJobConfig"]["Strategy"],
        "listed": names(listed, "HyperParameterTuningJobName"),
        "missing": refused(look).partition(":")[0],
    }


def tuned(aws: Aws, name: str) -> Any:
    aws.sm.create_hyper_parameter_tuning_job(**tuning(name))

    def look() -> Any:
        return aws.sm.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)

    until(lambda: look()["HyperParameterTuningJobStatus"], {"InProgress"})
    return look()


@answers({"counters": 2, "best": {"x": "2", "quadratic": "1"}, "is a job": "accepted"})
def a_tuning_job_tells_its_real_best_job(aws: Aws) -> Any:
    described = tuned(aws, "search")
    best = described["BestTrainingJob"]
    return {
        "counters": described["TrainingJobStatusCounters"]["Completed"],
        "best": best["TunedHyperParameters"] | {"quadratic": "1"},
        "is a job": refused(lambda: aws.sm.describe_training_job(TrainingJobName=best["TrainingJobName"])),
    }


# the registry


def package(aws: Aws, group: str, **more: Any) -> str:
    specification = {
        "Containers": [{"Image": f"{IMAGE}/echo:1", "ModelDataUrl": "s3://jobs/model.tar.gz"}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    return aws.sm.create_model_package(ModelPackageGroupName=group, InferenceSpecification=specification, **more)[
        "ModelPackageArn"
    ]


@answers(
    {
        "group": {"ModelPackageGroupName": "boats", "ModelPackageGroupStatus": "Completed"},
        "groups": ["boats"],
        "versions": ["boats/1", "boats/2"],
        "approved": ["boats/2"],
        "described": {"ModelPackageVersion": 2, "ModelApprovalStatus": "Approved", "ModelPackageStatus": "Completed"},
    }
)
def packages_are_versions_of_a_group(aws: Aws) -> Any:
    aws.sm.create_model_package_group(ModelPackageGroupName="boats")
    group = aws.sm.describe_model_package_group(ModelPackageGroupName="boats")
    package(aws, "boats", ModelApprovalStatus="PendingManualApproval")
    second = package(aws, "boats", ModelApprovalStatus="PendingManualApproval")
    aws.sm.update_model_package(ModelPackageArn=second, ModelApprovalStatus="Approved")

    def listed(**more: Any) -> list[str]:
        found = aws.sm.list_model_packages(ModelPackageGroupName="boats", **more)["ModelPackageSummaryList"]
        return sorted(item["ModelPackageArn"].split("/", 1)[1] for item in found)

    described = aws.sm.describe_model_package(ModelPackageName=second)
    groups = aws.sm.list_model_package_groups(NameContains="boats")["ModelPackageGroupSummaryList"]
    return {
        "group": some(group, "ModelPackageGroupName", "ModelPackageGroupStatus"),
        "groups": names(groups, "ModelPackageGroupName"),
        "versions": listed(),
        "approved": listed(ModelApprovalStatus="Approved"),
        "described": some(described, "ModelPackageVersion", "ModelApprovalStatus", "ModelPackageStatus"),
    }


@answers({"a": "1", "b": "2"})
def a_package_keeps_its_properties_when_it_is_approved(aws: Aws) -> Any:
    aws.sm.create_model_package_group(ModelPackageGroupName="noted")
    arn = package(aws, "noted", CustomerMetadataProperties={"a": "1"}, ModelApprovalStatus="PendingManualApproval")
    aws.sm.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"b": "2"})
    aws.sm.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    return aws.sm.describe_model_package(ModelPackageName=arn).get("CustomerMetadataProperties", "absent")


@answers("ValidationException: Model Package Group already exists: <arn>")
def a_group_is_made_once(aws: Aws) -> Any:
    aws.sm.create_model_package_group(ModelPackageGroupName="single")
    return refused(lambda: aws.sm.create_model_package_group(ModelPackageGroupName="single"))


CARD = {"model_overview": {"model_description": "Finds boats."}}


@answers(
    {
        "described": {"ModelCardName": "card", "ModelCardVersion": 2, "ModelCardStatus": "PendingReview"},
        "content": CARD,
        "versions": [2, 1],
        "listed": ["card"],
    }
)
def a_card_counts_its_versions(aws: Aws) -> Any:
    aws.sm.create_model_card(ModelCardName="card", Content=json.dumps(CARD), ModelCardStatus="Draft")
    aws.sm.update_model_card(ModelCardName="card", Content=json.dumps(CARD), ModelCardStatus="PendingReview")
    described = aws.sm.describe_model_card(ModelCardName="card")
    versions = aws.sm.list_model_card_versions(ModelCardName="card")["ModelCardVersionSummaryList"]
    listed = aws.sm.list_model_cards(NameContains="card")["ModelCardSummaries"]
    aws.sm.delete_model_card(ModelCardName="card")
    return {
        "described": some(described, "ModelCardName", "ModelCardVersion", "ModelCardStatus"),
        "content": json.loads(described["Content"]),
        "versions": sorted((item["ModelCardVersion"] for item in versions), reverse=True),
        "listed": names(listed, "ModelCardName"),
    }


@answers(CARD)
def a_card_keeps_its_content_when_its_status_changes(aws: Aws) -> Any:
    aws.sm.create_model_card(ModelCardName="steady", Content=json.dumps(CARD), ModelCardStatus="Draft")
    aws.sm.update_model_card(ModelCardName="steady", ModelCardStatus="Approved")
    return json.loads(aws.sm.describe_model_card(ModelCardName="steady").get("Content", "null"))


# pipelines

DEFINITION = {
    "Version": "2020-12-01",
    "Parameters": [{"Name": "size", "Type": "Integer", "DefaultValue": 1}],
    "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "as told"}}],
}


def pipeline(aws: Aws, name: str, definition: str) -> Any:
    return aws.sm.create_pipeline(
        PipelineName=name, PipelineDefinition=definition, ClientRequestToken="t" * 32, RoleArn=ROLE
    )


@answers(
    {
        "described": {
            "PipelineName": "way",
            "PipelineDisplayName": "The-way",
            "PipelineStatus": "Active",
            "RoleArn": ROLE,
        },
        "definition": DEFINITION,
        "listed": ["way"],
        "parameters": [{"Name": "size", "Value": "3"}],
        "ran": DEFINITION,
        "executions": 1,
        "left": [],
    }
)
def a_pipeline_lives(aws: Aws) -> Any:
    pipeline(aws, "way", json.dumps(DEFINITION))
    aws.sm.update_pipeline(PipelineName="way", PipelineDisplayName="The-way")
    described = aws.sm.describe_pipeline(PipelineName="way")
    execution = aws.sm.start_pipeline_execution(
        PipelineName="way", PipelineParameters=[{"Name": "size", "Value": "3"}]
    )["PipelineExecutionArn"]
    ended(aws, execution)
    told = {
        "described": some(described, "PipelineName", "PipelineDisplayName", "PipelineStatus", "RoleArn"),
        "definition": json.loads(described["PipelineDefinition"]),
        "listed": names(aws.sm.list_pipelines(PipelineNamePrefix="way")["PipelineSummaries"], "PipelineName"),
        "parameters": aws.sm.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution)[
            "PipelineParameters"
        ],
        "ran": json.loads(
            aws.sm.describe_pipeline_definition_for_execution(PipelineExecutionArn=execution)["PipelineDefinition"]
        ),
        "executions": len(aws.sm.list_pipeline_executions(PipelineName="way")["PipelineExecutionSummaries"]),
    }
    aws.sm.delete_pipeline(PipelineName="way", ClientRequestToken="d" * 32)
    return {**told, "left": aws.sm.list_pipelines(PipelineNamePrefix="way")["PipelineSummaries"]}


def ended(aws: Aws, execution: str) -> str:
    def look() -> str:
        return aws.sm.describe_pipeline_execution(PipelineExecutionArn=execution)["PipelineExecutionStatus"]

    return until(look, {"Executing"})


@answers("Failed")
def an_execution_runs_its_steps(aws: Aws) -> Any:
    pipeline(aws, "failing", json.dumps(DEFINITION))
    return ended(aws, aws.sm.start_pipeline_execution(PipelineName="failing")["PipelineExecutionArn"])


@answers("ValidationException")
def a_definition_must_be_json(aws: Aws) -> Any:
    return refused(lambda: pipeline(aws, "nonsense", "nonsense")).partition(":")[0]


# features, job definitions


def features(aws: Aws, name: str, **stores: Any) -> None:
    aws.sm.create_feature_group(
        FeatureGroupName=name,
        RecordIdentifierFeatureName="id",
        EventTimeFeatureName="at",
        FeatureDefinitions=[
            {"FeatureName": "id", "FeatureType": "String"},
            {"FeatureName": "at", "FeatureType": "String"},
        ],
        RoleArn=ROLE,
        **stores,
    )


@answers(
    {
        "status": "Created",
        "FeatureGroupName": "crew",
        "RecordIdentifierFeatureName": "id",
        "EventTimeFeatureName": "at",
        "features": ["id", "at"],
        "offline": "s3://jobs/offline",
    }
)
def a_feature_group_is_described(aws: Aws) -> Any:
    features(aws, "crew", OfflineStoreConfig={"S3StorageConfig": {"S3Uri": "s3://jobs/offline"}})
    status = until(lambda: aws.sm.describe_feature_group(FeatureGroupName="crew")["FeatureGroupStatus"], {"Creating"})
    described = aws.sm.describe_feature_group(FeatureGroupName="crew")
    return {
        "status": status,
        **some(described, "FeatureGroupName", "RecordIdentifierFeatureName", "EventTimeFeatureName"),
        "features": names(described["FeatureDefinitions"], "FeatureName"),
        "offline": described["OfflineStoreConfig"]["S3StorageConfig"]["S3Uri"],
    }


@answers({"EnableOnlineStore": True})
def a_feature_group_may_be_online_alone(aws: Aws) -> Any:
    said = refused(lambda: features(aws, "live", OnlineStoreConfig={"EnableOnlineStore": True}))
    if said != "accepted":
        return said
    return aws.sm.describe_feature_group(FeatureGroupName="live").get("OnlineStoreConfig", "absent")


def definition(noun: str, input_: str, output: str) -> Callable[[Aws], Any]:
    """The life of one of the four job definitions."""
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", noun).lower()
    endpoint = {"EndpointName": "watched", "LocalPath": "/opt/ml/processing/in"}
    place = {"S3Uri": "s3://jobs/report", "LocalPath": "/opt/ml/processing/out"}
    application: dict[str, Any] = {"ImageUri": f"{IMAGE}/scorer:1"}
    source: dict[str, Any] = {"EndpointInput": endpoint}
    if "Quality" not in noun:
        application["ConfigUri"] = "s3://jobs/config.json"
    if noun == "ModelQuality":
        application["ProblemType"] = "Regression"
    if noun in {"ModelQuality", "ModelBias"}:
        source["GroundTruthS3Input"] = {"S3Uri": "s3://jobs/truth"}

    def play(aws: Aws) -> Any:
        name = f"{snake.replace('_', '-')}-of-boats"

        def call(verb: str, **more: Any) -> Any:
            plural = "s" if verb == "list" else ""
            return getattr(aws.sm, f"{verb}_{snake}_job_definition{plural}")(**more)

        made = call(
            "create",
            JobDefinitionName=name,
            RoleArn=ROLE,
            JobResources={"ClusterConfig": CLUSTER},
            **{
                f"{noun}AppSpecification": application,
                input_: source,
                output: {"MonitoringOutputs": [{"S3Output": place}]},
            },
        )
        described = call("describe", JobDefinitionName=name)
        listed = call("list", NameContains=name)["JobDefinitionSummaries"]
        call("delete", JobDefinitionName=name)
        return {
            "arn": made["JobDefinitionArn"].rsplit(":", 1)[1],
            "application": described[f"{noun}AppSpecification"],
            "endpoint": described[input_]["EndpointInput"]["EndpointName"],
            "listed": names(listed, "MonitoringJobDefinitionName"),
            "gone": refused(lambda: call("describe", JobDefinitionName=name)).partition(":")[0],
        }

    play.__name__ = f"a_{snake}_definition_lives"
    documented = {
        "arn": f"{snake.replace('_', '-')}-job-definition/{snake.replace('_', '-')}-of-boats",
        "application": application,
        "endpoint": "watched",
        "listed": [f"{snake.replace('_', '-')}-of-boats"],
        "gone": "ResourceNotFound",
    }
    return answers(documented)(play)


for words in (
    ("DataQuality", "DataQualityJobInput", "DataQualityJobOutputConfig"),
    ("ModelQuality", "ModelQualityJobInput", "ModelQualityJobOutputConfig"),
    ("ModelBias", "ModelBiasJobInput", "ModelBiasJobOutputConfig"),
    ("ModelExplainability", "ModelExplainabilityJobInput", "ModelExplainabilityJobOutputConfig"),
):
    definition(*words)


# experiments, tags, search


@answers(
    {
        "experiment": {"ExperimentName": "trip"},
        "experiments": ["trip"],
        "trial": {"TrialName": "leg", "ExperimentName": "trip"},
        "trials": ["leg"],
        "component": {
            "TrialComponentName": "run",
            "Status": "Completed",
            "Parameters": {"speed": {"NumberValue": 4.0}},
        },
        "of the trial": ["run"],
        "apart": [],
        "left": [],
    }
)
def experiments_have_trials_and_components(aws: Aws) -> Any:
    sm = aws.sm
    sm.create_experiment(ExperimentName="trip")
    sm.create_trial(TrialName="leg", ExperimentName="trip")
    sm.create_trial_component(TrialComponentName="run", Status={"PrimaryStatus": "InProgress"})
    sm.update_trial_component(
        TrialComponentName="run", Status={"PrimaryStatus": "Completed"}, Parameters={"speed": {"NumberValue": 4.0}}
    )
    sm.associate_trial_component(TrialComponentName="run", TrialName="leg")
    component = sm.describe_trial_component(TrialComponentName="run")
    told = {
        "experiment": some(sm.describe_experiment(ExperimentName="trip"), "ExperimentName"),
        "experiments": names(sm.list_experiments()["ExperimentSummaries"], "ExperimentName"),
        "trial": some(sm.describe_trial(TrialName="leg"), "TrialName", "ExperimentName"),
        "trials": names(sm.list_trials(ExperimentName="trip")["TrialSummaries"], "TrialName"),
        "component": {
            "TrialComponentName": component["TrialComponentName"],
            "Status": component["Status"]["PrimaryStatus"],
            "Parameters": component["Parameters"],
        },
        "of the trial": names(
            sm.list_trial_components(TrialName="leg")["TrialComponentSummaries"], "TrialComponentName"
        ),
    }
    sm.disassociate_trial_component(TrialComponentName="run", TrialName="leg")
    told["apart"] = sm.list_trial_components(TrialName="leg")["TrialComponentSummaries"]
    sm.delete_trial_component(TrialComponentName="run")
    sm.delete_trial(TrialName="leg")
    sm.delete_experiment(ExperimentName="trip")
    return {**told, "left": sm.list_experiments()["ExperimentSummaries"]}


@answers(["Ten-boats", "What they do"])
def an_experiment_keeps_its_words(aws: Aws) -> Any:
    aws.sm.create_experiment(ExperimentName="worded", DisplayName="Ten-boats", Description="What they do")
    described = aws.sm.describe_experiment(ExperimentName="worded")
    aws.sm.delete_experiment(ExperimentName="worded")
    return [described.get("DisplayName", "absent"), described.get("Description", "absent")]


@answers("ResourceNotFound")
def a_trial_needs_its_experiment(aws: Aws) -> Any:
    said = refused(lambda: aws.sm.create_trial(TrialName="lost", ExperimentName="ghost"))
    return said.partition(":")[0]


@answers([{"MetricName": "speed", "Count": 2, "Last": 4.0, "Min": 3.0, "Max": 4.0, "Avg": 3.5}])
def metrics_of_a_component_are_summed_up(aws: Aws) -> Any:
    aws.sm.create_trial_component(TrialComponentName="measured")
    aws.metrics.batch_put_metrics(
        TrialComponentName="measured",
        MetricData=[
            {"MetricName": "speed", "Timestamp": 1767571200, "Step": 0, "Value": 3.0},
            {"MetricName": "speed", "Timestamp": 1767571260, "Step": 1, "Value": 4.0},
        ],
    )
    described = aws.sm.describe_trial_component(TrialComponentName="measured")
    return [some(item, "MetricName", "Count", "Last", "Min", "Max", "Avg") for item in described["Metrics"]]


def tags(aws: Aws, arn: str) -> dict[str, str]:
    return {item["Key"]: item["Value"] for item in aws.sm.list_tags(ResourceArn=arn)["Tags"]}


@answers([{"a": "1", "b": "2"}, {"b": "2"}])
def tags_are_added_and_removed(aws: Aws) -> Any:
    arn = aws.model("tagged")
    aws.sm.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    first = tags(aws, arn)
    aws.sm.delete_tags(ResourceArn=arn, TagKeys=["a"])
    return [first, tags(aws, arn)]


@answers([{"Key": "a", "Value": "2"}])
def a_tag_is_overwritten(aws: Aws) -> Any:
    arn = aws.model("retagged")
    for value in ("1", "2"):
        aws.sm.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": value}])
    return aws.sm.list_tags(ResourceArn=arn)["Tags"]


@answers({"package": [{"Key": "a", "Value": "1"}], "job": [{"Key": "a", "Value": "1"}]})
def everything_with_an_arn_takes_tags(aws: Aws) -> Any:
    aws.sm.create_model_package_group(ModelPackageGroupName="labelled")
    arns = {"package": package(aws, "labelled"), "job": trained(aws, "labelled")["TrainingJobArn"]}
    told = {}
    for what, arn in arns.items():
        said = refused(lambda: aws.sm.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}]))  # noqa: B023
        told[what] = aws.sm.list_tags(ResourceArn=arn)["Tags"] if said == "accepted" else said.partition(":")[0]
    return told


@answers([["found"], ["found"]])
def experiments_are_searched_by_name_and_tag(aws: Aws) -> Any:
    aws.sm.create_experiment(ExperimentName="found", Tags=[{"Key": "team", "Value": "sea"}])
    aws.sm.create_experiment(ExperimentName="other")
    told = []
    for name, operator, value in (("ExperimentName", "Contains", "oun"), ("Tags.team", "Equals", "sea")):
        filters = [{"Name": name, "Operator": operator, "Value": value}]
        found = aws.sm.search(Resource="Experiment", SearchExpression={"Filters": filters})["Results"]
        told.append([item["Experiment"]["ExperimentName"] for item in found])
    for name in ("found", "other"):
        aws.sm.delete_experiment(ExperimentName=name)
    return told


@answers(["fast"])
def training_jobs_are_searched_by_metric(aws: Aws) -> Any:
    trained(aws, "fast", HyperParameters={"losses": "0.1"})
    trained(aws, "slow", HyperParameters={"losses": "0.9"})
    filters = [{"Name": "Metrics.loss", "Operator": "LessThan", "Value": "0.2"}]
    try:
        found = aws.sm.search(Resource="TrainingJob", SearchExpression={"Filters": filters})["Results"]
    except ClientError as error:
        return error.response["Error"]["Code"]
    return [item["TrainingJob"]["TrainingJobName"] for item in found]


# what moto answers for us too


@answers(
    {
        "statuses": ["InService", "Stopped", "InService"],
        "listed": ["desk"],
        "hook": "desk-hooks",
        "gone": "ValidationException",
    }
)
def notebooks_live(aws: Aws) -> Any:
    sm, statuses = aws.sm, []
    sm.create_notebook_instance_lifecycle_config(NotebookInstanceLifecycleConfigName="desk-hooks")
    sm.create_notebook_instance(NotebookInstanceName="desk", InstanceType="ml.t3.medium", RoleArn=ROLE)

    def status() -> str:
        return sm.describe_notebook_instance(NotebookInstanceName="desk")["NotebookInstanceStatus"]

    statuses.append(status())
    sm.stop_notebook_instance(NotebookInstanceName="desk")
    statuses.append(status())
    sm.start_notebook_instance(NotebookInstanceName="desk")
    statuses.append(status())
    listed = names(sm.list_notebook_instances()["NotebookInstances"], "NotebookInstanceName")
    sm.stop_notebook_instance(NotebookInstanceName="desk")
    sm.delete_notebook_instance(NotebookInstanceName="desk")
    hook = {"NotebookInstanceLifecycleConfigName": "desk-hooks"}
    described = sm.describe_notebook_instance_lifecycle_config(**hook)
    sm.delete_notebook_instance_lifecycle_config(**hook)
    return {
        "statuses": statuses,
        "listed": listed,
        "hook": described["NotebookInstanceLifecycleConfigName"],
        "gone": refused(lambda: sm.describe_notebook_instance(NotebookInstanceName="desk")).partition(":")[0],
    }


@answers({"described": "harbour", "listed": ["harbour"], "left": []})
def domains_live(aws: Aws) -> Any:
    made = aws.sm.create_domain(
        DomainName="harbour", AuthMode="IAM", DefaultUserSettings={"ExecutionRole": ROLE}, SubnetIds=["subnet-1"],
        VpcId="vpc-1",
    )  # fmt: skip
    identity = made["DomainArn"].rsplit("/", 1)[1]
    described = aws.sm.describe_domain(DomainId=identity)
    listed = names(aws.sm.list_domains()["Domains"], "DomainName")
    aws.sm.delete_domain(DomainId=identity)
    return {"described": described["DomainName"], "listed": listed, "left": aws.sm.list_domains()["Domains"]}


@answers({"described": "fleet", "listed": ["fleet"], "nodes": 1, "node": "ml.c5.xlarge", "left": []})
def clusters_live(aws: Aws) -> Any:
    group = {
        "InstanceCount": 1,
        "InstanceGroupName": "workers",
        "InstanceType": "ml.c5.xlarge",
        "LifeCycleConfig": {"SourceS3Uri": "s3://sagemaker-jobs", "OnCreate": "on_create.sh"},
        "ExecutionRole": ROLE,
        "ThreadsPerCore": 1,
    }
    aws.sm.create_cluster(ClusterName="fleet", InstanceGroups=[group])
    nodes = aws.sm.list_cluster_nodes(ClusterName="fleet")["ClusterNodeSummaries"]
    node = aws.sm.describe_cluster_node(ClusterName="fleet", NodeId=nodes[0]["InstanceId"])["NodeDetails"]
    described = aws.sm.describe_cluster(ClusterName="fleet")
    listed = names(aws.sm.list_clusters()["ClusterSummaries"], "ClusterName")
    aws.sm.delete_cluster(ClusterName="fleet")
    return {
        "described": described["ClusterName"],
        "listed": listed,
        "nodes": len(nodes),
        "node": node["InstanceType"],
        "left": aws.sm.list_clusters()["ClusterSummaries"],
    }


@answers({"described": "smaller", "listed": ["smaller"], "left": []})
def compilation_jobs_live(aws: Aws) -> Any:
    aws.sm.create_compilation_job(
        CompilationJobName="smaller",
        RoleArn=ROLE,
        InputConfig={"S3Uri": "s3://jobs/model.tar.gz", "DataInputConfig": "{}", "Framework": "XGBOOST"},
        OutputConfig={"S3OutputLocation": "s3://jobs/compiled", "TargetDevice": "ml_m5"},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    described = aws.sm.describe_compilation_job(CompilationJobName="smaller")["CompilationJobName"]
    listed = names(aws.sm.list_compilation_jobs()["CompilationJobSummaries"], "CompilationJobName")
    aws.sm.delete_compilation_job(CompilationJobName="smaller")
    return {
        "described": described,
        "listed": listed,
        "left": aws.sm.list_compilation_jobs()["CompilationJobSummaries"],
    }


@answers({"described": "guess", "listed": ["guess"]})
def automl_jobs_are_kept(aws: Aws) -> Any:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://jobs/rows"}}
    aws.sm.create_auto_ml_job_v2(
        AutoMLJobName="guess",
        AutoMLJobInputDataConfig=[{"ChannelType": "training", "DataSource": source}],
        OutputDataConfig={"S3OutputPath": "s3://jobs/automl"},
        AutoMLProblemTypeConfig={
            "TabularJobConfig": {
                "TargetAttributeName": "y",
                "ProblemType": "Regression",
                "CompletionCriteria": {"MaxCandidates": 1},
            }
        },
        RoleArn=ROLE,
    )
    described = aws.sm.describe_auto_ml_job_v2(AutoMLJobName="guess")["AutoMLJobName"]
    listed = names(aws.sm.list_auto_ml_jobs()["AutoMLJobSummaries"], "AutoMLJobName")
    aws.sm.stop_auto_ml_job(AutoMLJobName="guess")
    return {"described": described, "listed": listed}


@answers([{"Key": "a", "Value": "1"}])
def what_moto_keeps_has_its_tags(aws: Aws) -> Any:
    made = aws.sm.create_notebook_instance(
        NotebookInstanceName="own-tags", InstanceType="ml.t3.medium", RoleArn=ROLE, Tags=[{"Key": "a", "Value": "1"}]
    )
    return aws.sm.list_tags(ResourceArn=made["NotebookInstanceArn"])["Tags"]


# --- the comparison --------------------------------------------------------------------------------------------------


@dataclass
class Both:
    ours: Aws
    moto: Aws
    played: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def both(app: App) -> Iterator[Both]:
    """Ours, and moto alone, of the same version; each with the bucket that jobs use.

    They share one process and so moto's own state, which is kept apart by account.
    """
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    with Server("127.0.0.1", 0) as server:
        server.start(DomainDispatcherApplication(create_backend_app))
        found = Both(Aws(app.url, OURS), Aws(server.url, "key"))
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            tar.addfile(tarfile.TarInfo("empty"))
        found.ours.bucket("jobs", **{"rows/one.csv": b"1,2\n", "model.tar.gz": packed.getvalue()})
        yield found


def played(case: Case, aws: Aws) -> Any:
    try:
        return seen(case.play(aws))
    except Exception as error:  # noqa: BLE001  whatever stops it is its answer
        return f"stopped: {type(error).__name__}: {str(error)[:200]}"


def seen(answer: Any) -> Any:
    """An answer as if both were one account."""
    if isinstance(answer, str):
        return answer.replace(OURS, "123456789012")
    if isinstance(answer, dict):
        return {key: seen(value) for key, value in answer.items()}
    return [seen(item) for item in answer] if isinstance(answer, list) else answer


def differences() -> dict[str, str]:
    """The table of the page: the case, and the reason."""
    _, _, *rows = re.findall(r"^\| (.+?) \| .+ \| (.+?) \|$|^\|-", PAGE.read_text(), re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("name", CASES)
def test_ours_answers_what_aws_documents_and_differs_from_moto_only_where_the_page_says_so(
    name: str, both: Both
) -> None:
    case = CASES[name]
    from_moto = played(case, both.moto)  # first: buckets are one namespace, and ours leaves objects
    assert played(case, both.ours) == case.documented
    assert (from_moto != case.documented) == (name in differences())


def test_every_operation_that_moto_has_is_driven(both: Both) -> None:
    for case in CASES.values():
        played(case, both.moto)
    assert moto_has("sagemaker") - both.moto.called - both.ours.called == set()


def test_every_row_of_the_page_is_a_case_and_has_its_reason() -> None:
    found = differences()
    assert set(found) - set(CASES) == set()
    assert all(reason.strip() for reason in found.values())
