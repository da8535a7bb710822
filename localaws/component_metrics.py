"""Metrics of trial components: points put in batches, summed up in Describe, and read back by period or step."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from localaws import resources
from localaws.errors import AwsError
from localaws.gateway import Operation, Request, Service
from localaws.kinds import TRIAL_COMPONENT
from localaws.plane import Plane
from localaws.store import Body, Resource, Scope

METRIC = "trial-component-metric"
PERIODS = {"OneMinute": 60, "FiveMinute": 300, "OneHour": 3600}
STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Min": min,
    "Max": max,
    "Avg": statistics.fmean,
    "Count": len,
    "StdDev": statistics.pstdev,
    "Last": lambda values: values[-1],
}


class Point(NamedTuple):
    at: float
    step: int | None
    value: float


def operations(_plane: Plane) -> Mapping[str, Operation]:
    return {"DescribeTrialComponent": describe, "DeleteTrialComponent": delete}


def service(_plane: Plane) -> Service:
    return Service("sagemaker-metrics", {"BatchPutMetrics": put, "BatchGetMetrics": get}, complete=True)


def describe(request: Request) -> Body:
    row = resources.find(TRIAL_COMPONENT, request.scope, request.params["TrialComponentName"])
    found = [_summary(row, metric) for metric in _metrics(request.scope, row)]
    return {**row.body, "Metrics": found} if found else row.body


def delete(request: Request) -> dict[str, Any]:
    row = resources.find(TRIAL_COMPONENT, request.scope, request.params["TrialComponentName"])
    for metric in request.scope.all(METRIC):
        if metric.body["Component"] == row.name:
            request.scope.remove(METRIC, metric.name)
    request.scope.remove(TRIAL_COMPONENT.kind, row.name)
    return {"TrialComponentArn": row.arn}


def put(request: Request) -> dict[str, Any]:
    """Add points; a component that is not there refuses each of them."""
    params, scope = request.params, request.scope
    row = scope.get(TRIAL_COMPONENT.kind, params["TrialComponentName"])
    if row is None:
        return {"Errors": [{"Code": "VALIDATION_ERROR", "MetricIndex": i} for i, _ in enumerate(params["MetricData"])]}
    for datum in params["MetricData"]:
        _add(scope, row, datum["MetricName"], Point(datum["Timestamp"], datum.get("Step"), datum["Value"]))
    return {}


def _add(scope: Scope, component: Resource, name: str, point: Point) -> None:
    key = f"{component.arn}/{name}"
    with scope.store.lock:
        if scope.get(METRIC, key) is None:
            body: Body = {"Component": component.name, "MetricName": name, "Points": [point]}
            scope.add(METRIC, key, key, body, created=point.at)
        else:
            scope.update(METRIC, key, lambda body: {**body, "Points": [*body["Points"], point]})


def _metrics(scope: Scope, component: Resource) -> list[Body]:
    return [row.body for row in scope.all(METRIC) if row.body["Component"] == component.name]


def _points(metric: Body) -> list[Point]:
    return sorted((Point(*point) for point in metric["Points"]), key=lambda point: point.at)


def _summary(component: Resource, metric: Body) -> Body:
    points = _points(metric)
    values = [point.value for point in points]
    figures = {name: compute(values) for name, compute in STATISTICS.items()}
    return {
        "MetricName": metric["MetricName"],
        "SourceArn": component.arn,
        "TimeStamp": points[-1].at,
        **figures,
    }


def get(request: Request) -> dict[str, Any]:
    return {"MetricQueryResults": [_answer(request.scope, query) for query in request.params["MetricQueries"]]}


def _answer(scope: Scope, query: Mapping[str, Any]) -> Body:
    try:
        row = resources.find(TRIAL_COMPONENT, scope, query["ResourceArn"])
    except AwsError as error:
        return {"Status": "ValidationError", "Message": error.message, "XAxisValues": [], "MetricValues": []}
    metric = next((each for each in _metrics(scope, row) if each["MetricName"] == query["MetricName"]), None)
    buckets: dict[int, list[float]] = {}
    for point in _points(metric) if metric else ():
        place = _place(point, query)
        if place is not None and query.get("Start", place) <= place <= query.get("End", place):
            buckets.setdefault(place, []).append(point.value)
    compute = STATISTICS[query["MetricStat"]]
    places = sorted(buckets)
    return {
        "Status": "Complete",
        "XAxisValues": places,
        "MetricValues": [float(compute(buckets[place])) for place in places],
    }


def _place(point: Point, query: Mapping[str, Any]) -> int | None:
    """Where a point stands on the axis: its step, or the beginning of its period."""
    if query["XAxisType"] == "IterationNumber":
        return point.step
    period = PERIODS.get(query["Period"])
    return int(point.at // period * period) if period else int(point.at)
