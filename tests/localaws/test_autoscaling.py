"""Application Auto Scaling: the arithmetic, and what really happens to a variant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws.app import App, start
from localaws.autoscaling.decide import Bounds, Step, StepPolicy, track, whole
from localaws.clock import Clock
from localaws.gateway import Request, Service
from localaws.metrics.series import metric_key
from localaws.plane import Settings

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
AwsClient = Callable[..., Any]

bounds = st.tuples(st.integers(0, 20), st.integers(0, 30)).map(lambda pair: Bounds(pair[0], pair[0] + pair[1]))


@given(st.integers(1, 30), st.floats(0, 1e5), st.floats(0.1, 1e4), bounds)
@settings(max_examples=200)
def test_tracking_stays_in_bounds_and_would_meet_its_target(
    current: int, measured: float, target: float, within: Bounds
) -> None:
    wanted = track(current, measured, target, within)
    assert within.minimum <= wanted <= within.maximum
    if wanted < within.maximum:
        assert current * measured <= wanted * target * (1 + 1e-6) + 1e-6


@given(st.integers(0, 30), st.floats(0.1, 1e4), st.floats(0.1, 1e4), st.floats(0.1, 1e4), bounds)
@settings(max_examples=200)
def test_more_load_never_means_fewer_copies(
    current: int, low: float, more: float, target: float, within: Bounds
) -> None:
    assert track(current, low, target, within) <= track(current, low + more, target, within)


STEPS = [Step(0, 10, 1), Step(10, None, 3), Step(-20, 0, -1), Step(None, -20, -2)]


@pytest.mark.parametrize(
    ("kind", "breach", "expected"),
    [
        ("ChangeInCapacity", 0, 5),
        ("ChangeInCapacity", 9.9, 5),
        ("ChangeInCapacity", 10, 7),
        ("ChangeInCapacity", -5, 3),
        ("ChangeInCapacity", -20, 2),
        ("ExactCapacity", 10, 3),
        ("PercentChangeInCapacity", 10, 5),
    ],
)
def test_a_step_policy_takes_the_step_its_breach_falls_into(kind: str, breach: float, expected: int) -> None:
    assert StepPolicy(kind, STEPS).capacity(4, breach, Bounds(1, 10)) == expected


@pytest.mark.parametrize(("change", "expected"), [(0.4, 1), (1.9, 1), (-0.4, -1), (-1.9, -1), (0, 0), (2.0, 2)])
def test_changes_are_rounded_as_aws_rounds_them(change: float, expected: int) -> None:
    assert whole(change) == expected


# --- through the API ------------------------------------------------------------------------------------------------


class Endpoint:
    """An endpoint that only knows its instance count, in place of real processes."""

    def __init__(self) -> None:
        self.count = 1
        self.history: list[int] = []

    def describe(self, request: Request) -> dict[str, Any]:
        variant = {"VariantName": "a", "CurrentInstanceCount": self.count, "DesiredInstanceCount": self.count}
        return {"EndpointName": request.params["EndpointName"], "ProductionVariants": [variant]}

    def update(self, request: Request) -> dict[str, Any]:
        self.count = request.params["DesiredWeightsAndCapacities"][0]["DesiredInstanceCount"]
        self.history.append(self.count)
        return {"EndpointArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/shop"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    running = start(Settings(containers=tmp_path, work=tmp_path / "work"), clock=Clock.stepped(MONDAY))
    yield running
    running.stop()


@pytest.fixture
def endpoint(app: App) -> Endpoint:
    made = Endpoint()
    table = {"DescribeEndpoint": made.describe, "UpdateEndpointWeightsAndCapacities": made.update}
    app.plane.gateway.register(Service("sagemaker", table))
    return made


@pytest.fixture
def client(app: App, clients: Callable[[App], AwsClient]) -> AwsClient:
    return clients(app)


SHOP = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/shop/variant/a",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
DIMENSIONS = {"EndpointName": "shop", "VariantName": "a"}


def serve(app: App, endpoint: Endpoint, per_minute: float, minutes: int) -> None:
    """Let so many requests a minute come in, shared by the instances there are."""
    metrics = app.plane.watch.metrics("123456789012", "eu-west-1")
    for _ in range(minutes):
        share = per_minute / max(endpoint.count, 1)
        metrics.put(metric_key("AWS/SageMaker", "InvocationsPerInstance", DIMENSIONS), [(1.0, share)])
        app.plane.clock.advance(60)


def test_target_tracking_follows_the_load_up_and_down(client: AwsClient, app: App, endpoint: Endpoint) -> None:
    scaling = client("application-autoscaling")
    scaling.register_scalable_target(**SHOP, MinCapacity=1, MaxCapacity=5)
    made = scaling.put_scaling_policy(
        **SHOP,
        PolicyName="follow",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 100,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleOutCooldown": 60,
            "ScaleInCooldown": 120,
        },
    )
    assert len(made["Alarms"]) == 2
    alarms = client("cloudwatch").describe_alarms(AlarmNamePrefix="TargetTracking-endpoint/shop/variant/a")
    assert {alarm["Threshold"] for alarm in alarms["MetricAlarms"]} == {100.0, 90.0}
    serve(app, endpoint, 350, minutes=6)
    assert endpoint.count == 4
    serve(app, endpoint, 120, minutes=25)
    assert endpoint.count == 2
    newest, oldest = scaling.describe_scaling_activities(**SHOP)["ScalingActivities"]
    assert oldest["Description"] == "Setting desired instance count to 4."
    assert "triggered policy follow" in newest["Cause"]
    assert (newest["StatusCode"], newest["StatusMessage"][:40]) == (
        "Successful",
        "Successfully set desired instance count ",
    )
    scaling.delete_scaling_policy(PolicyName="follow", **SHOP)
    assert client("cloudwatch").describe_alarms()["MetricAlarms"] == []


def test_a_step_policy_acts_on_the_alarm_that_names_it_and_cools_down(
    client: AwsClient, app: App, endpoint: Endpoint
) -> None:
    scaling, cloudwatch = client("application-autoscaling"), client("cloudwatch")
    scaling.register_scalable_target(**SHOP, MinCapacity=1, MaxCapacity=10)
    policy = scaling.put_scaling_policy(
        **SHOP,
        PolicyName="jump",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "Cooldown": 180,
            "StepAdjustments": [
                {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 100, "ScalingAdjustment": 1},
                {"MetricIntervalLowerBound": 100, "ScalingAdjustment": 3},
            ],
        },
    )["PolicyARN"]
    cloudwatch.put_metric_alarm(
        AlarmName="busy",
        Namespace="AWS/SageMaker",
        MetricName="InvocationsPerInstance",
        Dimensions=[{"Name": name, "Value": value} for name, value in DIMENSIONS.items()],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=100,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[policy],
    )
    serve(app, endpoint, 250, minutes=3)
    assert endpoint.history == [4]
    serve(app, endpoint, 500, minutes=3)
    assert endpoint.history == [4, 5]


def test_a_scheduled_action_moves_the_bounds_and_the_capacity(client: AwsClient, app: App, endpoint: Endpoint) -> None:
    scaling = client("application-autoscaling")
    scaling.register_scalable_target(**SHOP, MinCapacity=1, MaxCapacity=2)
    for name, schedule, least in (("morning", "cron(0 8 * * ? *)", 3), ("evening", "cron(0 20 * * ? *)", 1)):
        scaling.put_scheduled_action(
            **SHOP,
            ScheduledActionName=name,
            Schedule=schedule,
            Timezone="Europe/Berlin",
            ScalableTargetAction={"MinCapacity": least, "MaxCapacity": least},
        )
    app.plane.clock.advance(8 * 3600)
    assert endpoint.count == 3
    app.plane.clock.advance(12 * 3600)
    assert endpoint.count == 1
    scaling.delete_scheduled_action(ScheduledActionName="morning", **SHOP)
    [left] = scaling.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"]
    assert left["ScheduledActionName"] == "evening"


def test_registering_brings_the_capacity_into_its_bounds(client: AwsClient, app: App, endpoint: Endpoint) -> None:
    scaling = client("application-autoscaling")
    scaling.register_scalable_target(**SHOP, MinCapacity=2, MaxCapacity=4)
    app.plane.clock.settle()
    assert endpoint.count == 2


def test_targets_are_read_back_tagged_and_taken_away(client: AwsClient, endpoint: Endpoint) -> None:
    scaling = client("application-autoscaling")
    arn = scaling.register_scalable_target(**SHOP, MinCapacity=1, MaxCapacity=4, Tags={"env": "dev"})[
        "ScalableTargetARN"
    ]
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"env": "dev"}
    [target] = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=["endpoint/shop/variant/a"])[
        "ScalableTargets"
    ]
    assert (target["MinCapacity"], target["MaxCapacity"], target["ScalableTargetARN"]) == (1, 4, arn)
    assert target["RoleARN"].endswith("AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint")
    scaling.register_scalable_target(**SHOP, MaxCapacity=6)
    with pytest.raises(ClientError, match="cannot be less than minimum"):
        scaling.register_scalable_target(**SHOP, MinCapacity=7)
    scaling.deregister_scalable_target(**SHOP)
    with pytest.raises(ClientError, match="No scalable target registered"):
        scaling.put_scheduled_action(**SHOP, ScheduledActionName="x", Schedule="rate(1 hour)")


def test_what_nothing_here_can_scale_is_refused(client: AwsClient, endpoint: Endpoint) -> None:
    scaling = client("application-autoscaling")
    with pytest.raises(ClientError, match="Nothing here scales"):
        scaling.register_scalable_target(**{**SHOP, "ResourceId": "shop"}, MinCapacity=1, MaxCapacity=2)
    with pytest.raises(ClientError, match="no variant b"):
        scaling.register_scalable_target(
            **{**SHOP, "ResourceId": "endpoint/shop/variant/b"}, MinCapacity=1, MaxCapacity=2
        )
