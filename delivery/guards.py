"""The alarms that guard a rollout, aimed at the configuration an endpoint is about to serve.

The engine aims them before each rollout. Going back happens without the engine, so it is done here the same way: an
alarm that still watches the bad configuration would undo the way back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contract.release import Rollout
from infra.serving import deployment

CONFIG = "EndpointConfigName"
# What DescribeAlarms tells and PutMetricAlarm takes.
DEFINITION = (
    "AlarmName",
    "AlarmDescription",
    "ActionsEnabled",
    "OKActions",
    "AlarmActions",
    "InsufficientDataActions",
    "MetricName",
    "Namespace",
    "Statistic",
    "ExtendedStatistic",
    "Dimensions",
    "Period",
    "Unit",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "EvaluateLowSampleCountPercentile",
)


def aimed(alarm: Mapping[str, Any], config: str) -> dict[str, Any]:
    """The definition of an alarm, watching another configuration; one that watches all of them stays as it is."""
    definition = {name: alarm[name] for name in DEFINITION if alarm.get(name) not in (None, "")}
    definition["Dimensions"] = [
        {"Name": each["Name"], "Value": config if each["Name"] == CONFIG else each["Value"]}
        for each in alarm["Dimensions"]
    ]
    return definition


def aim(cloudwatch: Any, names: Sequence[str], config: str) -> None:
    """Aim the guards at a configuration, calm: what they saw of the old one says nothing about it."""
    for alarm in cloudwatch.describe_alarms(AlarmNames=list(names))["MetricAlarms"]:
        cloudwatch.put_metric_alarm(**aimed(alarm, config))
        cloudwatch.set_alarm_state(
            AlarmName=alarm["AlarmName"], StateValue="OK", StateReason=f"now watches {config}, which served well"
        )


def deployment_config(rollout: Rollout, names: Sequence[str]) -> dict[str, Any]:
    """The policy of a rollout as SageMaker's own API takes it: the one the program declares, word for word."""
    return capitalised(deployment(rollout, names))


def capitalised(value: Any) -> Any:
    """`snake_case` keys as AWS spells them."""
    if isinstance(value, dict):
        return {"".join(part.title() for part in name.split("_")): capitalised(each) for name, each in value.items()}
    return [capitalised(each) for each in value] if isinstance(value, list) else value
