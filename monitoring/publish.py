"""Sending signals to CloudWatch: only names from the signals table, in batches, each with its unit."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from contract import signals

BATCH = 500  # CloudWatch takes 1,000 in one call, and no more than a megabyte
MODEL_MONITOR = "aws/sagemaker/Endpoints/data-metrics"


class PublishError(ValueError):
    """A value that cannot be published; the text says which signal and why."""


@dataclass(frozen=True, slots=True)
class Datum:
    """One value of one signal."""

    key: str
    value: float
    dimensions: Mapping[str, str]
    at: datetime

    def __post_init__(self) -> None:
        wanted = signals.signal(self.key).dimensions
        if tuple(self.dimensions) != wanted:
            raise PublishError(
                f"signal '{self.key}' has dimensions {', '.join(self.dimensions)}, expected {', '.join(wanted)}"
            )
        if not math.isfinite(self.value):
            raise PublishError(f"signal '{self.key}' is {self.value}: CloudWatch takes finite numbers only")

    def to_cloudwatch(self) -> dict[str, Any]:
        known = signals.signal(self.key)
        return {
            "MetricName": known.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in self.dimensions.items()],
            "Timestamp": self.at,
            "Value": float(self.value),
            "Unit": known.unit,
        }


class CloudWatch(Protocol):
    def put_metric_data(self, *, Namespace: str, MetricData: Sequence[Mapping[str, Any]]) -> Any: ...  # noqa: N803


def cloudwatch_client() -> Any:
    import boto3

    return boto3.client("cloudwatch")


def sagemaker_client() -> Any:
    import boto3

    return boto3.client("sagemaker")


def publish(data: Iterable[Datum], client: CloudWatch) -> int:
    """Send all of them, a namespace and a batch at a time; how many calls that took."""
    by_namespace: dict[str, list[dict[str, Any]]] = {}
    for datum in data:
        by_namespace.setdefault(signals.signal(datum.key).namespace, []).append(datum.to_cloudwatch())
    return sum(_send(namespace, found, client) for namespace, found in by_namespace.items())


def _send(namespace: str, found: Sequence[Mapping[str, Any]], client: CloudWatch) -> int:
    starts = range(0, len(found), BATCH)
    for start in starts:
        client.put_metric_data(Namespace=namespace, MetricData=found[start : start + BATCH])
    return len(starts)


def model_monitor_metrics(
    present: Mapping[str, float], drift: Mapping[str, float], endpoint: str, schedule: str, at: datetime
) -> list[dict[str, Any]]:
    """The same under Model Monitor's names, for dashboards that were made for it."""
    dimensions = [{"Name": "Endpoint", "Value": endpoint}, {"Name": "MonitoringSchedule", "Value": schedule}]
    named = {f"feature_non_null_{name}": value for name, value in present.items()} | {
        f"feature_baseline_drift_{name}": value for name, value in drift.items()
    }
    return [
        {"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "Value": float(value), "Unit": "None"}
        for name, value in named.items()
        if math.isfinite(value)
    ]


def send_model_monitor(metrics: Sequence[Mapping[str, Any]], client: CloudWatch) -> int:
    return _send(MODEL_MONITOR, metrics, client)


def leave_for_platform(metrics: Sequence[Mapping[str, Any]], folder: Path, name: str = "metrics.jsonl") -> None:
    """Metric lines in the folder that Model Monitor's platform collects and sends itself."""
    folder.mkdir(parents=True, exist_ok=True)

    def plain(value: object) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    (folder / name).write_text("".join(json.dumps(metric, default=plain) + "\n" for metric in metrics))
