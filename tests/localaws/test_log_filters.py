"""Metric filters: which lines match, and how they become metrics and alarms."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.app import App, start
from localaws.clock import Clock
from localaws.logfilters.pattern import FilterPatternError, line_test
from localaws.plane import Settings

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
LINE = json.dumps({"level": "error", "ms": 120, "user": {"id": "ada"}, "tags": ["a", "b"], "ok": False, "none": None})


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("", True),
        ("error", True),
        ("ERROR", False),
        ("error ada", True),
        ("error -ada", False),
        ('"level\\"', False),
        ("?nope ?error", True),
        ("?nope ?never", False),
        ('{ $.level = "error" }', True),
        ('{ $.level != "error" }', False),
        ('{ $.level = "err*" && $.ms > 100 }', True),
        ('{ $.level = "info" || ($.ms >= 120 && $.user.id = "ada") }', True),
        ("{ $.ms < 100 }", False),
        ('{ $.tags[1] = "b" }', True),
        ("{ $.ok IS FALSE }", True),
        ("{ $.none IS NULL }", True),
        ("{ $.missing NOT EXISTS }", True),
        ("{ $.missing = 1 }", False),
    ],
)
def test_a_pattern_matches_a_line(pattern: str, matches: bool) -> None:
    assert line_test(pattern)(LINE) is matches


@pytest.mark.parametrize("pattern", ["{ $.a = }", "{ level = 1 }", "[ip, user]"])
def test_a_pattern_that_cannot_be_read_is_refused(pattern: str) -> None:
    with pytest.raises(FilterPatternError, match="Invalid filter pattern"):
        line_test(pattern)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    running = start(Settings(containers=tmp_path, work=tmp_path / "work"), clock=Clock.stepped(NOON))
    yield running
    running.stop()


def test_matching_lines_become_metric_data(app: App, clients: Callable[[App], Callable[..., Any]]) -> None:
    client = clients(app)
    logs = client("logs")
    logs.create_log_group(logGroupName="/shop/filters")
    logs.create_log_stream(logGroupName="/shop/filters", logStreamName="s")
    transformation = {"metricNamespace": "Shop", "metricName": "Errors", "metricValue": "1", "defaultValue": 0.0}
    slow = {
        "metricNamespace": "Shop",
        "metricName": "Latency",
        "metricValue": "$.ms",
        "unit": "Milliseconds",
        "dimensions": {"User": "$.user.id"},
    }
    filters = (("errors", '{ $.level = "error" }', transformation), ("latency", "{ $.ms > 0 }", slow))
    for name, pattern, made in filters:
        logs.put_metric_filter(
            logGroupName="/shop/filters", filterName=name, filterPattern=pattern, metricTransformations=[made]
        )
    millis = int(NOON.timestamp() * 1000)
    events = [(0, LINE), (1000, "plain text"), (2000, LINE), (60_000, "nothing here")]
    logs.put_log_events(
        logGroupName="/shop/filters",
        logStreamName="s",
        logEvents=[{"timestamp": millis + later, "message": line} for later, line in events],
    )
    span = {"StartTime": NOON, "EndTime": NOON + timedelta(minutes=5), "Period": 60}
    cloudwatch = client("cloudwatch")
    found = cloudwatch.get_metric_statistics(Namespace="Shop", MetricName="Errors", Statistics=["Sum"], **span)
    assert sorted(point["Sum"] for point in found["Datapoints"]) == [0.0, 2.0]
    dimensions = [{"Name": "User", "Value": "ada"}]
    found = cloudwatch.get_metric_statistics(
        Namespace="Shop", MetricName="Latency", Dimensions=dimensions, Statistics=["Maximum"], **span
    )
    assert [(point["Maximum"], point["Unit"]) for point in found["Datapoints"]] == [(120.0, "Milliseconds")]
    assert len(logs.describe_metric_filters(logGroupName="/shop/filters")["metricFilters"]) == 2
    logs.delete_metric_filter(logGroupName="/shop/filters", filterName="errors")
    with pytest.raises(ClientError, match="Invalid filter pattern"):
        logs.put_metric_filter(
            logGroupName="/shop/filters", filterName="x", filterPattern="[a]", metricTransformations=[transformation]
        )
