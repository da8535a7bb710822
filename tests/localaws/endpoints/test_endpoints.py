"""Endpoints serve with real processes: created, invoked, weighted, scaled, deleted."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

World = Any  # the fixture of conftest.py
ROLE = "arn:aws:iam::123456789012:role/sagemaker"


@pytest.fixture(scope="module", autouse=True)
def pair(world: World) -> None:
    world.prepare().up("pair", {"champion": ("one", 3, 1), "challenger": ("two", 1, 1)})


def test_an_endpoint_is_creating_and_then_in_service(world: World) -> None:
    world.endpoint("fresh", world.config("fresh", {"only": ("one", 1, 2)}))
    assert world.describe("fresh")["EndpointStatus"] == "Creating"
    described = world.settled("fresh")
    assert described["EndpointStatus"] == "InService"
    (only,) = described["ProductionVariants"]
    assert (only["CurrentInstanceCount"], only["DesiredInstanceCount"], only["CurrentWeight"]) == (2, 2, 1.0)
    assert only["DeployedImages"][0]["SpecifiedImage"].endswith("/echo:1")
    assert len({world.ask("fresh")["pid"] for _ in range(30)}) == 2
    world.sm.delete_endpoint(EndpointName="fresh")
    assert world.gone("fresh")


def test_requests_are_split_by_weight(world: World) -> None:
    counts = Counter(world.ask("pair")["variant"] for _ in range(200))
    assert 115 <= counts["champion"] <= 180
    assert counts["challenger"] == 200 - counts["champion"]


def test_a_request_may_name_its_variant(world: World) -> None:
    assert {world.ask("pair", TargetVariant="challenger")["version"] for _ in range(5)} == {"two"}


def test_the_container_gets_the_headers_it_should_and_no_others(world: World) -> None:
    said = world.ask("pair", CustomAttributes="a=b", InferenceId="id-1", Accept="text/plain", TargetVariant="champion")
    headers = said["headers"]
    assert headers["x-amzn-sagemaker-custom-attributes"] == "a=b"
    assert headers["x-amzn-sagemaker-inference-id"] == "id-1"
    assert headers["content-type"] == "application/json"
    assert headers["accept"] == "text/plain"
    assert not any(name.startswith(("authorization", "x-amz-date", "user-agent")) for name in headers)


def test_custom_attributes_come_back_only_when_the_container_sets_them(world: World) -> None:
    assert "CustomAttributes" not in world.ask("pair", CustomAttributes="mine")["answer"]
    assert world.ask("pair", {"attributes": "theirs"})["answer"]["CustomAttributes"] == "theirs"


def test_a_container_s_error_is_a_model_error(world: World) -> None:
    with pytest.raises(ClientError) as caught:
        world.ask("pair", {"status": 500, "answer": "it broke"}, TargetVariant="champion")
    response: Any = caught.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 500
    assert response["OriginalMessage"] == "it broke"
    assert ":log-group:/aws/sagemaker/Endpoints/pair:log-stream:champion/i-" in response["LogStreamArn"]
    assert response["Error"]["Message"].startswith(
        'Received server error (500) from primary with message "it broke". See https://'
    )
    with pytest.raises(ClientError, match=r"client error \(415\)"):
        world.ask("pair", {"status": 415})


@pytest.mark.parametrize(
    ("endpoint", "more", "words"),
    [
        ("nowhere", {}, "Endpoint nowhere of account 123456789012 not found."),
        ("pair", {"TargetVariant": "third"}, "Variant third not found"),
        ("pair", {"TargetModel": "a.tar.gz"}, "TargetModel header is not supported"),
        ("pair", {"TargetContainerHostname": "other"}, "Container other cannot be invoked directly"),
        ("pair", {"SessionId": "unknown"}, "Session unknown is not open"),
    ],
)
def test_what_cannot_be_served_is_a_validation_error(
    world: World, endpoint: str, more: dict[str, str], words: str
) -> None:
    with pytest.raises(ClientError, match=words) as caught:
        world.ask(endpoint, **more)
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_body_above_the_limit_is_refused(world: World) -> None:
    with pytest.raises(ClientError) as caught:
        world.runtime.invoke_endpoint(EndpointName="pair", Body=b"x" * 6_291_457)
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert world.runtime.invoke_endpoint(EndpointName="pair", Body=b"x" * 6_291_456)["Body"].read()


def test_a_session_stays_with_its_instance_until_it_is_closed(world: World) -> None:
    world.up("sticky", {"only": ("one", 1, 3)})
    opened = world.ask("sticky", SessionId="NEW_SESSION")
    session = opened["answer"]["NewSessionId"].partition(";")[0]
    assert {world.ask("sticky", SessionId=session)["pid"] for _ in range(10)} == {opened["pid"]}
    assert world.ask("sticky", {"close": True}, SessionId=session)["answer"]["ClosedSessionId"] == session
    with pytest.raises(ClientError, match="is not open"):
        world.ask("sticky", SessionId=session)
    world.sm.delete_endpoint(EndpointName="sticky")


def test_weights_change_at_once_and_keep_what_was_not_named(world: World) -> None:
    world.up("shift", {"a": ("one", 1, 1), "b": ("two", 0, 1)})
    assert {world.ask("shift")["variant"] for _ in range(20)} == {"a"}
    world.sm.update_endpoint_weights_and_capacities(
        EndpointName="shift",
        DesiredWeightsAndCapacities=[
            {"VariantName": "a", "DesiredWeight": 0},
            {"VariantName": "b", "DesiredWeight": 5, "DesiredInstanceCount": 2},
        ],
    )
    described = world.settled("shift")
    assert {world.ask("shift")["variant"] for _ in range(20)} == {"b"}
    assert len({world.ask("shift")["pid"] for _ in range(30)}) == 2
    a, b = described["ProductionVariants"]
    assert (a["CurrentWeight"], a["CurrentInstanceCount"]) == (0, 1)
    assert (b["CurrentWeight"], b["CurrentInstanceCount"], b["DesiredInstanceCount"]) == (5, 2, 2)
    world.sm.update_endpoint_weights_and_capacities(
        EndpointName="shift", DesiredWeightsAndCapacities=[{"VariantName": "b", "DesiredInstanceCount": 1}]
    )
    b = world.settled("shift")["ProductionVariants"][1]
    assert (b["CurrentWeight"], b["CurrentInstanceCount"]) == (5, 1)
    with pytest.raises(ClientError, match="not present within endpoint configuration"):
        world.sm.update_endpoint_weights_and_capacities(
            EndpointName="shift", DesiredWeightsAndCapacities=[{"VariantName": "c", "DesiredWeight": 1}]
        )
    world.sm.delete_endpoint(EndpointName="shift")
    assert world.gone("shift")


def test_a_crashed_container_is_started_again_and_its_errors_show_as_5xx(world: World) -> None:
    world.up("crashy", {"only": ("one", 1, 1)})
    before = world.ask("crashy")["pid"]
    with pytest.raises(ClientError, match="the model process exited") as caught:
        world.ask("crashy", {"crash": True})
    response: Any = caught.value.response
    assert response["OriginalStatusCode"] == 0

    def serves_again() -> bool:
        try:
            return world.ask("crashy")["pid"] != before
        except ClientError as error:
            assert error.response["Error"]["Code"] in {"ServiceUnavailable", "ModelError"}  # noqa: PT017
            return False

    assert world.until(serves_again)
    assert world.describe("crashy")["EndpointStatus"] == "InService"
    assert world.statistic("Invocation5XXErrors", "crashy", "only") >= 1
    assert world.statistic("InvocationModelErrors", "crashy", "only") >= 1
    world.sm.delete_endpoint(EndpointName="crashy")
    assert world.gone("crashy")


def test_requests_are_counted_under_aws_s_names_units_and_dimensions(world: World) -> None:
    world.up("counted", {"only": ("one", 1, 2)})
    for _ in range(5):
        world.ask("counted")
    with pytest.raises(ClientError):
        world.ask("counted", {"status": 400})
    assert world.statistic("Invocations", "counted", "only") == 6
    assert world.statistic("InvocationsPerInstance", "counted", "only") == 3
    assert world.statistic("Invocation4XXErrors", "counted", "only") == 1
    assert world.statistic("Invocation5XXErrors", "counted", "only") == 0
    assert world.statistic("Invocations", "counted", "only", EndpointConfigName="counted-config") == 6
    latency = world.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="ModelLatency",
        Dimensions=[{"Name": "EndpointName", "Value": "counted"}, {"Name": "VariantName", "Value": "only"}],
        StartTime=time.time() - 3600,
        EndTime=time.time() + 60,
        Period=3600,
        Statistics=["Average"],
    )["Datapoints"][0]
    assert latency["Unit"] == "Microseconds"
    assert latency["Average"] > 100
    world.sm.delete_endpoint(EndpointName="counted")


def test_an_endpoint_whose_container_does_not_come_up_fails_with_its_last_words(world: World) -> None:
    world.endpoint("broken", world.config("broken", {"only": (world.model("broken", EXIT_AT_START="1"), 1, 1)}))
    described = world.settled("broken")
    assert described["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in described["FailureReason"]
    assert "exited with code 3" in described["FailureReason"]
    assert "cannot start" in described["FailureReason"]
    assert world.pids("broken") == []
    world.sm.delete_endpoint(EndpointName="broken")
    assert world.gone("broken")


def test_missing_model_data_fails_the_endpoint_naming_it(world: World) -> None:
    container = {"Image": "echo", "ModelDataUrl": "s3://models/none.tar.gz"}
    world.sm.create_model(ModelName="nodata", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    world.endpoint("nodata", world.config("nodata", {"only": ("nodata", 1, 1)}))
    assert "s3://models/none.tar.gz" in world.settled("nodata")["FailureReason"]
    world.sm.delete_endpoint(EndpointName="nodata")


def test_deleting_leaves_no_process_and_no_folder(world: World) -> None:
    world.up("gone", {"only": (world.model("version-gone"), 1, 2)})
    pids = world.pids("version-gone")
    assert len(pids) == 2
    world.sm.delete_endpoint(EndpointName="gone")
    assert world.gone("gone")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not list((world.app.plane.settings.work / "endpoint").rglob("gone/*"))
    with pytest.raises(ClientError, match="not found"):
        world.ask("gone")


def test_names_are_taken_once_and_configurations_must_exist(world: World) -> None:
    with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
        world.endpoint("pair", "pair-config")
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        world.endpoint("other", "no-config")
    with pytest.raises(ClientError, match="Could not find endpoint"):
        world.describe("other")


def test_the_log_of_a_container_is_in_the_endpoint_s_log_group(world: World) -> None:
    logs = world.client("logs")
    group = "/aws/sagemaker/Endpoints/pair"

    def lines() -> list[str]:
        try:
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="champion/i-")["logStreams"]
        except ClientError:
            return []
        return [
            event["message"]
            for stream in streams
            for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
        ]

    assert world.until(lambda: "serving one" in lines())


def test_a_container_that_takes_too_long_is_a_model_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localaws.endpoints.runtime.Runtime.serve.__defaults__", (0.05,))
    with pytest.raises(ClientError, match="timed out while waiting for a response from container primary"):
        world.ask("pair", {"sleep": 0.5})


def test_a_stopped_container_gets_its_sigterm_and_finishes_what_it_began(world: World) -> None:
    world.up("drained", {"only": ("one", 1, 2)})
    said: list[Any] = []
    threads = [threading.Thread(target=lambda: said.append(world.ask("drained", {"sleep": 0.4}))) for _ in range(8)]
    for thread in threads:
        thread.start()
    world.sm.update_endpoint_weights_and_capacities(
        EndpointName="drained", DesiredWeightsAndCapacities=[{"VariantName": "only", "DesiredInstanceCount": 1}]
    )
    for thread in threads:
        thread.join()
    assert len(said) == 8
    world.settled("drained")
    assert len({world.ask("drained")["pid"] for _ in range(10)}) == 1
    world.sm.delete_endpoint(EndpointName="drained")


def test_an_instance_that_is_killed_from_outside_comes_back(world: World) -> None:
    pid = world.ask("pair", TargetVariant="challenger")["pid"]
    os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        try:
            return world.ask("pair", TargetVariant="challenger")["pid"] != pid
        except ClientError:
            return False

    assert world.until(back)
