"""CloudWatch through boto3 (its CBOR protocol), through the query protocol Terraform speaks, and through JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from localaws.app import App, start
from localaws.clock import Clock
from localaws.plane import Settings

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
SHOP = [{"Name": "EndpointName", "Value": "shop"}, {"Name": "VariantName", "Value": "a"}]
AwsClient = Callable[..., Any]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    running = start(Settings(containers=tmp_path, work=tmp_path / "work"), clock=Clock.stepped(NOON))
    yield running
    running.stop()


@pytest.fixture
def client(app: App, clients: Callable[[App], AwsClient]) -> AwsClient:
    return clients(app)


@pytest.fixture
def cloudwatch(client: AwsClient) -> Any:
    return client("cloudwatch")


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def put(cloudwatch: Any, name: str, value: float, **more: Any) -> None:
    datum = {"MetricName": name, "Dimensions": SHOP, "Value": value, **more}
    cloudwatch.put_metric_data(Namespace="AWS/SageMaker", MetricData=[datum])


def error_alarm(cloudwatch: Any, name: str = "errors", **more: Any) -> None:
    settings: dict[str, Any] = {
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocation5XXErrors",
        "Dimensions": SHOP,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    cloudwatch.put_metric_alarm(AlarmName=name, **(settings | more))


def state(cloudwatch: Any, name: str = "errors") -> str:
    found = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    [alarm] = found["MetricAlarms"] + found["CompositeAlarms"]
    return alarm["StateValue"]


# --- metrics --------------------------------------------------------------------------------------------------------


def test_data_comes_back_in_clock_aligned_periods_with_percentiles_and_math(cloudwatch: Any, app: App) -> None:
    app.plane.clock.advance(5 * 60)
    put(cloudwatch, "Invocations", 10, Timestamp=minutes(1.5))
    put(cloudwatch, "Invocations", 5, Timestamp=minutes(1.9))
    put(cloudwatch, "Invocations", 8, Timestamp=minutes(3))
    cloudwatch.put_metric_data(
        Namespace="AWS/SageMaker",
        MetricData=[
            {
                "MetricName": "ModelLatency",
                "Dimensions": SHOP,
                "Values": [100.0, 200.0, 900.0],
                "Counts": [98.0, 1.0, 1.0],
                "Unit": "Microseconds",
                "Timestamp": minutes(1),
            },
            {
                "MetricName": "Sizes",
                "StatisticValues": {"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 4},
                "Timestamp": minutes(1),
            },
        ],
    )

    def stat(name: str, metric: str, kind: str) -> dict[str, Any]:
        of = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": SHOP}
        return {"Id": name, "MetricStat": {"Metric": of, "Period": 60, "Stat": kind}}

    found = cloudwatch.get_metric_data(
        MetricDataQueries=[
            stat("calls", "Invocations", "Sum"),
            stat("slow", "ModelLatency", "p99.5"),
            {"Id": "share", "Expression": "100 * calls / 20", "Label": "percent"},
        ],
        StartTime=NOON,
        EndTime=minutes(10),
        ScanBy="TimestampAscending",
    )["MetricDataResults"]
    calls, slow, share = found
    assert (calls["Timestamps"], calls["Values"]) == ([minutes(1), minutes(3)], [15.0, 8.0])
    assert slow["Values"] == [pytest.approx(553.5)]
    assert (share["Label"], share["Values"]) == ("percent", [75.0, 40.0])

    [point] = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="ModelLatency",
        Dimensions=SHOP,
        StartTime=NOON,
        EndTime=minutes(10),
        Period=300,
        ExtendedStatistics=["p50", "tm98"],
    )["Datapoints"]
    assert point["Unit"] == "Microseconds"
    assert point["ExtendedStatistics"] == {"p50": 100.0, "tm98": 100.0}
    [sizes] = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Sizes",
        StartTime=NOON,
        EndTime=minutes(10),
        Period=60,
        Statistics=["Average", "SampleCount"],
    )["Datapoints"]
    assert (sizes["Average"], sizes["SampleCount"]) == (2.5, 4.0)


def test_metrics_are_listed_once_however_many_data_they_have(cloudwatch: Any, client: AwsClient) -> None:
    for value in range(5):
        put(cloudwatch, "Invocations", value)
    put(cloudwatch, "ModelLatency", 1)
    [listed] = cloudwatch.list_metrics(Namespace="AWS/SageMaker", MetricName="Invocations")["Metrics"]
    assert listed["Dimensions"] == SHOP
    assert len(cloudwatch.list_metrics(Dimensions=[{"Name": "EndpointName", "Value": "shop"}])["Metrics"]) == 2
    assert cloudwatch.list_metrics(Dimensions=[{"Name": "EndpointName", "Value": "till"}])["Metrics"] == []
    assert client("cloudwatch", region="us-east-1").list_metrics()["Metrics"] == []
    assert client("cloudwatch", account="111111111111").list_metrics()["Metrics"] == []


def test_large_data_may_be_compressed_and_is_read_back_page_by_page(cloudwatch: Any) -> None:
    data = [{"MetricName": f"feature_{n}", "Value": float(n), "Unit": "Count"} for n in range(600)]
    cloudwatch.put_metric_data(Namespace="Slipway", MetricData=data)
    pages = list(cloudwatch.get_paginator("list_metrics").paginate(Namespace="Slipway"))
    assert [len(page["Metrics"]) for page in pages] == [500, 100]
    query = {"Id": "all", "Expression": "SEARCH('{Slipway} feature', 'Sum', 60)"}
    found = cloudwatch.get_metric_data(MetricDataQueries=[query], StartTime=NOON, EndTime=minutes(1), MaxDatapoints=10)
    assert sum(len(line["Values"]) for line in found["MetricDataResults"]) == 10
    assert found["NextToken"]


@pytest.mark.parametrize(
    ("datum", "said"),
    [
        ({"MetricName": "x"}, "must be specified"),
        ({"MetricName": "x", "Value": 1.0, "Values": [1.0]}, "mutually exclusive"),
        ({"MetricName": "x", "Value": float("nan")}, "invalid"),
        ({"MetricName": "x", "Values": [1.0, 2.0], "Counts": [1.0]}, "same size"),
        ({"MetricName": "x", "Value": 1.0, "Timestamp": NOON - timedelta(days=15)}, "two weeks"),
        ({"MetricName": "x", "Value": 1.0, "Unit": "Apples"}, "Apples"),
    ],
)
def test_data_that_cannot_be_kept_is_refused(cloudwatch: Any, datum: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=said):
        cloudwatch.put_metric_data(Namespace="Mine", MetricData=[datum])


# --- alarms ---------------------------------------------------------------------------------------------------------


def test_an_alarm_fires_when_its_metric_breaches_tells_sns_and_recovers(
    cloudwatch: Any, client: AwsClient, app: App
) -> None:
    sns, sqs = client("sns"), client("sqs")
    topic = sns.create_topic(Name="pager")["TopicArn"]
    queue = sqs.create_queue(QueueName="pager")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:eu-west-1:123456789012:pager")
    error_alarm(cloudwatch, AlarmActions=[topic], OKActions=[topic], AlarmDescription="too many errors")
    assert state(cloudwatch) == "INSUFFICIENT_DATA"
    app.plane.clock.advance(60)
    assert state(cloudwatch) == "OK"
    put(cloudwatch, "Invocation5XXErrors", 3)
    app.plane.clock.advance(60)
    assert state(cloudwatch) == "ALARM"
    app.plane.clock.advance(5 * 60)
    assert state(cloudwatch) == "OK"

    [alarm] = cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"]
    assert alarm["StateReason"].startswith("Threshold Crossed: no datapoints were received for 1 period")
    messages = []
    while received := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in received:
            messages.append(json.loads(json.loads(message["Body"])["Message"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert [message["NewStateValue"] for message in messages] == ["OK", "ALARM", "OK"]
    fired = messages[1]
    assert fired["AlarmName"] == "errors"
    assert fired["OldStateValue"] == "OK"
    assert fired["NewStateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [3.0 (")
    assert fired["Trigger"]["Dimensions"] == [
        {"name": "EndpointName", "value": "shop"},
        {"name": "VariantName", "value": "a"},
    ]
    items = cloudwatch.describe_alarm_history(AlarmName="errors", ScanBy="TimestampAscending")["AlarmHistoryItems"]
    assert [item["HistorySummary"] for item in items if item["HistoryItemType"] == "StateUpdate"] == [
        "Alarm updated from INSUFFICIENT_DATA to OK",
        "Alarm updated from OK to ALARM",
        "Alarm updated from ALARM to OK",
    ]
    assert sum(item["HistoryItemType"] == "Action" for item in items) == 3


def test_m_of_n_percentile_and_math_alarms_evaluate(cloudwatch: Any, app: App) -> None:
    error_alarm(cloudwatch, "two-of-three", EvaluationPeriods=3, DatapointsToAlarm=2)
    percentile = {"MetricName": "ModelLatency", "ExtendedStatistic": "p90", "Threshold": 500, "Unit": "Microseconds"}
    settings = {"Namespace": "AWS/SageMaker", "Dimensions": SHOP, "Period": 60, "EvaluationPeriods": 1}
    cloudwatch.put_metric_alarm(AlarmName="slow", ComparisonOperator="GreaterThanThreshold", **settings, **percentile)

    def stat(name: str, metric: str) -> dict[str, Any]:
        of = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": SHOP}
        return {"Id": name, "MetricStat": {"Metric": of, "Period": 60, "Stat": "Sum"}, "ReturnData": False}

    cloudwatch.put_metric_alarm(
        AlarmName="error-rate",
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Threshold=10,
        EvaluationPeriods=1,
        Metrics=[
            stat("bad", "Invocation5XXErrors"),
            stat("calls", "Invocations"),
            {"Id": "rate", "Expression": "100 * FILL(bad, 0) / calls"},
        ],
    )
    seen = []
    for errors, calls in ((1, 20), (0, 20), (2, 20)):
        put(cloudwatch, "Invocation5XXErrors", errors)
        put(cloudwatch, "Invocations", calls)
        cloudwatch.put_metric_data(
            Namespace="AWS/SageMaker",
            MetricData=[
                {
                    "MetricName": "ModelLatency",
                    "Dimensions": SHOP,
                    "Values": [100.0, 1000.0],
                    "Counts": [float(calls - 5 * errors), 5.0 * errors + 1e-9],
                    "Unit": "Microseconds",
                }
            ],
        )
        app.plane.clock.advance(60)
        seen.append([state(cloudwatch, name) for name in ("two-of-three", "slow", "error-rate")])
    assert seen == [
        ["OK", "ALARM", "OK"],
        ["OK", "OK", "OK"],
        ["ALARM", "ALARM", "ALARM"],
    ]


def test_a_composite_follows_its_children_and_they_cannot_be_deleted_under_it(cloudwatch: Any) -> None:
    for name in ("one", "two"):
        error_alarm(cloudwatch, name)
    cloudwatch.put_composite_alarm(AlarmName="both", AlarmRule='ALARM("one") AND ALARM("two")')
    cloudwatch.put_composite_alarm(AlarmName="top", AlarmRule="ALARM(both)")
    for name in ("one", "two"):
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="drill")
    assert state(cloudwatch, "both") == state(cloudwatch, "top") == "ALARM"
    cloudwatch.set_alarm_state(AlarmName="two", StateValue="OK", StateReason="over")
    assert state(cloudwatch, "both") == state(cloudwatch, "top") == "OK"
    with pytest.raises(ClientError, match="composite alarm"):
        cloudwatch.delete_alarms(AlarmNames=["one"])
    with pytest.raises(ClientError, match=r"alarms \[nobody\] in the alarm rule do not exist"):
        cloudwatch.put_composite_alarm(AlarmName="x", AlarmRule="OK(nobody)")
    with pytest.raises(ClientError, match="circle"):
        cloudwatch.put_composite_alarm(AlarmName="both", AlarmRule="ALARM(top)")
    cloudwatch.delete_alarms(AlarmNames=["one", "two", "both", "top"])
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


def test_a_suppressor_holds_back_the_actions_of_a_composite(cloudwatch: Any, app: App) -> None:
    for name in ("fault", "maintenance"):
        error_alarm(cloudwatch, name, TreatMissingData="ignore")
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="start")
    cloudwatch.put_composite_alarm(
        AlarmName="page",
        AlarmRule="ALARM(fault)",
        AlarmActions=["arn:aws:sns:eu-west-1:123456789012:nobody"],
        ActionsSuppressor="maintenance",
        ActionsSuppressorWaitPeriod=60,
        ActionsSuppressorExtensionPeriod=120,
    )
    cloudwatch.set_alarm_state(AlarmName="maintenance", StateValue="ALARM", StateReason="planned")
    cloudwatch.set_alarm_state(AlarmName="fault", StateValue="ALARM", StateReason="broken")

    def page() -> dict[str, Any]:
        return cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"][0]

    def actions() -> int:
        found = cloudwatch.describe_alarm_history(AlarmName="page", HistoryItemType="Action")
        return len(found["AlarmHistoryItems"])

    assert page()["ActionsSuppressedBy"] == "Alarm"
    app.plane.clock.advance(30)
    cloudwatch.set_alarm_state(AlarmName="maintenance", StateValue="OK", StateReason="done")
    assert page()["ActionsSuppressedBy"] == "ExtensionPeriod"
    app.plane.clock.advance(110)
    assert actions() == 0
    app.plane.clock.advance(20)
    assert actions() == 1
    assert "ActionsSuppressedBy" not in page()


def test_what_no_alarm_here_can_do_is_refused_with_the_reason(cloudwatch: Any) -> None:
    with pytest.raises(ClientError, match="Anomaly detection alarms") as refused:
        error_alarm(cloudwatch, ComparisonOperator="GreaterThanUpperThreshold")
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="multiple of 60"):
        error_alarm(cloudwatch, Period=45)
    with pytest.raises(ClientError, match="more than 1 day"):
        error_alarm(cloudwatch, Period=60, EvaluationPeriods=2000)
    with pytest.raises(ClientError, match="must not be greater"):
        error_alarm(cloudwatch, DatapointsToAlarm=2)
    with pytest.raises(ClientError, match="does not implement cloudwatch:PutAnomalyDetector"):
        cloudwatch.put_anomaly_detector(Namespace="a", MetricName="b", Stat="Average")


def test_an_alarm_keeps_its_state_when_it_is_changed_and_its_tags(cloudwatch: Any) -> None:
    error_alarm(cloudwatch, Tags=[{"Key": "team", "Value": "ml"}])
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="drill", StateReasonData="{}")
    error_alarm(cloudwatch, Threshold=5)
    [alarm] = cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"]
    assert (alarm["Threshold"], alarm["StateReason"]) == (5.0, "drill")
    arn = alarm["AlarmArn"]
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "team", "Value": "ml"}]
    cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "env", "Value": "dev"}])
    cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["team"])
    cloudwatch.disable_alarm_actions(AlarmNames=["errors"])
    assert cloudwatch.describe_alarms()["MetricAlarms"][0]["ActionsEnabled"] is False
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "env", "Value": "dev"}]
    with pytest.raises(ClientError) as missing:
        cloudwatch.set_alarm_state(AlarmName="nobody", StateValue="OK", StateReason="x")
    assert missing.value.response["Error"]["Code"] == "ResourceNotFound"


def test_dashboards_are_kept_as_given_once_they_have_widgets(cloudwatch: Any) -> None:
    body = json.dumps({"widgets": [{"type": "text", "properties": {"markdown": "hello"}}]})
    cloudwatch.put_dashboard(DashboardName="shop", DashboardBody=body)
    assert cloudwatch.get_dashboard(DashboardName="shop")["DashboardBody"] == body
    [entry] = cloudwatch.list_dashboards(DashboardNamePrefix="s")["DashboardEntries"]
    assert entry["Size"] == len(body)
    with pytest.raises(ClientError) as refused:
        cloudwatch.put_dashboard(DashboardName="shop", DashboardBody='{"widgets": 1}')
    assert refused.value.response["Error"]["Code"] == "InvalidParameterInput"
    cloudwatch.delete_dashboards(DashboardNames=["shop"])
    with pytest.raises(ClientError) as missing:
        cloudwatch.get_dashboard(DashboardName="shop")
    assert missing.value.response["Error"]["Code"] == "ResourceNotFound"


class OneProtocol:
    """botocore's loader, with CloudWatch speaking one protocol only."""

    def __init__(self, inner: Any, protocol: str) -> None:
        self.inner = inner
        self.protocol = protocol

    def load_service_model(self, name: str, kind: str, api_version: str | None = None) -> Any:
        document = self.inner.load_service_model(name, kind, api_version)
        if (name, kind) != ("cloudwatch", "service-2"):
            return document
        chosen = {"protocol": self.protocol, "protocols": [self.protocol]}
        return {**document, "metadata": {**document["metadata"], **chosen}}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def speaking(protocol: str, url: str) -> Any:
    session = botocore.session.Session()
    session.register_component("data_loader", OneProtocol(session.get_component("data_loader"), protocol))
    return session.create_client(
        "cloudwatch",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id="123456789012",
        aws_secret_access_key="local",
    )


@pytest.mark.parametrize("protocol", ["query", "json", "smithy-rpc-v2-cbor"])
def test_every_protocol_of_cloudwatch_is_understood(app: App, protocol: str) -> None:
    cloudwatch = speaking(protocol, app.url)
    error_alarm(cloudwatch, Tags=[{"Key": "a", "Value": "b"}])
    [alarm] = cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"]
    assert alarm["AlarmConfigurationUpdatedTimestamp"] == NOON
    assert alarm["ActionsEnabled"] is True
    assert alarm["Dimensions"] == SHOP
    put(cloudwatch, "Invocations", 4, Timestamp=NOON)
    [point] = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=SHOP,
        StartTime=NOON,
        EndTime=minutes(1),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    assert (point["Timestamp"], point["Sum"]) == (NOON, 4.0)
    with pytest.raises(ClientError) as missing:
        cloudwatch.delete_alarms(AlarmNames=["nobody"])
    assert missing.value.response["Error"]["Code"] == "ResourceNotFound"


def test_an_alarm_with_a_short_period_is_looked_at_between_the_minutes(cloudwatch: Any, app: App) -> None:
    error_alarm(cloudwatch, Period=10)
    put(cloudwatch, "Invocation5XXErrors", 1, StorageResolution=1)
    app.plane.clock.advance(10)
    assert state(cloudwatch) == "ALARM"
    app.plane.clock.advance(40)
    assert state(cloudwatch) == "OK"
    cloudwatch.delete_alarms(AlarmNames=["errors"])
    assert "hasty alarms" not in str(app.plane.clock.describe()["timers"])
