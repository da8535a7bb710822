"""What it costs: instances behind the endpoint as they are live, and the jobs of the last days; dated prices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from botocore.exceptions import ClientError

from delivery.dashboard.looking import Look
from infra.prices import PriceError, price
from monitoring.report.page import table, text

TITLE, PLACE, WIDE = "Cost", 70, False
SPAN = timedelta(days=7)
MOST_JOBS = 50


@dataclass(frozen=True, slots=True)
class Line:
    """What is paid for, how much of it, and what that is in US dollars; nothing when the table has no price."""

    what: str
    amount: str
    usd: float | None


@dataclass(frozen=True, slots=True)
class Found:
    """A month of what runs all the time; a week of jobs; the day the prices are of."""

    monthly: tuple[Line, ...]
    jobs: tuple[Line, ...]
    as_of: date


def read(look: Look) -> Found:
    return Found(tuple(instances(look)), tuple(jobs(look)), price(look.names.region, "other", "kms-key").as_of)


def instances(look: Look) -> list[Line]:
    """Each variant's instances for a month, at the count they have now."""
    sagemaker = look.client("sagemaker")
    try:
        live = sagemaker.describe_endpoint(EndpointName=look.endpoint)
    except ClientError as problem:
        if "Could not find endpoint" in problem.response["Error"].get("Message", ""):
            return []
        raise
    config = sagemaker.describe_endpoint_config(EndpointConfigName=live["EndpointConfigName"])
    types = {each["VariantName"]: each.get("InstanceType", "") for each in config["ProductionVariants"]}
    return [
        line(each["VariantName"], types[each["VariantName"]], each.get("CurrentInstanceCount", 0), look)
        for each in live["ProductionVariants"]
        if types.get(each["VariantName"])
    ]


def line(variant: str, machine: str, count: int, look: Look) -> Line:
    return Line(f"endpoint, {variant}", f"{count} of {machine}", usd("endpoint", machine, look, count, 730))


def usd(kind: str, machine: str, look: Look, count: int, hours: float) -> float | None:
    try:
        return count * hours * price(look.names.region, kind, machine).usd
    except PriceError:
        return None


def jobs(look: Look) -> list[Line]:
    """What the newest training jobs of the last days used; the monitor's are short and many."""
    sagemaker, prefix = look.client("sagemaker"), "pipelines-"
    since = look.environment.now() - SPAN
    listed = sagemaker.list_training_jobs(CreationTimeAfter=since, MaxResults=MOST_JOBS)["TrainingJobSummaries"]
    found: dict[str, tuple[float, int]] = {}
    for each in listed:
        if not each["TrainingJobName"].startswith(prefix) and look.model not in each["TrainingJobName"]:
            continue
        job: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=each["TrainingJobName"])
        cluster = job["ResourceConfig"]
        seconds, count = found.get(cluster["InstanceType"], (0.0, 0))
        used = job.get("BillableTimeInSeconds", 0) * cluster["InstanceCount"]
        found[cluster["InstanceType"]] = (seconds + used, count + 1)
    return [
        Line(
            f"{count} training jobs",
            f"{seconds / 60:.1f} min of {machine}",
            usd("job", machine, look, 1, seconds / 3600),
        )
        for machine, (seconds, count) in found.items()
    ]


def show(found: Found) -> str:
    if not found.monthly and not found.jobs:
        return '<p class="empty">Nothing runs that is paid by the hour.</p>'
    rows = [[text(each.what), text(each.amount), money(each.usd, "a month")] for each in found.monthly]
    rows += [[text(each.what), text(each.amount), money(each.usd, "this week")] for each in found.jobs]
    total = sum(each.usd or 0.0 for each in found.monthly)
    return (
        f"<p>{total:,.2f} USD a month for what runs all the time, at the counts of now; prices of {found.as_of}. "
        '<span class="soft">Storage, requests and transfer are not in it.</span></p>'
        + table(["what", "how much", "cost on AWS"], rows, "Cost")
    )


def money(value: float | None, span: str) -> str:
    return "no price known" if value is None else f"{value:,.2f} USD {span}"
