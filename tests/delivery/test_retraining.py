"""Drift or lost quality starts a training run, once per cool-down, however often alarms fire."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from benchmarks.delivery.ground import ROOT, Cloud
from contract.release import Package, Release, Variant
from delivery.engine.cloud import embedded
from delivery.engine.declare import declare
from delivery.engine.recording import Recording
from delivery.releases import ReleaseFile
from infra.names import Names
from stacks.settings import load

HOUR = 3600.0
NAMES = Names("local", "123456789012", "eu-west-1")
PIPELINE = NAMES.training_pipeline("churn")
STORM = 50


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """What the program of the local environment declares when a version serves."""
    root = tmp_path_factory.mktemp("root")
    for name in ("Pulumi.yaml", "Pulumi.local.yaml"):
        shutil.copy(ROOT / name, root)
    package = Package(1, "arn", NAMES.image("inference", f"sha256:{'0' * 64}"), "s3://a/1/model.tar.gz", "0" * 64, "e")
    ReleaseFile.of("local", root).put("churn", Release("steady", (Variant("champion", package),)))
    return declare("local", root).recording


def inputs(declared: Recording, kind: str, label: str) -> dict[str, Any]:
    return next(dict(each.inputs) for each in declared.of_type(kind) if each.urn.endswith(f"::{label}"))


@pytest.fixture
def alarms(declared: Recording, rehearsal: Cloud) -> list[str]:
    """The alarms, the rule and a pipeline of that name, made as declared."""
    cloud = embedded(load("local"), rehearsal.url)
    trigger = inputs(declared, "aws:cloudwatch/compositeAlarm:CompositeAlarm", "churn-retrain")
    watched = [dict(each.inputs) for each in declared.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")]
    named = {each["name"]: each for each in watched if each["name"] in trigger["alarmRule"]}
    cloudwatch = cloud.client("cloudwatch")
    for name, each in named.items():
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace=each["namespace"],
            MetricName=each["metricName"],
            Dimensions=[{"Name": key, "Value": value} for key, value in each["dimensions"].items()],
            Statistic=each["statistic"],
            ComparisonOperator=each["comparisonOperator"],
            Threshold=each["threshold"],
            Period=int(each["period"]),
            EvaluationPeriods=int(each["evaluationPeriods"]),
            DatapointsToAlarm=int(each["datapointsToAlarm"]),
            TreatMissingData=each["treatMissingData"],
        )
    cloudwatch.put_composite_alarm(AlarmName=trigger["alarmName"], AlarmRule=trigger["alarmRule"])
    document = {
        "Version": "2020-12-01",
        "Steps": [{"Name": "Over", "Type": "Fail", "Arguments": {"ErrorMessage": "x"}}],
    }
    cloud.client("sagemaker").create_pipeline(
        PipelineName=PIPELINE,
        PipelineDefinition=json.dumps(document),
        RoleArn=NAMES.global_arn("iam", "role/pipeline"),
        ClientRequestToken="0" * 32,
    )
    rule = inputs(declared, "aws:cloudwatch/eventRule:EventRule", "churn-retrain")
    events = cloud.client("events")
    events.put_rule(Name=rule["name"], EventPattern=rule["eventPattern"])
    target = {"Id": "train", "Arn": NAMES.arn("sagemaker", f"pipeline/{PIPELINE}"), "RoleArn": "arn:aws:iam::1:role/e"}
    events.put_targets(Rule=rule["name"], Targets=[target])
    return [name for name in named if "trained-lately" not in name]


def runs(cloud: Cloud) -> int:
    client = embedded(load("local"), cloud.url).client("sagemaker")
    return len(client.list_pipeline_executions(PipelineName=PIPELINE)["PipelineExecutionSummaries"])


def test_a_storm_of_alarms_starts_one_run_and_the_next_only_after_the_cool_down(
    rehearsal: Cloud, alarms: list[str]
) -> None:
    cloudwatch = embedded(load("local"), rehearsal.url).client("cloudwatch")
    assert len(alarms) == 3  # drift of inputs, of predictions, lost quality
    for number in range(STORM):
        for state in ("ALARM", "OK"):
            cloudwatch.set_alarm_state(AlarmName=alarms[number % 3], StateValue=state, StateReason="a storm")
            rehearsal.advance(HOUR / STORM / 2)
    assert runs(rehearsal) == 1

    rehearsal.advance(12 * HOUR)
    cloudwatch.set_alarm_state(AlarmName=alarms[0], StateValue="ALARM", StateReason="again, half a day later")
    rehearsal.advance(60)
    assert runs(rehearsal) == 1

    rehearsal.advance(13 * HOUR)
    cloudwatch.set_alarm_state(AlarmName=alarms[1], StateValue="ALARM", StateReason="a day later")
    rehearsal.advance(60)
    assert runs(rehearsal) == 2


def test_settings_say_how_long_the_cool_down_is(declared: Recording) -> None:
    resting = inputs(declared, "aws:cloudwatch/metricAlarm:MetricAlarm", "churn-trained-lately")
    assert (resting["period"], resting["evaluationPeriods"], resting["datapointsToAlarm"]) == (3600, 24, 1)
