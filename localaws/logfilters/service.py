"""CloudWatch Logs as moto keeps it, with metric filters that work."""

from collections.abc import Mapping
from typing import Any

from localaws.errors import AwsError
from localaws.gateway import Request, Service
from localaws.logfilters.pattern import FilterPatternError, line_test, number_at, text_at
from localaws.metrics.series import MINUTE, metric_key
from localaws.plane import Plane
from localaws.store import Body
from localaws.wire import Response

FILTER = "metric-filter"


def service(plane: Plane) -> Service:
    """Four operations of ours; the rest is moto's."""

    def put_filter(request: Request) -> Response:
        params = request.params
        try:
            line_test(params["filterPattern"])
        except FilterPatternError as error:
            raise AwsError(str(error), code="InvalidParameterException") from error
        answer = plane.gateway.ask_behind(request)
        if answer.status < 300:
            _forget(request, params["logGroupName"], params["filterName"])
            name = f"{params['logGroupName']}|{params['filterName']}"
            arn = request.scope.arn(f"log-group:{params['logGroupName']}:filter:{params['filterName']}", "logs")
            request.scope.add(FILTER, name, arn, dict(params), created=plane.clock.now())
        return answer

    def delete_filter(request: Request) -> Response:
        params = request.params
        answer = plane.gateway.ask_behind(request)
        _forget(request, params["logGroupName"], params["filterName"])
        return answer

    def delete_group(request: Request) -> Response:
        params = request.params
        answer = plane.gateway.ask_behind(request)
        _forget(request, params["logGroupName"])
        return answer

    def put_events(request: Request) -> Response:
        params = request.params
        answer = plane.gateway.ask_behind(request)
        for row in request.scope.all(FILTER):
            if row.body["logGroupName"] == params.get("logGroupName") and answer.status < 300:
                _measure(plane, request, row.body, params["logEvents"])
        return answer

    table = {
        "PutMetricFilter": put_filter,
        "DeleteMetricFilter": delete_filter,
        "DeleteLogGroup": delete_group,
        "PutLogEvents": put_events,
    }
    return Service("logs", table)


def _forget(request: Request, group: str, name: str = "") -> None:
    for row in request.scope.all(FILTER):
        if row.body["logGroupName"] == group and name in {"", row.body["filterName"]}:
            request.scope.remove(FILTER, row.name)


def _measure(plane: Plane, request: Request, filtering: Body, events: list[Mapping[str, Any]]) -> None:
    """Put one datum for every line that matches; the default value for a minute in which none does."""
    test = line_test(filtering["filterPattern"])
    metrics = plane.watch.metrics(request.account, request.region)
    for transformation in filtering["metricTransformations"]:
        namespace, name = transformation["metricNamespace"], transformation["metricName"]
        unit, default = transformation.get("unit", "None"), transformation.get("defaultValue")
        matched: set[int] = set()
        for event in events:
            at, line = event["timestamp"] / 1000, event["message"]
            value = number_at(transformation["metricValue"], line) if test(line) else None
            if value is None:
                continue
            found = {key: text_at(path, line) for key, path in transformation.get("dimensions", {}).items()}
            dimensions = {key: text for key, text in found.items() if text is not None}
            if len(dimensions) == len(found):
                key = metric_key(namespace, name, dimensions)
                metrics.put(key, [(value, 1.0)], unit=unit, at=at, resolution=MINUTE)
                matched.add(int(at) // MINUTE)
        silent = {int(event["timestamp"] / 1000) // MINUTE for event in events} - matched
        if default is not None and "dimensions" not in transformation:
            for minute in silent:
                key = metric_key(namespace, name)
                metrics.put(key, [(default, 1.0)], unit=unit, at=minute * MINUTE, resolution=MINUTE)
