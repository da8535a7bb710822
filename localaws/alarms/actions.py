"""What an alarm does when its state changes: a message on an SNS topic, in the form CloudWatch sends."""

import functools
import json

import botocore.session

from localaws.alarms.reason import instant
from localaws.alarms.watchman import ACTIONS, Actor
from localaws.aws import Clients
from localaws.store import Body, Scope


def notify(clients: Clients) -> Actor:
    """An actor that publishes the alarm on the topic that the action names."""

    def publish(scope: Scope, body: Body, action: str) -> None:
        region = action.split(":")[3]
        clients.get("sns", scope.account, region).publish(
            TopicArn=action,
            Subject=f'{body["StateValue"]}: "{body["AlarmName"]}" in {region_name(scope.region)}'[:100],
            Message=json.dumps(message(scope, body)),
        )

    return publish


def message(scope: Scope, body: Body) -> dict[str, object]:
    """The JSON that subscribers of an alarm's topic get."""
    shown: dict[str, object] = {
        "AlarmName": body["AlarmName"],
        "AlarmDescription": body.get("AlarmDescription"),
        "AWSAccountId": scope.account,
        "AlarmConfigurationUpdatedTimestamp": instant(body["AlarmConfigurationUpdatedTimestamp"]),
        "NewStateValue": body["StateValue"],
        "NewStateReason": body["StateReason"],
        "StateChangeTime": instant(body["StateUpdatedTimestamp"]),
        "Region": region_name(scope.region),
        "AlarmArn": body["AlarmArn"],
        "OldStateValue": body.get("_PreviousState", "INSUFFICIENT_DATA"),
    }
    shown |= {member: body.get(member, []) for member in ACTIONS.values()}
    if "AlarmRule" in body:
        return {**shown, "AlarmRule": body["AlarmRule"]}
    return {**shown, "Trigger": _trigger(body)}


def _trigger(body: Body) -> dict[str, object]:
    trigger: dict[str, object] = {
        "Period": body.get("Period"),
        "EvaluationPeriods": body["EvaluationPeriods"],
        "DatapointsToAlarm": body.get("DatapointsToAlarm", body["EvaluationPeriods"]),
        "ComparisonOperator": body["ComparisonOperator"],
        "Threshold": body["Threshold"],
        "TreatMissingData": body.get("TreatMissingData", "missing"),
        "EvaluateLowSampleCountPercentile": body.get("EvaluateLowSampleCountPercentile", ""),
    }
    if "Metrics" in body:
        return {**trigger, "Metrics": body["Metrics"]}
    statistic = {"StatisticType": "Statistic", "Statistic": body.get("Statistic", "").upper()}
    if "ExtendedStatistic" in body:
        statistic = {"StatisticType": "ExtendedStatistic", "ExtendedStatistic": body["ExtendedStatistic"]}
    dimensions = [{"name": found["Name"], "value": found["Value"]} for found in body["Dimensions"]]
    metric = {"MetricName": body["MetricName"], "Namespace": body["Namespace"], "Unit": body.get("Unit")}
    return {**metric, **statistic, "Dimensions": dimensions, **trigger}


@functools.cache
def region_name(region: str) -> str:
    """A region as alarms spell it out: `Europe (Ireland)`."""
    for partition in botocore.session.get_session().get_data("endpoints")["partitions"]:
        if region in partition["regions"]:
            return partition["regions"][region]["description"]
    return region
