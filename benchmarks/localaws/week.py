"""A week of hourly jobs on the scaled clock, twice: how long it takes, and whether both weeks are the same.

Every hour a schedule starts a processing job (a real process), whose log a metric filter counts, and an alarm watches
the count. What is compared is when each job began, how it ended, and when the alarm changed its state.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3

from localaws.app import App, start
from localaws.clock import Clock
from localaws.plane import Settings

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
ROLE = "arn:aws:iam::123456789012:role/schedules"
HOUR, DAYS = 3600, 7
DOCKERFILE = 'FROM python:3.11-slim\nENTRYPOINT ["/bin/sh", "-c", "echo checked $(date +%N | tail -c 2)"]\n'


def clients(app: App, account: str) -> Callable[[str], Any]:
    keys = {"aws_access_key_id": account, "aws_secret_access_key": "local"}
    build: Callable[..., Any] = boto3.client
    return lambda service: build(service, endpoint_url=app.url, region_name="eu-west-1", **keys)


def play(rate: float, account: str, days: float = DAYS) -> tuple[float, list[str]]:
    """One week in an account of its own; the seconds it took, and everything that happened in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "checker").mkdir()
        (folder / "checker" / "Dockerfile").write_text(DOCKERFILE)
        settings = Settings(containers=folder, work=folder / "work", interpreter=sys.executable, backend="process")
        clock = Clock.scaled(1, MONDAY)
        app = start(settings, clock=clock)
        set_up(clients(app, account))
        began = time.perf_counter()
        try:
            end = MONDAY.timestamp() + days * 24 * HOUR + HOUR / 2
            told: list[str] = []

            def week() -> None:
                clock.set_rate(rate)
                clock.sleep(end - clock.now())
                told.extend(story(clients(app, account)))  # still at work, so the clock does not run on meanwhile

            clock.spawn(week, "the week").join()
            return time.perf_counter() - began, told
        finally:
            app.stop()


def set_up(client: Callable[[str], Any]) -> None:
    job = {
        "ProcessingJobName": "check-<aws.scheduler.execution-id>",
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/checker:1"},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
    }
    client("logs").create_log_group(logGroupName="/aws/sagemaker/ProcessingJobs")
    client("logs").put_metric_filter(
        logGroupName="/aws/sagemaker/ProcessingJobs",
        filterName="checks",
        filterPattern="checked",
        metricTransformations=[{"metricNamespace": "Week", "metricName": "Checks", "metricValue": "1"}],
    )
    client("cloudwatch").put_metric_alarm(
        AlarmName="no-checks",
        Namespace="Week",
        MetricName="Checks",
        Statistic="Sum",
        Period=2 * HOUR,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="LessThanThreshold",
        TreatMissingData="breaching",
    )
    client("scheduler").create_schedule(
        Name="hourly",
        ScheduleExpression="cron(0 * * * ? *)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:sagemaker:createProcessingJob",
            "RoleArn": ROLE,
            "Input": json.dumps(job),
        },
    )


def story(client: Callable[[str], Any]) -> list[str]:
    """When each job began and how it ended, and when the alarm changed; to the minute."""
    pages = client("sagemaker").get_paginator("list_processing_jobs").paginate()
    told = [
        f"{job['CreationTime']:%m-%d %H:%M} {job['ProcessingJobStatus']}"
        for page in pages
        for job in page["ProcessingJobSummaries"]
    ]
    changes = client("cloudwatch").describe_alarm_history(AlarmName="no-checks", HistoryItemType="StateUpdate")
    told += [f"{item['Timestamp']:%m-%d %H:%M} {item['HistorySummary']}" for item in changes["AlarmHistoryItems"]]
    return sorted(told)


def main() -> None:
    rate = float(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    first_took, first = play(rate, "111111111111")
    second_took, second = play(rate, "222222222222")
    print(f"jobs and alarm changes in a week: {len(first)}")
    print(f"seconds for a week: {first_took:.1f} and {second_took:.1f}")
    print(f"both weeks are the same: {first == second}")
    if first != second:
        print("\n".join(sorted(set(first) ^ set(second))))


if __name__ == "__main__":
    main()
