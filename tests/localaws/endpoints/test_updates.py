"""Updates of an endpoint that serves: all routing types, bakes on the clock, rollback by alarm, no lost request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from localaws.app import start
from localaws.plane import Settings

World = Any  # the fixture of conftest.py
IMAGES = Path(__file__).parent.parent / "images"


@pytest.fixture(scope="module")
def world(make_world: Callable[..., World], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An embedded AWS whose clock stands until a test moves it."""
    import sys

    work = tmp_path_factory.mktemp("work")
    running = start(
        Settings(
            containers=IMAGES,
            work=work,
            interpreter=sys.executable,
            backend="process",
            clock="stepped:2026-01-05T00:00:00Z",
        )
    )

    def client(service: str) -> Any:
        build: Callable[..., Any] = boto3.client
        return build(
            service,
            endpoint_url=running.url,
            region_name="eu-west-1",
            aws_access_key_id="123456789012",
            aws_secret_access_key="local",
        )

    made = make_world(running, client).prepare()
    for name, model in (("v1", "one"), ("v2", "two")):
        made.config(name, {"main": (model, 1, 1)})
        made.config(f"{name}-four", {"main": (model, 1, 4)})
    yield made
    running.stop()


def traffic_policy(kind: str, bake: int = 600, wait: int = 0, **more: Any) -> dict[str, Any]:
    routing = {"Type": kind, "WaitIntervalInSeconds": bake, **more}
    return {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": wait},
    }


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def advance(world: World, seconds: float) -> None:
    world.app.plane.clock.advance(seconds)


def split(world: World, name: str, requests: int = 120) -> float:
    """The share of requests that the new model answers."""
    return sum(world.ask(name)["version"] == "two" for _ in range(requests)) / requests


def status(world: World, name: str) -> str:
    return world.describe(name)["EndpointStatus"]


def test_a_canary_under_load_loses_no_request(world: World) -> None:
    world.endpoint("canary", "v1")
    world.app.plane.clock.settle()
    with world.traffic("canary") as traffic:
        policy = traffic_policy("CANARY", bake=600, wait=120, CanarySize=percent(20))
        world.update("canary", "v2", DeploymentConfig=policy)
        world.until(lambda: "PendingDeploymentSummary" in world.describe("canary"))
        advance(world, 1)
        described = world.describe("canary")
        assert described["EndpointStatus"] == "Updating"
        assert described["EndpointConfigName"] == "v1"
        pending = described["PendingDeploymentSummary"]
        assert pending["EndpointConfigName"] == "v2"
        assert pending["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Baking"
        assert 0.05 < split(world, "canary") < 0.4
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            world.update("canary", "v1")
        advance(world, 600)
        assert split(world, "canary") == 1.0
        assert status(world, "canary") == "Updating"
        advance(world, 600)
        assert status(world, "canary") == "Updating"  # the old fleet waits for its termination
        advance(world, 120)
        assert status(world, "canary") == "InService"
    assert traffic.failures == []
    assert len(traffic.answers) > 100
    described = world.describe("canary")
    assert described["EndpointConfigName"] == "v2"
    assert "PendingDeploymentSummary" not in described
    assert described["LastDeploymentConfig"] == policy
    assert {world.ask("canary")["version"] for _ in range(10)} == {"two"}
    world.sm.delete_endpoint(EndpointName="canary")
    world.app.plane.clock.settle()


def alarm(world: World, name: str, metric: str, **dimensions: str) -> None:
    world.cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )


def test_an_alarm_on_the_new_configuration_rolls_back_by_itself(world: World) -> None:
    queue = world.client("sqs").create_queue(QueueName="changes")["QueueUrl"]
    arn = "arn:aws:sqs:eu-west-1:123456789012:changes"
    events = world.client("events")
    pattern = '{"source":["aws.sagemaker"],"detail":{"EndpointName":["guarded"]}}'
    events.put_rule(Name="changes", EventPattern=pattern)
    events.put_targets(Rule="changes", Targets=[{"Id": "q", "Arn": arn}])
    world.endpoint("guarded", "v1")
    world.app.plane.clock.settle()
    world.config("bad", {"main": (world.model("bad", STATUS="500"), 1, 1)})
    alarm(world, "errors", "Invocation5XXErrors", EndpointName="guarded", VariantName="main", EndpointConfigName="bad")
    policy = traffic_policy("CANARY", CanarySize=percent(50)) | {
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}
    }
    world.update("guarded", "bad", DeploymentConfig=policy)
    advance(world, 1)
    seen = Counter("served" if works(world, "guarded") else "failed" for _ in range(40))
    assert seen["failed"] > 5
    assert seen["served"] > 5
    advance(world, 180)
    described = world.describe("guarded")
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == "v1"
    assert "[errors]" in described["FailureReason"]
    assert all(works(world, "guarded") for _ in range(20))
    assert world.pids("VERSION=bad") == []
    kinds = [body["detail"]["EndpointStatus"] for body in messages(world, queue)]
    assert kinds[:2] == ["CREATING", "IN_SERVICE"]
    assert "UPDATING" in kinds
    assert "ROLLING_BACK" in kinds
    assert kinds[-1] == "IN_SERVICE"
    world.sm.delete_endpoint(EndpointName="guarded")
    world.app.plane.clock.settle()


def works(world: World, name: str) -> bool:
    try:
        world.ask(name)
    except ClientError:
        return False
    return True


def messages(world: World, queue: str) -> list[dict[str, Any]]:
    import json

    sqs, found = world.client("sqs"), list[dict[str, Any]]()
    while more := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in more:
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_a_linear_update_moves_in_equal_steps_each_with_its_bake(world: World) -> None:
    world.endpoint("linear", "v1")
    world.app.plane.clock.settle()
    world.update("linear", "v2", DeploymentConfig=traffic_policy("LINEAR", bake=60, LinearStepSize=percent(50)))
    advance(world, 1)
    assert 0.3 < split(world, "linear") < 0.7
    advance(world, 60)
    assert split(world, "linear") == 1.0
    advance(world, 60)
    world.app.plane.clock.settle()
    assert world.describe("linear")["EndpointConfigName"] == "v2"
    assert status(world, "linear") == "InService"
    world.sm.delete_endpoint(EndpointName="linear")
    world.app.plane.clock.settle()


def test_a_rolling_update_replaces_instances_batch_by_batch(world: World) -> None:
    world.endpoint("rolling", "v1-four")
    world.app.plane.clock.settle()
    policy = {"RollingUpdatePolicy": {"MaximumBatchSize": percent(50), "WaitIntervalInSeconds": 300}}
    with world.traffic("rolling") as traffic:
        world.update("rolling", "v2-four", DeploymentConfig=policy)
        advance(world, 1)
        assert (versions(world, "one"), versions(world, "two")) == (4, 2)
        assert 0.3 < split(world, "rolling") < 0.7
        advance(world, 300)
        assert (versions(world, "one"), versions(world, "two")) == (2, 4)
        advance(world, 300)
        world.app.plane.clock.settle()
        assert (versions(world, "one"), versions(world, "two")) == (0, 4)
    assert traffic.failures == []
    assert status(world, "rolling") == "InService"
    world.sm.delete_endpoint(EndpointName="rolling")
    world.app.plane.clock.settle()


def versions(world: World, version: str) -> int:
    return len(world.pids(f"VERSION={version}"))


def test_an_update_without_a_policy_goes_all_at_once_and_loses_no_request(world: World) -> None:
    world.endpoint("plain", "v1")
    world.app.plane.clock.settle()
    with world.traffic("plain") as traffic:
        world.update("plain", "v2")
        world.app.plane.clock.settle()
        advance(world, 1)
        assert status(world, "plain") == "InService"
    assert traffic.failures == []
    assert {world.ask("plain")["version"] for _ in range(10)} == {"two"}
    world.sm.delete_endpoint(EndpointName="plain")
    world.app.plane.clock.settle()


def test_a_new_fleet_that_does_not_come_up_leaves_the_old_one_serving(world: World) -> None:
    world.endpoint("stays", "v1")
    world.app.plane.clock.settle()
    world.config("dead", {"main": (world.model("dead", EXIT_AT_START="1"), 1, 1)})
    with world.traffic("stays") as traffic:
        world.update("stays", "dead")
        world.app.plane.clock.settle()
        advance(world, 1)
    assert traffic.failures == []
    described = world.describe("stays")
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "v1")
    assert "did not pass the ping health check" in described["FailureReason"]
    world.sm.delete_endpoint(EndpointName="stays")
    world.app.plane.clock.settle()


def test_live_weights_counts_and_capture_can_be_retained_or_not(world: World) -> None:
    world.bucket("retained")
    capture = {
        "InitialSamplingPercentage": 50,
        "DestinationS3Uri": "s3://retained/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    world.config("r1", {"a": ("one", 1, 1), "b": ("two", 1, 1)}, DataCaptureConfig=capture)
    world.config("r2", {"a": ("one", 1, 1), "b": ("two", 1, 1)})
    world.config("r3", {"a": ("one", 1, 1), "b": ("two", 1, 1)})
    world.endpoint("retain", "r1")
    world.app.plane.clock.settle()
    world.sm.update_endpoint_weights_and_capacities(
        EndpointName="retain",
        DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredWeight": 9, "DesiredInstanceCount": 2}],
    )
    world.app.plane.clock.settle()
    world.update("retain", "r2", RetainAllVariantProperties=True)
    world.app.plane.clock.settle()
    assert live(world, "retain") == ({"a": (9.0, 2), "b": (1.0, 1)}, "s3://retained/capture")
    world.update(
        "retain",
        "r3",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[
            {"VariantPropertyType": "DesiredInstanceCount"},
            {"VariantPropertyType": "DataCaptureConfig"},
        ],
    )
    world.app.plane.clock.settle()
    assert live(world, "retain") == ({"a": (9.0, 1), "b": (1.0, 1)}, None)
    world.update("retain", "r1")
    world.app.plane.clock.settle()
    assert live(world, "retain") == ({"a": (1.0, 1), "b": (1.0, 1)}, "s3://retained/capture")
    world.sm.delete_endpoint(EndpointName="retain")
    world.app.plane.clock.settle()


def live(world: World, name: str) -> tuple[dict[str, tuple[float, int]], str | None]:
    described = world.describe(name)
    return (
        {v["VariantName"]: (v["CurrentWeight"], v["CurrentInstanceCount"]) for v in described["ProductionVariants"]},
        described.get("DataCaptureConfig", {}).get("DestinationS3Uri"),
    )


def test_the_last_deployment_config_is_kept_when_asked(world: World) -> None:
    world.endpoint("again", "v1")
    world.app.plane.clock.settle()
    policy = traffic_policy("CANARY", bake=30, CanarySize=percent(50))
    world.update("again", "v2", DeploymentConfig=policy)
    advance(world, 61)
    assert status(world, "again") == "InService"
    world.update("again", "v1", RetainDeploymentConfig=True)
    advance(world, 1)
    assert status(world, "again") == "Updating"
    advance(world, 60)
    assert status(world, "again") == "InService"
    assert world.describe("again")["LastDeploymentConfig"] == policy
    world.sm.delete_endpoint(EndpointName="again")
    world.app.plane.clock.settle()


def test_an_update_to_a_model_that_is_gone_leaves_the_old_one_serving(world: World) -> None:
    world.endpoint("faithful", "v1")
    world.app.plane.clock.settle()
    world.config("vanished", {"main": (world.model("vanished"), 1, 1)})
    world.sm.delete_model(ModelName="vanished")
    world.update("faithful", "vanished")
    world.app.plane.clock.settle()
    described = world.describe("faithful")
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "v1")
    assert "Could not find model" in described["FailureReason"]
    assert world.ask("faithful")["version"] == "one"
    world.sm.delete_endpoint(EndpointName="faithful")
    world.app.plane.clock.settle()


def test_a_policy_the_fleet_cannot_follow_is_refused_before_anything_moves(world: World) -> None:
    world.endpoint("refused", "v1")
    world.app.plane.clock.settle()
    with pytest.raises(ClientError, match="must be at most 50%"):
        world.update("refused", "v2", DeploymentConfig=traffic_policy("CANARY", CanarySize=percent(70)))
    assert status(world, "refused") == "InService"
    world.sm.delete_endpoint(EndpointName="refused")
    world.app.plane.clock.settle()


def test_a_deployment_that_passes_its_time_limit_goes_back(world: World) -> None:
    world.endpoint("late", "v1")
    world.app.plane.clock.settle()
    policy = traffic_policy("LINEAR", bake=500, LinearStepSize=percent(50))
    policy["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] = 600
    world.update("late", "v2", DeploymentConfig=policy)
    advance(world, 1200)
    described = world.describe("late")
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "v1")
    assert "did not finish within its limit of 600 seconds" in described["FailureReason"]
    world.sm.delete_endpoint(EndpointName="late")
    world.app.plane.clock.settle()


def test_autoscaling_starts_and_ends_real_processes(world: World) -> None:
    world.endpoint("elastic", world.config("elastic", {"main": (world.model("elastic"), 1, 1)}))
    world.app.plane.clock.settle()
    scaling = world.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/elastic/variant/main",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=3)
    scaling.put_scaling_policy(
        **target,
        PolicyName="track",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 10.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleOutCooldown": 60,
            "ScaleInCooldown": 60,
        },
    )
    for _ in range(6):  # thirty requests a minute for one that should have ten
        for _ in range(30):
            world.ask("elastic")
        advance(world, 60)
    assert versions(world, "elastic") == 3
    assert world.describe("elastic")["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    for _ in range(40):  # little traffic; with none there would be no data, and nothing scales in on that
        world.ask("elastic")
        advance(world, 60)
    assert versions(world, "elastic") == 1
    scaling.deregister_scalable_target(**target)
    world.sm.delete_endpoint(EndpointName="elastic")
    world.app.plane.clock.settle()


def test_an_idle_serverless_worker_ends_and_the_next_request_starts_one(world: World) -> None:
    serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 2}
    variant = {"VariantName": "a", "ModelName": world.model("idle"), "ServerlessConfig": serverless}
    world.sm.create_endpoint_config(EndpointConfigName="idle", ProductionVariants=[variant])
    world.endpoint("idle", "idle")
    world.app.plane.clock.settle()
    world.ask("idle")
    assert versions(world, "idle") == 1
    advance(world, 601)
    world.app.plane.clock.settle()
    assert versions(world, "idle") == 0
    assert world.ask("idle")["version"] == "idle"
    world.sm.delete_endpoint(EndpointName="idle")
    world.app.plane.clock.settle()
    assert versions(world, "idle") == 0
