"""Monitoring schedules run their container on the hours that were captured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from localaws.app import App, start
from localaws.clock import Clock
from localaws.monitoring import window

ROLE = "arn:aws:iam::123456789012:role/monitoring"
IMAGES = Path(__file__).parent / "images"


@pytest.fixture
def app(settings: Any, tmp_path: Path) -> Iterator[App]:
    running = start(settings(tmp_path), clock=Clock.stepped(datetime(2026, 3, 2, 10, 30, tzinfo=UTC)))
    yield running
    running.stop()


def test_a_schedule_judges_the_last_hour_and_tells_of_violations(app: App) -> None:
    s3, sagemaker, cloudwatch = (
        app.plane.clients.get(name, "123456789012", "eu-west-1") for name in ("s3", "sagemaker", "cloudwatch")
    )
    s3.create_bucket(Bucket="watched", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "scorer:1"})
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://watched/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    variant = {"VariantName": "champion", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant], DataCaptureConfig=capture)
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    s3.put_object(Bucket="watched", Key="capture/e/champion/2026/03/02/10/31-00-000-a.jsonl", Body=b"{}\n")
    sagemaker.create_monitoring_schedule(
        MonitoringScheduleName="hourly",
        MonitoringScheduleConfig={
            "ScheduleConfig": {"ScheduleExpression": "cron(0 * ? * * *)"},
            "MonitoringJobDefinition": {
                "MonitoringInputs": [
                    {"EndpointInput": {"EndpointName": "e", "LocalPath": "/opt/ml/processing/endpointdata"}}
                ],
                "MonitoringOutputConfig": {
                    "MonitoringOutputs": [
                        {"S3Output": {"S3Uri": "s3://watched/reports", "LocalPath": "/opt/ml/processing/output"}}
                    ]
                },
                "MonitoringResources": {
                    "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
                },
                "MonitoringAppSpecification": {"ImageUri": "scorer:1"},
                "RoleArn": ROLE,
            },
        },
    )
    app.plane.clock.advance(1800)
    app.plane.clock.advance(3600)
    runs = sagemaker.list_monitoring_executions(MonitoringScheduleName="hourly", SortBy="ScheduledTime")
    assert [run["MonitoringExecutionStatus"] for run in runs["MonitoringExecutionSummaries"]] == [
        "Failed",
        "CompletedWithViolations",
    ]
    assert "no data" in runs["MonitoringExecutionSummaries"][0]["FailureReason"]
    report = s3.get_object(Bucket="watched", Key="reports/e/hourly/2026/03/02/11/constraint_violations.json")
    assert json.loads(report["Body"].read())["violations"][0]["description"] == "1"
    named = cloudwatch.list_metrics(Namespace="aws/sagemaker/Endpoints/data-metrics")["Metrics"]
    assert {d["Name"]: d["Value"] for d in named[0]["Dimensions"]} == {"Endpoint": "e", "MonitoringSchedule": "hourly"}


def test_a_run_looks_at_the_hour_before_or_at_what_it_was_told() -> None:
    at = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)
    assert window({}, at.timestamp()) == (datetime(2026, 3, 2, 10, tzinfo=UTC), at)
    told = {"DataAnalysisStartTime": "-PT3H", "DataAnalysisEndTime": "-PT1H"}
    assert window(told, at.timestamp()) == (datetime(2026, 3, 2, 8, tzinfo=UTC), datetime(2026, 3, 2, 10, tzinfo=UTC))
