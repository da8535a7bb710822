"""PutMetricData, GetMetricData, GetMetricStatistics, ListMetrics."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from localaws import resources
from localaws.alarms.watchman import dimensions_of, query_of
from localaws.errors import AwsError
from localaws.gateway import Operation, Request
from localaws.metrics.expression import ExpressionError, Lines
from localaws.metrics.query import Query, answer
from localaws.metrics.series import DAY, HOUR, MINUTE, MetricKey, Metrics, metric_key
from localaws.metrics.statistic import BASIC, StatisticError, statistic
from localaws.watch import Watch

LARGEST = 2.0**360
MOST_DATA = 1000  # in one PutMetricData
MOST_POINTS = 1440  # of one GetMetricStatistics
MOST_RETURNED = 100_800  # of one GetMetricData
LISTED_AT_ONCE = 500


def operations(watch: Watch) -> Mapping[str, Operation]:
    def of(request: Request) -> Metrics:
        return watch.metrics(request.account, request.region)

    return {
        "PutMetricData": lambda request: put(of(request), request, watch.clock.now()),
        "GetMetricData": lambda request: get_data(of(request), request),
        "GetMetricStatistics": lambda request: get_statistics(of(request), request),
        "ListMetrics": lambda request: listing(of(request), request, watch.clock.now()),
    }


def wrong(message: str, code: str = "InvalidParameterValue") -> AwsError:
    return AwsError(message, code=code)


def epoch(value: Any) -> float:
    return float(value)


# --- putting --------------------------------------------------------------------------------------------------------


def put(metrics: Metrics, request: Request, now: float) -> dict[str, Any]:
    params = request.params
    data = [*params.get("MetricData", [])]
    for entity in params.get("EntityMetricData", []):
        data += entity.get("MetricData", [])
    if not data:
        raise wrong("The parameter MetricData is required.", "MissingParameter")
    if len(data) > MOST_DATA:
        raise wrong(f"The collection MetricData must not have a size greater than {MOST_DATA}; it has {len(data)}.")
    checked = [_checked(datum, f"MetricData.member.{number}", now) for number, datum in enumerate(data, 1)]
    for datum in checked:
        _put(metrics, params["Namespace"], datum)
    return {}


def _checked(datum: dict[str, Any], where: str, now: float) -> dict[str, Any]:
    given = [name for name in ("Value", "Values", "StatisticValues") if name in datum]
    if not given:
        raise wrong(
            f"At least one of the parameters {where}.Value, .Values, .StatisticValues must be specified.",
            "MissingParameter",
        )
    if len(given) > 1:
        raise wrong(
            f"The parameters {', '.join(f'{where}.{name}' for name in given)} are mutually exclusive and you have "
            f"specified {len(given)} of them.",
            "InvalidParameterCombination",
        )
    for number in _numbers(datum):
        if math.isnan(number) or math.isinf(number) or abs(number) > LARGEST:
            raise wrong(
                f"The value {number} for parameter {where}.{given[0]} is invalid: it must be a number within +-2^360."
            )
    values = datum.get("Values", [])
    if len(values) > 150 or len(datum.get("Counts", values)) != len(values):
        raise wrong(
            f"The parameters {where}.Values and {where}.Counts must have the same size of at most 150; they have "
            f"{len(values)} and {len(datum.get('Counts', values))}."
        )
    if datum.get("StorageResolution", MINUTE) not in {1, MINUTE}:
        raise wrong(f"The parameter {where}.StorageResolution must be 1 or 60, got {datum['StorageResolution']}.")
    at = epoch(datum.get("Timestamp", now))
    if not now - 2 * 7 * DAY <= at <= now + 2 * HOUR:
        raise wrong(
            f"The parameter {where}.Timestamp must specify a time no more than two hours in the future and no more "
            f"than two weeks in the past; by the clock here it is now {int(now)} and the timestamp is {int(at)} "
            "(epoch seconds)."
        )
    return datum


def _numbers(datum: dict[str, Any]) -> Iterator[float]:
    if "Value" in datum:
        yield float(datum["Value"])
    yield from map(float, datum.get("Values", []))
    yield from map(float, datum.get("StatisticValues", {}).values())


def _put(metrics: Metrics, namespace: str, datum: dict[str, Any]) -> None:
    key = metric_key(namespace, datum["MetricName"], dimensions_of(datum))
    how: dict[str, Any] = {
        "unit": datum.get("Unit", "None"),
        "at": epoch(datum["Timestamp"]) if "Timestamp" in datum else None,
        "resolution": datum.get("StorageResolution", MINUTE),
    }
    if "StatisticValues" in datum:
        found = datum["StatisticValues"]
        names = ("SampleCount", "Sum", "Minimum", "Maximum")
        count, total, least, most = (float(found[name]) for name in names)
        metrics.put_set(key, (count, total, least, most), **how)
    elif "Values" in datum:
        values = [float(value) for value in datum["Values"]]
        metrics.put(key, zip(values, map(float, datum.get("Counts") or [1.0] * len(values)), strict=True), **how)
    else:
        metrics.put(key, [(float(datum["Value"]), 1.0)], **how)


# --- getting --------------------------------------------------------------------------------------------------------


def get_data(metrics: Metrics, request: Request) -> dict[str, Any]:
    params = request.params
    begin, end = _between(params)
    queries = [query_of(found) for found in params["MetricDataQueries"]]
    check_queries(queries, params["MetricDataQueries"])
    periods = [query.metric.period for query in queries if query.metric]
    coarsest = max([*periods, *(query.period for query in queries)], default=0) or MINUTE
    try:
        found = answer(metrics, queries, begin - begin % coarsest, end)
    except ExpressionError as error:
        raise wrong(str(error), "ValidationError") from error
    return _results(found, request)


def _results(found: Mapping[str, Lines], request: Request) -> dict[str, Any]:
    """Points in the order asked for, cut to the most one answer may hold."""
    params = request.params
    newest_first = params.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    start = resources.position(params.get("NextToken"))
    room = params.get("MaxDatapoints") or MOST_RETURNED
    skipped, left, cut = start, room, False
    results: list[dict[str, Any]] = []
    for name, lines in found.items():
        for line in lines:
            points = sorted(line.points.items(), reverse=newest_first)
            shown = points[skipped : skipped + left]
            rest = len(points) > skipped + left
            skipped, left, cut = max(0, skipped - len(points)), left - len(shown), cut or rest
            results.append(
                {
                    "Id": name,
                    "Label": line.label,
                    "Timestamps": [at for at, _ in shown],
                    "Values": [value for _, value in shown],
                    "StatusCode": "PartialData" if rest else "Complete",
                }
            )
    answer: dict[str, Any] = {"MetricDataResults": results, "Messages": []}
    if cut:
        answer["NextToken"] = resources.token(start + room)
    return answer


def check_queries(queries: list[Query], given: list[dict[str, Any]]) -> None:
    """Refuse queries that cannot be meant."""
    names = [query.id for query in queries]
    if len(set(names)) < len(names):
        raise wrong(
            f"The values for parameter id in MetricDataQueries are not unique: {', '.join(names)}.", "ValidationError"
        )
    for query, found in zip(queries, given, strict=True):
        if not query.id[:1].islower() or not query.id.replace("_", "a").isalnum():
            raise wrong(
                f"The value {query.id} for parameter MetricDataQueries.Id is not matching the expected pattern "
                "^[a-z][a-zA-Z0-9_]*$.",
                "ValidationError",
            )
        if ("Expression" in found) == ("MetricStat" in found):
            raise wrong(f"The query {query.id} must have one of Expression and MetricStat.", "ValidationError")
        if query.metric:
            check_period(query.metric.period)
            check_statistic(query.metric.stat)


def check_period(period: int) -> None:
    if period not in {1, 5, 10, 20, 30} and period % MINUTE:
        raise wrong(
            f"The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60; it is {period}.", "ValidationError"
        )


def check_statistic(name: str) -> None:
    try:
        statistic(name)
    except StatisticError as error:
        raise wrong(str(error), "ValidationError") from error


def _between(params: Mapping[str, Any]) -> tuple[float, float]:
    begin, end = epoch(params["StartTime"]), epoch(params["EndTime"])
    if begin >= end:
        raise wrong("The parameter StartTime must be less than the parameter EndTime.", "ValidationError")
    return begin - begin % MINUTE, end


def get_statistics(metrics: Metrics, request: Request) -> dict[str, Any]:
    params = request.params
    begin, end = _between(params)
    period = params["Period"]
    check_period(period)
    basic, extended = params.get("Statistics", []), params.get("ExtendedStatistics", [])
    if bool(basic) == bool(extended):
        raise wrong(
            "Exactly one of the parameters Statistics and ExtendedStatistics must be specified.",
            "InvalidParameterCombination",
        )
    if (end - begin) / period > MOST_POINTS:
        raise wrong(
            f"You have requested up to {math.ceil((end - begin) / period)} datapoints, which exceeds the limit of "
            f"{MOST_POINTS}. You may reduce the datapoints requested by increasing Period, or decreasing the time "
            "range.",
            "InvalidParameterCombination",
        )
    for name in [*basic, *extended]:
        check_statistic(name)
    key = metric_key(params["Namespace"], params["MetricName"], dimensions_of(params))
    units = [params["Unit"]] if "Unit" in params else metrics.units(key)
    points = [
        _point(at, unit, found, basic, extended)
        for unit in units
        for at, found in metrics.periods(key, period, begin - begin % period, end, unit=unit)
    ]
    return {"Label": params["MetricName"], "Datapoints": points}


def _point(at: int, unit: str, found: Any, basic: list[str], extended: list[str]) -> dict[str, Any]:
    point: dict[str, Any] = {"Timestamp": at, "Unit": unit}
    point |= {name: statistic(name)(found) for name in basic if name in BASIC}
    if extended:
        point["ExtendedStatistics"] = {
            name: value for name in extended if (value := statistic(name)(found)) is not None
        }
    return point


# --- listing --------------------------------------------------------------------------------------------------------


def listing(metrics: Metrics, request: Request, now: float) -> dict[str, Any]:
    params = request.params
    since = now - 3 * HOUR if params.get("RecentlyActive") == "PT3H" else None
    wanted = [(found["Name"], found.get("Value")) for found in params.get("Dimensions", [])]
    found = metrics.listed(params.get("Namespace"), params.get("MetricName"), since)
    shown = [_shown(key) for key in found if _has(key, wanted)]
    return resources.page(shown, request, size=LISTED_AT_ONCE)


def _has(key: MetricKey, wanted: list[tuple[str, str | None]]) -> bool:
    dimensions = dict(key.dimensions)
    return all(name in dimensions and value in {None, dimensions[name]} for name, value in wanted)


def _shown(key: MetricKey) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in key.dimensions]
    return {"Namespace": key.namespace, "MetricName": key.name, "Dimensions": dimensions}
