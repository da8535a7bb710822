"""The endpoint's own metrics, read through boto3 from the embedded AWS."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from contract import signals
from localaws.app import App, start
from localaws.plane import Settings
from monitoring.experiment.experiment import Experiment, Guardrail, Metric
from monitoring.experiment.looks import Tally
from monitoring.experiment.traffic import Traffic

SINCE = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
UNTIL = SINCE + timedelta(hours=1)
METRIC = Metric("accuracy", "rate", 0.8, 0.02)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    place: Path = tmp_path_factory.mktemp("aws")
    running = start(Settings(containers=place, work=place))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def cloudwatch(app: App) -> Any:
    return boto3.client(
        "cloudwatch",
        endpoint_url=app.url,
        region_name="eu-west-1",
        aws_access_key_id="123456789012",
        aws_secret_access_key="local",
    )


def put(cloudwatch: Any, key: str, variant: str, values: list[float], at: datetime) -> None:
    known = signals.signal(key)
    dimensions = dict(zip(known.dimensions, ("churn", variant), strict=True))
    cloudwatch.put_metric_data(
        Namespace=known.namespace,
        MetricData=[
            {
                "MetricName": known.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
                "Timestamp": at,
                "Values": values,
                "Unit": known.unit,
            }
        ],
    )


def test_requests_errors_and_slow_answers_of_a_look(cloudwatch: Any) -> None:
    for minute in range(1, 60, 10):
        at = SINCE + timedelta(minutes=minute)
        put(cloudwatch, "invocations", "champion", [1.0] * 20, at)
        put(cloudwatch, "errors", "champion", [0.0] * 19 + [1.0], at)
        put(cloudwatch, "latency", "champion", [1000.0] * 18 + [20_000.0] * 2, at)
    put(
        cloudwatch, "latency", "champion", [float(each) for each in range(100, 5100, 50)], SINCE - timedelta(minutes=30)
    )
    traffic = Traffic(cloudwatch, None, "churn")
    guardrails = (
        Guardrail("errors", "errors"),
        Guardrail("fixed", "latency", beyond=15_000.0),
        Guardrail("own", "latency"),
    )
    found = traffic.guardrails(Experiment("spring", METRIC, guardrails), "champion", "champion", SINCE, UNTIL)
    assert found == {"errors": Tally(120, 6), "fixed": Tally(120, 12), "own": Tally(120, 12)}
    latency = traffic.latency("champion", SINCE, UNTIL)
    assert list(latency) == ["p10", "p25", "p50", "p75", "p90", "p95", "p99"]
    assert (latency["p50"], latency["p99"]) == (1000.0, 20_000.0)


def test_a_variant_without_traffic_has_nothing_to_say(cloudwatch: Any) -> None:
    traffic = Traffic(cloudwatch, None, "churn")
    found = traffic.guardrails(Experiment("spring", METRIC), "champion", "challenger", SINCE, UNTIL)
    assert found == {"errors": Tally(), "latency_p99": Tally()}
    assert traffic.latency("challenger", SINCE, UNTIL) == {}
