"""A week of hourly jobs on the scaled clock, twice: schedule, real processes, logs, metrics, alarm."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localaws.app import App, start
from localaws.clock import Clock
from localaws.plane import Settings

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
ROLE = "arn:aws:iam::123456789012:role/schedules"
GROUP = "/aws/sagemaker/ProcessingJobs"
HOUR = 3600


def play(where: Settings, account: str, clients: Callable[[App], Callable[..., Any]]) -> list[str]:
    clock = Clock.scaled(1, MONDAY)
    app = start(where, clock=clock)

    client = functools.partial(clients(app), account=account)
    set_up(client)
    end = MONDAY.timestamp() + 7 * 24 * HOUR + HOUR / 2
    told: list[str] = []

    def week() -> None:
        clock.set_rate(1_000_000)
        clock.sleep(end - clock.now())
        told.extend(story(client))  # still at work, so the clock does not run on meanwhile

    clock.spawn(week, "the week").join()
    app.stop()
    return told


def set_up(client: Callable[[str], Any]) -> None:
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
    job = {  # a shell that says one line
        "ProcessingJobName": "check-<aws.scheduler.execution-id>",
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/worker:1"},
        "ProcessingResources": {"ClusterConfig": cluster},
    }
    client("logs").create_log_group(logGroupName=GROUP)
    client("logs").put_metric_filter(
        logGroupName=GROUP,
        filterName="checks",
        filterPattern="command",
        metricTransformations=[{"metricNamespace": "Week", "metricName": "Checks", "metricValue": "1"}],
    )
    client("cloudwatch").put_metric_alarm(
        AlarmName="full-quarter",  # the first quarter of the first day has five checks, every other six
        Namespace="Week",
        MetricName="Checks",
        Statistic="Sum",
        Period=6 * HOUR,
        EvaluationPeriods=1,
        Threshold=6,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )
    client("scheduler").create_schedule(
        Name="hourly",
        ScheduleExpression="cron(0 * ? * * *)",
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
    changes = client("cloudwatch").describe_alarm_history(AlarmName="full-quarter", HistoryItemType="StateUpdate")
    told += [f"{item['Timestamp']:%m-%d %H:%M} {item['HistorySummary']}" for item in changes["AlarmHistoryItems"]]
    return sorted(told)


def test_a_week_of_hourly_jobs_gives_the_same_result_twice(
    tmp_path: Path, settings: Callable[[Path], Settings], clients: Callable[[App], Callable[..., Any]]
) -> None:
    first = play(settings(tmp_path / "first"), "111111111111", clients)
    jobs = [line for line in first if line.endswith("Completed")]
    assert len(jobs) == 7 * 24
    assert (jobs[0], jobs[-1]) == ("01-05 01:00 Completed", "01-12 00:00 Completed")
    assert [line for line in first if line.endswith("from OK to ALARM")] != []
    assert first == play(settings(tmp_path / "second"), "222222222222", clients)
