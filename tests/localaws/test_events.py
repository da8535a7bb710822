"""EventBridge and Scheduler: what happens reaches whoever asked for it, and never breaks whoever said it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.app import App, start
from localaws.clock import Clock
from localaws.plane import Settings

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/events"
AwsClient = Callable[..., Any]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    running = start(Settings(containers=tmp_path, work=tmp_path / "work"), clock=Clock.stepped(MONDAY))
    yield running
    running.stop()


@pytest.fixture
def client(app: App, clients: Callable[[App], AwsClient]) -> AwsClient:
    return clients(app)


@pytest.fixture
def events(client: AwsClient) -> Any:
    return client("events")


@pytest.fixture
def inbox(client: AwsClient, request: pytest.FixtureRequest) -> Inbox:
    return Inbox(client("sqs"), f"inbox-{abs(hash(request.node.name)) % 10**9}")


class Inbox:
    """A queue that a rule delivers to."""

    def __init__(self, sqs: Any, name: str) -> None:
        self.sqs = sqs
        self.url = sqs.create_queue(QueueName=name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:{name}"

    def texts(self) -> list[str]:
        found: list[str] = []
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(message["Body"])
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return found


def rule(events: Any, pattern: dict[str, Any], *targets: dict[str, Any], name: str = "watch") -> None:
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=list(targets))


def pipeline_taking(parameter: str) -> str:
    """A pipeline of one step that ends at once."""
    step = {"Name": "stop", "Type": "Fail", "Arguments": {"ErrorMessage": "nothing to do"}}
    parameters = [{"Name": parameter, "Type": "String"}]
    return json.dumps({"Version": "2020-12-01", "Parameters": parameters, "Steps": [step]})


def say(events: Any, detail: dict[str, Any], **more: Any) -> dict[str, Any]:
    entry = {"Source": "shop", "DetailType": "Drift found", "Detail": json.dumps(detail), **more}
    return events.put_events(Entries=[entry])


def test_an_event_reaches_the_targets_of_matching_rules_as_they_asked_for_it(
    events: Any, inbox: Inbox, app: App
) -> None:
    template = '{"what": <feature>, "said": "<feature> drifted by <score>", "rule": "<aws.events.rule-name>"}'
    transformer = {"InputPathsMap": {"feature": "$.detail.feature", "score": "$.detail.score"}}
    rule(
        events,
        {"source": ["shop"], "detail": {"score": [{"numeric": [">", 0.2]}]}},
        {"Id": "all", "Arn": inbox.arn},
        {"Id": "part", "Arn": inbox.arn, "InputPath": "$.detail"},
        {"Id": "fixed", "Arn": inbox.arn, "Input": '{"fixed": true}'},
        {"Id": "made", "Arn": inbox.arn, "InputTransformer": {**transformer, "InputTemplate": template}},
    )
    say(events, {"feature": "age", "score": 0.1})
    say(events, {"feature": "age", "score": 0.3})
    app.plane.clock.settle()
    whole, part, fixed, made = [json.loads(text) for text in inbox.texts()]
    assert whole["detail-type"] == "Drift found"
    assert (whole["account"], whole["region"], whole["time"]) == (ACCOUNT, "eu-west-1", "2026-01-05T00:00:00Z")
    assert part == {"feature": "age", "score": 0.3}
    assert fixed == {"fixed": True}
    assert made == {"what": "age", "said": "age drifted by 0.3", "rule": "watch"}


def test_topics_log_groups_other_buses_and_pipelines_are_targets(
    events: Any, client: AwsClient, inbox: Inbox, app: App
) -> None:
    sns, logs, sagemaker = client("sns"), client("logs"), client("sagemaker")
    topic = sns.create_topic(Name="drift")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox.arn)
    logs.create_log_group(logGroupName="/aws/events/drift")
    bus = events.create_event_bus(Name="audit")["EventBusArn"]
    events.put_rule(Name="copy", EventBusName="audit", EventPattern='{"source": ["shop"]}')
    events.put_targets(Rule="copy", EventBusName="audit", Targets=[{"Id": "1", "Arn": inbox.arn}])
    pipeline = sagemaker.create_pipeline(
        PipelineName="retrain",
        PipelineDefinition=pipeline_taking("Feature"),
        ClientRequestToken="t" * 32,
        RoleArn=ROLE,
    )["PipelineArn"]
    rule(
        events,
        {"source": ["shop"]},
        {"Id": "topic", "Arn": topic, "InputPath": "$.detail.feature"},
        {"Id": "log", "Arn": f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/aws/events/drift"},
        {"Id": "bus", "Arn": bus, "RoleArn": ROLE},
        {
            "Id": "pipeline",
            "Arn": pipeline,
            "RoleArn": ROLE,
            "SageMakerPipelineParameters": {
                "PipelineParameterList": [{"Name": "Feature", "Value": "$.detail.feature"}]
            },
        },
    )
    say(events, {"feature": "age"})
    app.plane.clock.settle()
    first, second = inbox.texts()
    assert json.loads(first)["Message"] == '"age"'
    assert json.loads(second)["source"] == "shop"
    [line] = logs.filter_log_events(logGroupName="/aws/events/drift")["events"]
    assert json.loads(line["message"])["detail"] == {"feature": "age"}
    [execution] = sagemaker.list_pipeline_executions(PipelineName="retrain")["PipelineExecutionSummaries"]
    parameters = sagemaker.list_pipeline_parameters_for_execution(
        PipelineExecutionArn=execution["PipelineExecutionArn"]
    )
    assert parameters["PipelineParameters"] == [{"Name": "Feature", "Value": "age"}]


def test_a_target_that_fails_never_breaks_the_caller_nor_the_other_targets(
    events: Any, client: AwsClient, inbox: Inbox, app: App
) -> None:
    dead = Inbox(client("sqs"), "dead-letters")
    gone = f"arn:aws:sns:eu-west-1:{ACCOUNT}:nobody"
    rule(
        events,
        {"source": ["shop"]},
        {"Id": "gone", "Arn": gone},
        {"Id": "dead", "Arn": gone, "DeadLetterConfig": {"Arn": dead.arn}},
        {"Id": "there", "Arn": inbox.arn, "Input": '"still here"'},
    )
    assert say(events, {})["FailedEntryCount"] == 0
    app.plane.clock.settle()
    assert inbox.texts() == ['"still here"']
    assert len(dead.texts()) == 1
    app.plane.clock.advance(60)
    found = client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Events",
        MetricName="FailedInvocations",
        Dimensions=[{"Name": "RuleName", "Value": "watch"}],
        StartTime=MONDAY,
        EndTime=datetime(2026, 1, 6, tzinfo=UTC),
        Period=60,
        Statistics=["Sum"],
    )
    assert found["Datapoints"][0]["Sum"] == 1


def test_an_alarm_change_arrives_in_the_shape_rules_are_written_for(
    events: Any, client: AwsClient, inbox: Inbox, app: App
) -> None:
    rule(
        events,
        {
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],
            "detail": {"alarmName": ["drift"], "state": {"value": ["ALARM"]}},
        },
        {"Id": "1", "Arn": inbox.arn},
    )
    client("cloudwatch").put_metric_alarm(
        AlarmName="drift",
        AlarmDescription="features moved",
        Namespace="Slipway",
        MetricName="DriftScore",
        Dimensions=[{"Name": "Endpoint", "Value": "shop"}],
        Statistic="Maximum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=0.2,
        ComparisonOperator="GreaterThanThreshold",
    )
    client("cloudwatch").put_metric_data(
        Namespace="Slipway",
        MetricData=[{"MetricName": "DriftScore", "Dimensions": [{"Name": "Endpoint", "Value": "shop"}], "Value": 0.5}],
    )
    app.plane.clock.advance(60)
    [event] = [json.loads(text) for text in inbox.texts()]
    assert event["resources"] == [f"arn:aws:cloudwatch:eu-west-1:{ACCOUNT}:alarm:drift"]
    detail = event["detail"]
    assert detail["previousState"]["value"] == "INSUFFICIENT_DATA"
    assert detail["state"]["timestamp"] == "2026-01-05T00:01:00.000+0000"
    assert json.loads(detail["state"]["reasonData"])["recentDatapoints"] == [0.5]
    assert detail["configuration"]["description"] == "features moved"
    [metric] = detail["configuration"]["metrics"]
    assert metric["metricStat"] == {
        "metric": {"namespace": "Slipway", "name": "DriftScore", "dimensions": {"Endpoint": "shop"}},
        "period": 300,
        "stat": "Maximum",
    }


def test_a_rule_by_rate_fires_on_the_clock_until_it_is_disabled(events: Any, inbox: Inbox, app: App) -> None:
    events.put_rule(Name="hourly", ScheduleExpression="rate(1 hour)")
    events.put_targets(Rule="hourly", Targets=[{"Id": "1", "Arn": inbox.arn, "InputPath": "$.time"}])
    app.plane.clock.advance(3 * 3600)
    events.disable_rule(Name="hourly")
    app.plane.clock.advance(3 * 3600)
    assert inbox.texts() == [f'"2026-01-05T0{hour}:00:00Z"' for hour in (1, 2, 3)]


def test_rules_are_read_back_as_terraform_reads_them(events: Any, inbox: Inbox) -> None:
    rule(events, {"source": ["shop"]}, {"Id": "1", "Arn": inbox.arn})
    found = events.describe_rule(Name="watch")
    assert (found["State"], found["EventBusName"]) == ("ENABLED", "default")
    assert found["Arn"] == f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/watch"
    events.tag_resource(ResourceARN=found["Arn"], Tags=[{"Key": "env", "Value": "dev"}])
    assert events.list_tags_for_resource(ResourceARN=found["Arn"])["Tags"] == [{"Key": "env", "Value": "dev"}]
    assert events.list_rule_names_by_target(TargetArn=inbox.arn)["RuleNames"] == ["watch"]
    with pytest.raises(ClientError, match="since it has targets"):
        events.delete_rule(Name="watch")
    events.remove_targets(Rule="watch", Ids=["1"])
    events.delete_rule(Name="watch")
    with pytest.raises(ClientError) as gone:
        events.describe_rule(Name="watch")
    assert gone.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_what_cannot_be_delivered_or_matched_is_refused_when_it_is_put(events: Any) -> None:
    events.put_rule(Name="watch", EventPattern='{"source": ["shop"]}')
    arn = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"
    with pytest.raises(ClientError, match="cannot deliver to a Lambda function"):
        events.put_targets(Rule="watch", Targets=[{"Id": "1", "Arn": arn}])
    with pytest.raises(ClientError, match="Event pattern is not valid"):
        events.put_rule(Name="bad", EventPattern='{"source": "shop"}')
    with pytest.raises(ClientError, match="ScheduleExpression is not valid"):
        events.put_rule(Name="bad", ScheduleExpression="sometimes")


def test_entries_that_are_no_events_are_answered_one_by_one(events: Any) -> None:
    good = {"Source": "shop", "DetailType": "x", "Detail": "{}"}
    answer = events.put_events(Entries=[good, {**good, "Detail": "["}, {**good, "Source": "aws.s3"}])
    assert answer["FailedEntryCount"] == 2
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        None,
        "MalformedDetail",
        "NotAuthorizedForSourceException",
    ]


# --- scheduler ------------------------------------------------------------------------------------------------------


def plan(scheduler: Any, name: str, expression: str, target: dict[str, Any], **more: Any) -> None:
    scheduler.create_schedule(
        Name=name,
        ScheduleExpression=expression,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"RoleArn": ROLE, **target},
        **more,
    )


def test_a_schedule_keeps_its_hours_over_a_day(client: AwsClient, app: App, inbox: Inbox) -> None:
    target = {"Arn": inbox.arn, "Input": '"<aws.scheduler.scheduled-time>"'}
    plan(client("scheduler"), "hourly", "cron(0 * * * ? *)", target, ScheduleExpressionTimezone="Europe/Berlin")
    app.plane.clock.advance(86400)
    times = sorted(json.loads(text) for text in inbox.texts())
    assert len(times) == 24
    assert times[0] == "2026-01-05T01:00:00Z"


def test_a_schedule_calls_any_operation_and_can_end_itself(client: AwsClient, app: App) -> None:
    scheduler, sqs = client("scheduler"), client("sqs")
    target = {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:createQueue", "Input": '{"QueueName": "made-by-schedule"}'}
    plan(scheduler, "once", "at(2026-01-05T01:30:00)", target, ActionAfterCompletion="DELETE")
    app.plane.clock.advance(3600)
    assert not any("made-by-schedule" in url for url in sqs.list_queues().get("QueueUrls", []))
    app.plane.clock.advance(3600)
    assert any("made-by-schedule" in url for url in sqs.list_queues().get("QueueUrls", []))
    with pytest.raises(ClientError) as gone:
        scheduler.get_schedule(Name="once")
    assert gone.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_a_schedule_starts_a_pipeline_with_its_parameters(client: AwsClient, app: App) -> None:
    sagemaker = client("sagemaker", region="eu-central-1")
    arn = sagemaker.create_pipeline(
        PipelineName="monitor",
        PipelineDefinition=pipeline_taking("Window"),
        ClientRequestToken="t" * 32,
        RoleArn=ROLE,
    )["PipelineArn"]
    parameters = {"PipelineParameterList": [{"Name": "Window", "Value": "PT1H"}]}
    target = {"Arn": arn, "SageMakerPipelineParameters": parameters}
    plan(client("scheduler", region="eu-central-1"), "hourly", "rate(1 hour)", target)
    app.plane.clock.advance(2 * 3600)
    executions = sagemaker.list_pipeline_executions(PipelineName="monitor")["PipelineExecutionSummaries"]
    assert len(executions) == 3  # at once, and after each hour


def test_schedules_are_read_back_as_terraform_reads_them(client: AwsClient, inbox: Inbox) -> None:
    scheduler = client("scheduler")
    group = scheduler.create_schedule_group(Name="shop", Tags=[{"Key": "env", "Value": "dev"}])["ScheduleGroupArn"]
    assert scheduler.list_tags_for_resource(ResourceArn=group)["Tags"] == [{"Key": "env", "Value": "dev"}]
    flexible = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    target = {"Arn": inbox.arn, "RoleArn": ROLE}
    more: dict[str, Any] = {"ScheduleExpression": "rate(5 minutes)", "FlexibleTimeWindow": flexible, "Target": target}
    scheduler.create_schedule(Name="a", GroupName="shop", **more)
    found = scheduler.get_schedule(Name="a", GroupName="shop")
    assert found["Arn"] == f"arn:aws:scheduler:eu-west-1:{ACCOUNT}:schedule/shop/a"
    assert (found["State"], found["ScheduleExpressionTimezone"]) == ("ENABLED", "UTC")
    assert found["FlexibleTimeWindow"] == flexible
    assert found["CreationDate"] == MONDAY
    scheduler.update_schedule(Name="a", GroupName="shop", State="DISABLED", **more)
    [summary] = scheduler.list_schedules(GroupName="shop")["Schedules"]
    assert (summary["State"], summary["Target"]) == ("DISABLED", {"Arn": inbox.arn})
    with pytest.raises(ClientError) as taken:
        scheduler.create_schedule(Name="a", GroupName="shop", **more)
    assert taken.value.response["Error"]["Code"] == "ConflictException"
    scheduler.delete_schedule_group(Name="shop")
    assert scheduler.list_schedules()["Schedules"] == []


def test_a_schedule_that_could_never_work_is_refused(client: AwsClient, inbox: Inbox) -> None:
    scheduler = client("scheduler")
    with pytest.raises(ClientError, match="Invalid Schedule Expression"):
        plan(scheduler, "x", "often", {"Arn": inbox.arn})
    with pytest.raises(ClientError, match="does not have"):
        plan(scheduler, "x", "rate(1 hour)", {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:buyMilk"})
    with pytest.raises(ClientError, match="IANA"):
        plan(scheduler, "x", "rate(1 hour)", {"Arn": inbox.arn}, ScheduleExpressionTimezone="Moon")
