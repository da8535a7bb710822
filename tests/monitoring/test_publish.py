"""Publishing: known names only, with their dimensions and units, in batches."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from monitoring.publish import (
    BATCH,
    Datum,
    PublishError,
    leave_for_platform,
    model_monitor_metrics,
    publish,
    send_model_monitor,
)

AT = datetime(2026, 11, 20, tzinfo=UTC)
VARIANT = {"EndpointName": "churn", "VariantName": "champion"}


class Calls:
    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []

    def put_metric_data(self, *, Namespace: str, MetricData: Sequence[Mapping[str, Any]]) -> None:  # noqa: N803
        self.made.append((Namespace, len(MetricData)))


def test_many_values_go_in_few_calls() -> None:
    calls = Calls()
    data = [Datum("feature_drift", 0.1, {**VARIANT, "Feature": f"f{i}"}, AT) for i in range(2 * BATCH + 1)]
    assert publish(data, calls) == 3
    assert calls.made == [("Slipway", BATCH), ("Slipway", BATCH), ("Slipway", 1)]


def test_a_name_that_is_not_in_the_table_does_not_exist() -> None:
    with pytest.raises(KeyError, match="no signal named 'drfit'"):
        Datum("drfit", 1.0, VARIANT, AT)


def test_dimensions_are_those_of_the_table() -> None:
    with pytest.raises(PublishError, match="expected EndpointName, VariantName"):
        Datum("drift", 1.0, {"EndpointName": "churn"}, AT)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_cloudwatch_is_never_sent_what_it_refuses(value: float) -> None:
    with pytest.raises(PublishError, match="finite"):
        Datum("drift", value, VARIANT, AT)


def test_model_monitors_names_can_be_sent_as_well(tmp_path: Path) -> None:
    metrics = model_monitor_metrics({"age": 100.0}, {"age": 0.2, "odd": math.nan}, "churn", "hourly", AT)
    assert [each["MetricName"] for each in metrics] == ["feature_non_null_age", "feature_baseline_drift_age"]
    calls = Calls()
    assert send_model_monitor(metrics, calls) == 1
    assert calls.made == [("aws/sagemaker/Endpoints/data-metrics", 2)]
    leave_for_platform(metrics, tmp_path / "cloudwatch")
    lines = (tmp_path / "cloudwatch" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[1])["Value"] == 0.2
