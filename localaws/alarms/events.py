"""The EventBridge events of alarms, in the shape rules and targets expect."""

import json
import uuid
from typing import Any

from localaws.alarms.reason import instant
from localaws.store import Body

TYPE = "CloudWatch Alarm State Change"


def state_change(before: Body, after: Body) -> dict[str, Any]:
    """What the courier is given when an alarm changed its state."""
    detail: dict[str, Any] = {
        "alarmName": after["AlarmName"],
        "state": _state(after),
        "previousState": _state(before),
        "configuration": configuration(after),
    }
    if after.get("ActionsSuppressedBy"):
        detail["state"]["actionsSuppressedBy"] = after["ActionsSuppressedBy"]
        detail["state"]["actionsSuppressedReason"] = after["ActionsSuppressedReason"]
    return {"source": "aws.cloudwatch", "detail_type": TYPE, "detail": detail, "resources": [after["AlarmArn"]]}


def _state(body: Body) -> dict[str, Any]:
    state = {
        "value": body["StateValue"],
        "reason": body["StateReason"],
        "timestamp": instant(body["StateUpdatedTimestamp"]),
    }
    if body.get("StateReasonData"):
        state["reasonData"] = body["StateReasonData"]
    return state


def state_data(body: Body) -> dict[str, Any]:
    """A state as the alarm's history keeps it."""
    data = {"stateValue": body["StateValue"], "stateReason": body["StateReason"]}
    if body.get("StateReasonData"):
        data["stateReasonData"] = json.loads(body["StateReasonData"])
    return data


def configuration(body: Body) -> dict[str, Any]:
    shown: dict[str, Any] = {"description": body.get("AlarmDescription", "")}
    if "AlarmRule" in body:
        shown["alarmRule"] = body["AlarmRule"]
        for member in ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod"):
            if member in body:
                shown[member[0].lower() + member[1:]] = body[member]
        return shown
    if "Metrics" in body:
        shown["metrics"] = [_query(found) for found in body["Metrics"]]
    else:
        stat: dict[str, Any] = {
            "metric": _metric(body),
            "period": body["Period"],
            "stat": body.get("Statistic") or body.get("ExtendedStatistic"),
        }
        if "Unit" in body:
            stat["unit"] = body["Unit"]
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, body["AlarmArn"]))
        shown["metrics"] = [{"id": name, "metricStat": stat, "returnData": True}]
    return shown


def _query(found: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": found["Id"]}
    if "MetricStat" in found:
        stat = found["MetricStat"]
        shown["metricStat"] = {"metric": _metric(stat["Metric"]), "period": stat["Period"], "stat": stat["Stat"]}
    if "Expression" in found:
        shown["expression"] = found["Expression"]
    if "Label" in found:
        shown["label"] = found["Label"]
    return {**shown, "returnData": found.get("ReturnData", True)}


def _metric(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "namespace": found["Namespace"],
        "name": found["MetricName"],
        "dimensions": {dimension["Name"]: dimension["Value"] for dimension in found.get("Dimensions", [])},
    }
