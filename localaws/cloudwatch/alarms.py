"""The alarms' API: what may be put, what Describe shows, and setting a state by hand."""

import json
from collections.abc import Mapping
from typing import Any

from localaws import resources
from localaws.alarms.composite import RuleError, parse_rule
from localaws.alarms.judge import COMPARISONS, Missing, State
from localaws.alarms.reason import INITIAL
from localaws.alarms.watchman import ACTIONS, HISTORY, Watchman, dimensions_of, period_of, query_of
from localaws.cloudwatch.metrics import check_period, check_queries, check_statistic, epoch, wrong
from localaws.errors import AwsError
from localaws.gateway import Operation, Request
from localaws.metrics.expression import ExpressionError, parse
from localaws.metrics.series import DAY
from localaws.store import Body, Resource, Scope
from localaws.watch import ALARM

STATE = ("StateValue", "StateReason", "StateReasonData", "StateUpdatedTimestamp", "StateTransitionedTimestamp")
PAGE = 50
LONGEST = {"short": DAY, "hourly": 7 * DAY}


def operations(watchman: Watchman) -> Mapping[str, Operation]:
    return {
        "PutMetricAlarm": lambda request: put_metric_alarm(watchman, request),
        "PutCompositeAlarm": lambda request: put_composite_alarm(watchman, request),
        "DescribeAlarms": describe,
        "DescribeAlarmsForMetric": describe_for_metric,
        "DescribeAlarmHistory": history,
        "DeleteAlarms": lambda request: delete(watchman, request),
        "SetAlarmState": lambda request: set_state(watchman, request),
        "EnableAlarmActions": lambda request: enable(request, actions=True),
        "DisableAlarmActions": lambda request: enable(request, actions=False),
    }


def refused(message: str) -> AwsError:
    return wrong(message, "ValidationError")


# --- putting --------------------------------------------------------------------------------------------------------


def put_metric_alarm(watchman: Watchman, request: Request) -> dict[str, Any]:
    params = request.params
    _check_metric_alarm(params)
    _save(watchman, request, resources.without(params, "Tags"))
    return {}


def put_composite_alarm(watchman: Watchman, request: Request) -> dict[str, Any]:
    params, scope = request.params, request.scope
    try:
        rule = parse_rule(params["AlarmRule"])
    except RuleError as error:
        raise refused(str(error)) from error
    missing = sorted(name for name in rule.names if scope.get(ALARM, name) is None)
    if missing:
        raise refused(
            f"Could not save the composite alarm as alarms [{', '.join(missing)}] in the alarm rule do not exist"
        )
    if params["AlarmName"] in _reached(scope, rule.names):
        raise refused(
            f"Could not save the composite alarm: its rule refers to {params['AlarmName']} itself, in a circle"
        )
    if (
        "ActionsSuppressor" not in params
        and {"ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod"} & params.keys()
    ):
        raise refused("ActionsSuppressorWaitPeriod and ActionsSuppressorExtensionPeriod need an ActionsSuppressor")
    row = _save(watchman, request, resources.without(params, "Tags"))
    watchman.check_composite(scope, row)
    return {}


def _reached(scope: Scope, names: frozenset[str]) -> set[str]:
    """Every alarm a rule depends on, however indirectly."""
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        row = scope.get(ALARM, name)
        if name not in reached and row and "AlarmRule" in row.body:
            waiting += parse_rule(row.body["AlarmRule"]).names
        reached.add(name)
    return reached


def _save(watchman: Watchman, request: Request, body: Body) -> Resource:
    """Add an alarm, or change one and keep its state."""
    scope, name, now = request.scope, body["AlarmName"], watchman.clock.now()
    arn = scope.arn(f"alarm:{name}", "cloudwatch")
    members = {"ActionsEnabled": True} | {member: list[str]() for member in ACTIONS.values()} | body
    members |= {"AlarmArn": arn, "AlarmConfigurationUpdatedTimestamp": now}
    if "AlarmRule" not in body and "Metrics" not in body:
        members.setdefault("Dimensions", [])
    old = scope.get(ALARM, name)
    if old is None:
        members |= {"StateValue": str(State.INSUFFICIENT_DATA), "StateReason": INITIAL}
        members |= {"StateUpdatedTimestamp": now, "StateTransitionedTimestamp": now}
        row = scope.add(ALARM, name, arn, members, created=now, tags=resources.as_map(request.params.get("Tags", [])))
        watchman.remember(scope, row.body, "ConfigurationUpdate", f'Alarm "{name}" created', {"type": "Create"})
    else:
        if ("AlarmRule" in old.body) != ("AlarmRule" in body):
            raise refused(
                f"The alarm {name} exists with another type: a metric alarm and a composite one cannot share a name."
            )
        kept = {member: old.body[member] for member in STATE if member in old.body}
        row = scope.update(ALARM, name, lambda _: {**members, **kept})
        watchman.remember(scope, row.body, "ConfigurationUpdate", f'Alarm "{name}" updated', {"type": "Update"})
    watchman.note(row)
    return row


def _check_metric_alarm(params: Mapping[str, Any]) -> None:
    if "EvaluationCriteria" in params:
        raise refused("PromQL alarms (EvaluationCriteria) are not built in the embedded AWS")
    if "ThresholdMetricId" in params or params.get("ComparisonOperator", "GreaterThanThreshold") not in COMPARISONS:
        raise refused(
            "Anomaly detection alarms (ThresholdMetricId, or an operator with Lower/UpperThreshold) are not built "
            "in the embedded AWS: it has no trained band to compare with. Use a Threshold."
        )
    for member in ("ComparisonOperator", "EvaluationPeriods", "Threshold"):
        if member not in params:
            raise refused(f"The parameter {member} is required for an alarm with a static threshold.")
    if "Metrics" in params:
        _check_expression_alarm(params)
    else:
        _check_single_metric(params)
    missing = params.get("TreatMissingData", "missing")
    if missing not in [str(way) for way in Missing]:
        raise refused(
            f"The value {missing} for parameter TreatMissingData is not supported: use missing, ignore, breaching "
            "or notBreaching."
        )
    if params.get("DatapointsToAlarm", 1) > params["EvaluationPeriods"]:
        raise refused(
            f"DatapointsToAlarm ({params['DatapointsToAlarm']}) must not be greater than EvaluationPeriods "
            f"({params['EvaluationPeriods']})."
        )
    period = period_of(dict(params))
    span, most = period * params["EvaluationPeriods"], LONGEST["hourly" if period >= 3600 else "short"]
    if span > most:
        raise refused(
            f"Metrics cannot be checked across more than {most // DAY} day(s) (EvaluationPeriods * Period must be "
            f"<= {most}); {params['EvaluationPeriods']} * {period} is {span}."
        )
    _check_actions(params)


def _check_single_metric(params: Mapping[str, Any]) -> None:
    for member in ("MetricName", "Namespace", "Period"):
        if member not in params:
            raise refused(f"The parameter {member} is required when Metrics is not given.")
    if ("Statistic" in params) == ("ExtendedStatistic" in params):
        raise refused("Exactly one of the parameters Statistic and ExtendedStatistic must be specified.")
    check_period(params["Period"])
    check_statistic(params.get("Statistic") or params["ExtendedStatistic"])
    if params.get("EvaluateLowSampleCountPercentile", "ignore") not in {"ignore", "evaluate"}:
        raise refused("EvaluateLowSampleCountPercentile must be evaluate or ignore.")


def _check_expression_alarm(params: Mapping[str, Any]) -> None:
    alone = {
        "MetricName",
        "Namespace",
        "Period",
        "Statistic",
        "ExtendedStatistic",
        "Dimensions",
        "Unit",
    } & params.keys()
    if alone:
        raise refused(f"Metrics cannot be given together with {', '.join(sorted(alone))}.")
    queries = [query_of(found) for found in params["Metrics"]]
    check_queries(queries, params["Metrics"])
    returned = [query.id for query in queries if query.returned]
    if len(returned) != 1:
        raise refused(
            f"Exactly one element of the metrics list should return data; {len(returned)} do ({', '.join(returned)})."
        )
    for query in queries:
        if query.expression:
            try:
                parse(query.expression)
            except ExpressionError as error:
                raise refused(str(error)) from error
            if "ANOMALY_DETECTION_BAND" in query.expression:
                raise refused(
                    "ANOMALY_DETECTION_BAND is not built in the embedded AWS: it has no trained band to compare with."
                )


def _check_actions(params: Mapping[str, Any]) -> None:
    for member in ACTIONS.values():
        for action in params.get(member, []):
            if not action.startswith("arn:"):
                raise refused(f"Invalid arn syntax: {action}")


# --- showing --------------------------------------------------------------------------------------------------------


def describe(request: Request) -> dict[str, Any]:
    params, scope = request.params, request.scope
    kinds = params.get("AlarmTypes", ["MetricAlarm"])
    rows = [row.body for row in scope.all(ALARM) if _kind(row.body) in kinds]
    if "ChildrenOfAlarmName" in params:
        parent = scope.get(ALARM, params["ChildrenOfAlarmName"])
        children = parse_rule(parent.body["AlarmRule"]).names if parent and "AlarmRule" in parent.body else frozenset()
        rows = [row.body for row in scope.all(ALARM) if row.name in children]
    if "ParentsOfAlarmName" in params:
        wanted = params["ParentsOfAlarmName"]
        rows = [
            r.body
            for r in scope.all(ALARM)
            if "AlarmRule" in r.body and wanted in parse_rule(r.body["AlarmRule"]).names
        ]
    rows = [body for body in rows if _wanted(body, params)]
    rows.sort(key=lambda body: (_kind(body), body["AlarmName"]))
    size = params.get("MaxRecords", PAGE if "AlarmNames" not in params else 100)
    start = resources.position(params.get("NextToken"))
    shown = rows[start : start + size]
    answer: dict[str, Any] = {
        "MetricAlarms": [body for body in shown if _kind(body) == "MetricAlarm"],
        "CompositeAlarms": [body for body in shown if _kind(body) == "CompositeAlarm"],
    }
    if start + size < len(rows):
        answer["NextToken"] = resources.token(start + size)
    return answer


def _kind(body: Body) -> str:
    return "CompositeAlarm" if "AlarmRule" in body else "MetricAlarm"


def _wanted(body: Body, params: Mapping[str, Any]) -> bool:
    actions = [action for member in ACTIONS.values() for action in body.get(member, [])]
    return (
        ("AlarmNames" not in params or body["AlarmName"] in params["AlarmNames"])
        and body["AlarmName"].startswith(params.get("AlarmNamePrefix", ""))
        and params.get("StateValue", body["StateValue"]) == body["StateValue"]
        and ("ActionPrefix" not in params or any(action.startswith(params["ActionPrefix"]) for action in actions))
    )


def describe_for_metric(request: Request) -> dict[str, Any]:
    params = request.params

    def fits(body: Body) -> bool:
        if body.get("MetricName") != params["MetricName"] or body.get("Namespace") != params["Namespace"]:
            return False
        same = ("Statistic", "ExtendedStatistic", "Period", "Unit")
        if any(member in params and params[member] != body.get(member) for member in same):
            return False
        return dimensions_of(body) == dimensions_of(params)

    return {"MetricAlarms": [row.body for row in request.scope.all(ALARM) if fits(row.body)]}


def history(request: Request) -> dict[str, Any]:
    params, scope = request.params, request.scope
    rows = [scope.get(HISTORY, params["AlarmName"])] if "AlarmName" in params else scope.all(HISTORY)
    kinds = params.get("AlarmTypes", ["MetricAlarm"] if "AlarmName" not in params else None)
    begin, end = epoch(params.get("StartDate", 0)), epoch(params.get("EndDate", "inf"))
    items = [
        item
        for row in rows
        if row
        for item in row.body["Items"]
        if params.get("HistoryItemType", item["HistoryItemType"]) == item["HistoryItemType"]
        and (kinds is None or item["AlarmType"] in kinds)
        and begin <= item["Timestamp"] <= end
    ]
    items.sort(key=lambda item: item["Timestamp"])
    if params.get("ScanBy", "TimestampDescending") == "TimestampDescending":
        items.reverse()
    return resources.page(items, request, size=params.get("MaxRecords", 100))


# --- changing -------------------------------------------------------------------------------------------------------


def delete(watchman: Watchman, request: Request) -> dict[str, Any]:
    scope, names = request.scope, request.params["AlarmNames"]
    missing = [name for name in names if scope.get(ALARM, name) is None]
    if missing:
        raise AwsError(f"Alarm(s) {', '.join(missing)} not found", code="ResourceNotFound", status=404)
    for row in scope.all(ALARM):
        if row.name not in names and "AlarmRule" in row.body:
            used = sorted(parse_rule(row.body["AlarmRule"]).names & set(names))
            if used:
                raise refused(
                    f"Cannot delete {', '.join(used)} as there are composite alarm(s) depending on it: {row.name}."
                )
    for name in names:
        row = scope.remove(ALARM, name)
        watchman.remember(scope, row.body, "ConfigurationUpdate", f'Alarm "{name}" deleted', {"type": "Delete"})
        watchman.forget(row.body)
    return {}


def set_state(watchman: Watchman, request: Request) -> dict[str, Any]:
    params = request.params
    _alarm(request, params["AlarmName"])
    data = params.get("StateReasonData")
    if data:
        try:
            json.loads(data)
        except ValueError as error:
            raise AwsError(f"StateReasonData was not valid JSON: {error}", code="InvalidFormat") from error
    watchman.set_state(request.scope, params["AlarmName"], State(params["StateValue"]), params["StateReason"], data)
    return {}


def enable(request: Request, *, actions: bool) -> dict[str, Any]:
    for name in request.params["AlarmNames"]:
        if request.scope.get(ALARM, name):
            request.scope.update(ALARM, name, {"ActionsEnabled": actions})
    return {}


def _alarm(request: Request, name: str) -> Body:
    row = request.scope.get(ALARM, name)
    if row is None:
        raise AwsError(f"Alarm {name} not found", code="ResourceNotFound", status=404)
    return row.body
