"""Capture, shadows, streams, asynchronous and serverless endpoints, many models in one container, several in a row."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError, EventStreamError

World = Any  # the fixture of conftest.py
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.fixture(scope="module", autouse=True)
def prepared(world: World) -> None:
    world.prepare()
    world.bucket("data")


def flush(world: World) -> None:
    assert urllib3.request("POST", f"{world.app.url}/_localaws/flush").status == 200


def capture(prefix: str, percentage: int = 100) -> dict[str, Any]:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": percentage,
        "DestinationS3Uri": f"s3://data/{prefix}",
        "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"], "CsvContentTypes": ["text/csv"]},
    }


def captured(world: World, prefix: str) -> list[tuple[str, dict[str, Any]]]:
    flush(world)
    return [
        (key, json.loads(line))
        for key, body in world.objects("data", prefix).items()
        for line in body.decode().splitlines()
    ]


def test_every_sampled_request_lands_in_s3_where_and_as_sagemaker_puts_it(world: World) -> None:
    world.up("watched", {"a": ("one", 1, 1), "b": ("two", 1, 1)}, DataCaptureConfig=capture("all"))
    for number in range(20):
        world.ask("watched", {"n": number}, InferenceId=f"id-{number}")
    with pytest.raises(ClientError):
        world.ask("watched", {"status": 500})
    found = captured(world, "all")
    assert len(found) == 20
    assert {record["eventMetadata"]["inferenceId"] for _, record in found} == {f"id-{n}" for n in range(20)}
    for key, record in found:
        assert re.fullmatch(rf"all/watched/(a|b)/\d{{4}}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{{3}}-{UUID}\.jsonl", key)
        assert record["captureData"]["endpointInput"]["encoding"] == "JSON"
        version = json.loads(record["captureData"]["endpointOutput"]["data"])["version"]
        assert version == ("one" if "/a/" in key else "two")
    shown = world.describe("watched")["DataCaptureConfig"]
    assert (shown["CaptureStatus"], shown["CurrentSamplingPercentage"]) == ("Started", 100)
    world.down("watched")


def test_sampling_keeps_its_share(world: World) -> None:
    world.up("sampled", {"a": ("one", 1, 1)}, DataCaptureConfig=capture("some", 30))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: world.ask("sampled"), range(300)))
    assert 50 <= len(captured(world, "some")) <= 135
    world.down("sampled")


def test_deleting_an_endpoint_writes_what_it_had_captured(world: World) -> None:
    world.up("short", {"a": ("one", 1, 1)}, DataCaptureConfig=capture("last"))
    world.ask("short")
    world.down("short")
    assert len(world.objects("data", "last")) == 1


def test_a_shadow_sees_requests_and_never_answers(world: World) -> None:
    shadow = {
        "VariantName": "shadow",
        "ModelName": world.model("shadow", STATUS="200"),
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
        "InitialVariantWeight": 1.0,
    }
    world.up(
        "mirrored", {"main": ("one", 1, 1)}, ShadowProductionVariants=[shadow], DataCaptureConfig=capture("mirror")
    )
    assert {world.ask("mirrored")["version"] for _ in range(10)} == {"one"}
    assert world.until(lambda: world.statistic("Invocations", "mirrored", "shadow") == 10)
    records = captured(world, "mirror")
    assert sum("/shadow/" in key for key, _ in records) == 10
    assert world.describe("mirrored")["ShadowProductionVariants"][0]["VariantName"] == "shadow"
    with pytest.raises(ClientError, match="not found"):
        world.ask("mirrored", TargetVariant="shadow")
    world.down("mirrored")


def stream(world: World, name: str, **wishes: Any) -> Any:
    return world.runtime.invoke_endpoint_with_response_stream(EndpointName=name, Body=json.dumps(wishes))


def test_a_stream_arrives_in_parts_and_may_break(world: World) -> None:
    world.up("streaming", {"a": ("one", 1, 1)}, DataCaptureConfig=capture("streamed"))
    answer = stream(world, "streaming", stream=["one ", "two ", "three"])
    assert answer["ContentType"] == "text/plain"
    assert answer["InvokedProductionVariant"] == "a"
    parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    assert b"".join(parts) == b"one two three"
    broken = stream(world, "streaming", stream=["one ", "break"])["Body"]
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        list(broken)
    broken.close()
    with pytest.raises(ClientError) as caught:
        stream(world, "streaming", status=500)
    assert caught.value.response["Error"]["Code"] == "ModelError"
    assert world.until(lambda: world.statistic("Invocations", "streaming", "a") == 3)
    assert world.statistic("Invocation5XXErrors", "streaming", "a") == 2
    world.down("streaming")


def later(world: World, name: str, count: int = 1, **output: Any) -> None:
    world.config(
        name,
        {"a": ("one", 1, count)},
        AsyncInferenceConfig={
            "OutputConfig": {
                "S3OutputPath": f"s3://data/{name}/out",
                "S3FailurePath": f"s3://data/{name}/bad",
                **output,
            },
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2},
        },
    )
    world.endpoint(name, name)
    world.settled(name)


def test_an_asynchronous_result_lands_in_s3_and_is_told_through_sns(world: World) -> None:
    sns, sqs = world.client("sns"), world.client("sqs")
    topics = {kind: sns.create_topic(Name=kind)["TopicArn"] for kind in ("good", "bad")}
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]
    for topic in topics.values():
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:eu-west-1:123456789012:told")
    notify = {
        "SuccessTopic": topics["good"],
        "ErrorTopic": topics["bad"],
        "IncludeInferenceResponseIn": ["SUCCESS_NOTIFICATION_TOPIC"],
    }
    later(world, "later", NotificationConfig=notify)
    world.s3.put_object(Bucket="data", Key="in/good", Body=b'{"answer": "well"}')
    world.s3.put_object(Bucket="data", Key="in/bad", Body=b'{"status": 500, "answer": "ill"}')

    def ask(key: str) -> Any:
        return world.runtime.invoke_endpoint_async(
            EndpointName="later", InputLocation=f"s3://data/{key}", ContentType="application/json", InferenceId=key[3:]
        )

    good, bad = ask("in/good"), ask("in/bad")
    assert good["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert good["InferenceId"] == "good"
    assert re.fullmatch(rf"s3://data/later/out/{UUID}\.out", good["OutputLocation"])
    told: dict[str, dict[str, Any]] = {}

    def all_told() -> bool:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ()):
            said = json.loads(json.loads(message["Body"])["Message"])
            told[said["inferenceId"]] = said
        return len(told) == 2

    assert world.until(all_told)
    assert world.objects("data", "later/out")[good["OutputLocation"][len("s3://data/") :]] == b"well"
    assert b'(500) from primary with message "ill"' in world.objects("data", "later/bad").popitem()[1]
    assert told["good"]["invocationStatus"] == "Completed"
    assert told["good"]["responseParameters"]["outputLocation"] == good["OutputLocation"]
    assert told["good"]["responseBody"]["content"] == "well"
    assert told["bad"]["invocationStatus"] == "Failed"
    assert told["bad"]["responseParameters"]["outputLocation"] == bad["FailureLocation"]
    with pytest.raises(ClientError, match="is asynchronous: call InvokeEndpointAsync"):
        world.ask("later")
    world.down("later")


def test_asynchronous_requests_wait_for_an_instance(world: World) -> None:
    later(world, "asleep")
    scale = world.sm.update_endpoint_weights_and_capacities
    scale(EndpointName="asleep", DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredInstanceCount": 0}])
    world.settled("asleep")
    for number in range(5):
        world.runtime.invoke_endpoint_async(EndpointName="asleep", Body=json.dumps({"answer": f"{number}"}))
    assert world.objects("data", "asleep/out") == {}
    scale(EndpointName="asleep", DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredInstanceCount": 1}])
    assert world.until(lambda: len(world.objects("data", "asleep/out")) == 5)
    assert set(world.objects("data", "asleep/out").values()) == {b"0", b"1", b"2", b"3", b"4"}
    world.down("asleep")


def serverless(world: World, name: str, **capacity: Any) -> None:
    variant = {"VariantName": "a", "ModelName": "one", "ServerlessConfig": {"MemorySizeInMB": 2048, **capacity}}
    world.sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    world.endpoint(name, name)
    assert world.settled(name)["EndpointStatus"] == "InService"


def test_a_serverless_endpoint_starts_workers_as_they_are_needed_up_to_its_concurrency(
    world: World, tmp_path: Path
) -> None:
    serverless(world, "rare", MaxConcurrency=2)
    assert world.ask("rare")["version"] == "one"
    assert "CurrentInstanceCount" not in world.describe("rare")["ProductionVariants"][0]
    enough = tmp_path / "enough"
    codes: list[str] = []

    def ask() -> None:
        try:
            codes.append(str(world.ask("rare", {"until": str(enough)})["pid"]))
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert world.until(lambda: len(codes) == 2)
    assert codes == ["ThrottlingException"] * 2
    enough.touch()
    for thread in threads:
        thread.join()
    assert len({code for code in codes if code.isdigit()}) == 2
    assert world.statistic("ModelSetupTime", "rare", "a", "SampleCount") >= 1
    world.down("rare")


def test_a_serverless_endpoint_takes_smaller_bodies_and_cannot_replace_instances(world: World) -> None:
    serverless(world, "small", MaxConcurrency=1)
    with pytest.raises(ClientError, match="larger than the limit of 4194304"):
        world.runtime.invoke_endpoint(EndpointName="small", Body=b"x" * 4_194_305)
    world.up("servers", {"a": ("one", 1, 1)})
    with pytest.raises(ClientError, match="cannot be converted to a serverless"):
        world.update("servers", "small")
    world.down("servers")
    world.down("small")


def put_model(world: World, key: str, name: str) -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as raw, tarfile.open(fileobj=raw, mode="w") as tar:
        member = tarfile.TarInfo("name")
        member.size = len(name)
        tar.addfile(member, io.BytesIO(name.encode()))
    world.s3.put_object(Bucket="models", Key=key, Body=packed.getvalue())


def test_one_container_serves_many_models_and_makes_room_for_the_next(world: World) -> None:
    for name in ("red", "green", "blue"):
        put_model(world, f"many/{name}.tar.gz", name)
    container = {
        "Image": "echo",
        "Mode": "MultiModel",
        "ModelDataUrl": "s3://models/many/",
        "Environment": {"ROOM": "2", "VERSION": "many"},
    }
    world.sm.create_model(ModelName="many", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    world.up("many", {"a": ("many", 1, 1)})
    for name in ("red", "green", "red", "blue", "green"):
        said = world.ask("many", TargetModel=f"{name}.tar.gz")
        assert said["model"] == name
        assert said["headers"]["x-amzn-sagemaker-target-model"] == f"{name}.tar.gz"
    assert world.statistic("ModelCacheHit", "many", "a") == 1
    assert world.statistic("ModelUnloadingTime", "many", "a", "SampleCount") == 2
    with pytest.raises(ClientError, match="TargetModel header is required"):
        world.ask("many")
    with pytest.raises(ClientError, match="Failed to download model data"):
        world.ask("many", TargetModel="none.tar.gz")
    world.down("many")


def test_containers_in_a_row_pass_the_answer_on_and_direct_ones_are_named(world: World) -> None:
    def container(hostname: str) -> dict[str, Any]:
        return {"Image": "echo", "ContainerHostname": hostname, "Environment": {"VERSION": hostname}}

    both = [container("first"), container("second")]
    world.sm.create_model(ModelName="row", Containers=both, ExecutionRoleArn=ROLE)
    direct: dict[str, Any] = {"Containers": both, "ExecutionRoleArn": ROLE}
    world.sm.create_model(ModelName="direct", InferenceExecutionConfig={"Mode": "Direct"}, **direct)
    world.up("row", {"a": ("row", 1, 1)})
    said = world.ask("row", {"n": 1})
    assert said["version"] == "second"
    assert json.loads(said["received"])["version"] == "first"
    world.up("direct", {"a": ("direct", 1, 1)})
    assert world.ask("direct", TargetContainerHostname="second")["version"] == "second"
    with pytest.raises(ClientError, match="needs TargetContainerHostname"):
        world.ask("direct")
    world.down("row")
    world.down("direct")


def test_a_model_package_can_be_served(world: World) -> None:
    group = world.sm.create_model_package_group(ModelPackageGroupName="group")["ModelPackageGroupArn"]
    assert group
    package = world.sm.create_model_package(
        ModelPackageGroupName="group",
        InferenceSpecification={
            "Containers": [{"Image": "echo", "Environment": {"VERSION": "packaged"}}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]
    world.sm.create_model(ModelName="packaged", PrimaryContainer={"ModelPackageName": package}, ExecutionRoleArn=ROLE)
    world.up("packaged", {"a": ("packaged", 1, 1)})
    assert world.ask("packaged")["version"] == "packaged"
    world.down("packaged")
