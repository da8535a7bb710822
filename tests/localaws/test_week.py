"""A week of hourly jobs on the scaled clock, twice: schedule, jobs, logs, alarm; only processes are left out."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localaws.app import App, start
from localaws.clock import Clock
from localaws.plane import Settings
from localaws.ports import Running, RunSpec

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
ROLE = "arn:aws:iam::123456789012:role/schedules"
GROUP = "/aws/sagemaker/ProcessingJobs"
HOUR = 3600


class Ended:
    """A process that said one line and ended well."""

    @property
    def pid(self) -> int:
        return 0

    @property
    def base(self) -> str:
        return "/opt/ml"

    def lines(self) -> Iterator[str]:
        yield "checked"

    def wait(self, timeout: float | None = None) -> int | None:  # noqa: ARG002
        return 0

    def terminate(self, grace: float) -> int:  # noqa: ARG002
        return 0


class Instant:
    """A runner whose programs take no time."""

    def run(self, spec: RunSpec) -> Running:  # noqa: ARG002
        return Ended()

    def program(self, name: str, argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> Running:  # noqa: ARG002
        return Ended()


def play(folder: Path, account: str, clients: Callable[[App], Callable[..., Any]]) -> list[str]:
    clock = Clock.scaled(1, MONDAY)
    app = start(Settings(containers=folder, work=folder / account), clock=clock, runner=Instant())

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
    job = {
        "ProcessingJobName": "check-<aws.scheduler.execution-id>",
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/checker:1"},
        "ProcessingResources": {"ClusterConfig": cluster},
    }
    client("logs").create_log_group(logGroupName=GROUP)
    client("logs").put_metric_filter(
        logGroupName=GROUP,
        filterName="checks",
        filterPattern="checked",
        metricTransformations=[{"metricNamespace": "Week", "metricName": "Checks", "metricValue": "1"}],
    )
    client("cloudwatch").put_metric_alarm(
        AlarmName="no-checks",
        Namespace="Week",
        MetricName="Checks",
        Statistic="Sum",
        Period=HOUR,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="LessThanThreshold",
        TreatMissingData="breaching",
    )
    client("scheduler").create_schedule(
        Name="hourly",
        ScheduleExpression="cron(0 * ? * MON-FRI *)",  # nothing checks at the weekend, so the alarm goes off then
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


def test_a_week_of_hourly_jobs_gives_the_same_result_twice(
    tmp_path: Path, clients: Callable[[App], Callable[..., Any]]
) -> None:
    first = play(tmp_path, "111111111111", clients)
    jobs = [line for line in first if line.endswith("Completed")]
    assert len(jobs) == 5 * 24
    assert (jobs[0], jobs[-1]) == ("01-05 01:00 Completed", "01-12 00:00 Completed")
    assert [line for line in first if line.endswith("from OK to ALARM")] != []
    assert first == play(tmp_path, "222222222222", clients)
