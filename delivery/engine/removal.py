"""What stands in the way of removing an environment, and how it is put out of the way.

Engines remove what they made. What grew inside it since is not theirs: versions of models, evidence under lock, runs
under way. It is looked at before anything is removed, shown, and either deleted or the reason why nothing is removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from delivery.engine import found
from delivery.engine.cloud import Cloud
from delivery.engine.cost import Resource
from delivery.engine.errors import EngineError, RefusedError
from stacks.settings import Settings

GROUP, BUCKET, REPOSITORY = "aws_sagemaker_model_package_group", "aws_s3_bucket", "aws_ecr_repository"
PIPELINE, ENDPOINT, FEATURES = "aws_sagemaker_pipeline", "aws_sagemaker_endpoint", "aws_sagemaker_feature_group"
LOGS_OF_ENDPOINTS = "/aws/sagemaker/Endpoints/"
BATCH = 500  # S3 takes a thousand keys in one call; with their versions this stays well below its limit of size
ASKED = 3000  # versions looked at one by one
WAIT_SECONDS, LOOK_SECONDS = 900.0, 0.5
LIFT = "bring it up once with storage.empty_on_destroy: true, or empty it yourself"
PROTECTED = (
    "is a feature group, which is always protected: its online store would be lost. Take it out of "
    "governance.feature_groups, delete it yourself, and run `slipway recover`"
)
BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting", "Executing", "Stopping")


@dataclass(frozen=True, slots=True)
class Locked:
    """Versions that cannot be deleted for the asking."""

    bucket: str
    governed: int = 0  # deletable by who may bypass governance
    held: int = 0  # deletable by nobody before `until`
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """Everything inside an environment that its engine did not make."""

    packages: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    locked: tuple[Locked, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)  # what the engine would refuse to remove, and why

    @property
    def lines(self) -> list[str]:
        """What will be deleted besides what the engine made."""
        lines = [f"  - model version {each.rpartition(':model-package/')[2]}" for each in self.packages]
        lines += [f"  - run {each.rpartition('/')[2]}, which is stopped first" for each in self.runs]
        lines += [
            f"  - {each.governed} versions in {each.bucket}, locked in governance mode"
            for each in self.locked
            if each.governed
        ]
        return lines

    @property
    def refusals(self) -> list[str]:
        """Why nothing can be removed yet."""
        lines = [
            f"{each.bucket} holds {each.held} versions that nobody can delete before {each.until:%Y-%m-%d %H:%M} UTC "
            "(compliance mode or a legal hold)"
            for each in self.locked
            if each.held and each.until
        ]
        return lines + [f"{name} {why}" for name, why in self.kept.items()]


def removal_question(environment: str, resources: int, holding: Holding) -> str:
    more = f" and {len(holding.lines)} more" if holding.lines else ""
    return f"Remove these {resources} resources{more} of '{environment}', with all data in them?"


def held_by_settings(settings: Settings) -> str | None:
    """Why settings alone forbid a removal, or nothing."""
    if not settings.protect:
        return None
    lock = settings.storage.evidence_lock
    evidence = ""
    if lock is not None:
        bound = "not even the account's owner" if lock.mode == "COMPLIANCE" else "only who may bypass governance"
        evidence = (
            f" Its evidence is locked in {lock.mode.lower()} mode for {lock.days} days from when it was written: "
            f"{bound} can delete it before."
        )
    name = settings.environment
    return (
        f"environment '{name}' is protected: its buckets, keys, images and network cannot be removed.{evidence} To "
        f"remove it, set `protect: false` and `storage.empty_on_destroy: true` in Pulumi.{name}.yaml, bring it up once "
        "so that the protection is lifted, then take it down. Nothing was changed."
    )


# Looking ---------------------------------------------------------------------------------------------


def look(cloud: Cloud, resources: Iterable[Resource]) -> Holding:
    """What is inside the resources an engine knows."""
    known = [(kind, values) for kind, values in resources if is_there(cloud, kind, values)]

    def each(kind: str, key: str) -> list[str]:
        return [str(values[key]) for found_, values in known if found_ == kind and values.get(key)]

    sagemaker = cloud.client("sagemaker")
    buckets = [values for kind, values in known if kind == BUCKET]
    return Holding(
        packages=tuple(arn for group in each(GROUP, "model_package_group_name") for arn in packages(sagemaker, group)),
        runs=tuple(arn for name in each(PIPELINE, "pipeline_name") for arn in running(sagemaker, name)),
        endpoints=tuple(each(ENDPOINT, "name")),
        locked=tuple(
            locks(cloud.client("s3"), str(values["bucket"])) for values in buckets if values.get("object_lock_enabled")
        ),
        kept=dict(kept(cloud, known)),
    )


def is_there(cloud: Cloud, kind: str, values: Mapping[str, Any]) -> bool:
    """What somebody removed already holds nothing."""
    finder = found.FINDERS.get(kind) if kind in (GROUP, BUCKET, REPOSITORY, PIPELINE, ENDPOINT, FEATURES) else None
    return finder is None or finder(cloud, values) is not None


def packages(client: Any, group: str) -> list[str]:
    pages = client.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    return [each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]]


def running(client: Any, pipeline: str) -> list[str]:
    pages = client.get_paginator("list_pipeline_executions").paginate(PipelineName=pipeline)
    return [
        each["PipelineExecutionArn"]
        for page in pages
        for each in page["PipelineExecutionSummaries"]
        if each["PipelineExecutionStatus"] in BUSY
    ]


def versions(client: Any, bucket: str) -> Iterator[Mapping[str, Any]]:
    """Every version and every delete marker of a bucket."""
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        yield from page.get("Versions", ())
        yield from page.get("DeleteMarkers", ())


def locks(client: Any, bucket: str) -> Locked:
    """How the versions of a bucket are locked now; of very many, the newest, whose terms end last."""
    governed = held = 0
    until: datetime | None = None
    now = datetime.now(UTC)
    written = [each for each in versions(client, bucket) if "Size" in each]  # a delete marker has none and no lock
    newest = sorted(written, key=lambda each: each["LastModified"], reverse=True)[:ASKED]
    for each in newest:
        seen = client.head_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
        term = seen.get("ObjectLockRetainUntilDate")
        if seen.get("ObjectLockLegalHoldStatus") == "ON":
            held, until = held + 1, max(until or now, term or now)
        elif term is not None and term > now:
            if seen.get("ObjectLockMode") == "COMPLIANCE":
                held, until = held + 1, max(until or term, term)
            else:
                governed += 1
    return Locked(bucket, governed, held, until)


def kept(cloud: Cloud, known: Iterable[Resource]) -> Iterator[tuple[str, str]]:
    """What is full and may not be emptied, or must never go in one step."""
    for kind, values in known:
        if kind == BUCKET and not values.get("force_destroy") and holds_objects(cloud, values["bucket"]):
            yield str(values["bucket"]), f"is not empty and storage.empty_on_destroy is false: {LIFT}"
        if kind == REPOSITORY and not values.get("force_delete") and holds_images(cloud, values["name"]):
            yield str(values["name"]), f"holds images and storage.empty_on_destroy is false: {LIFT}"
        if kind == FEATURES:
            yield str(values["feature_group_name"]), PROTECTED


def holds_objects(cloud: Cloud, bucket: str) -> bool:
    answer = cloud.client("s3").list_object_versions(Bucket=bucket, MaxKeys=1)
    return bool(answer.get("Versions") or answer.get("DeleteMarkers"))


def holds_images(cloud: Cloud, repository: str) -> bool:
    return bool(cloud.client("ecr").list_images(repositoryName=repository, maxResults=1)["imageIds"])


# Making way ------------------------------------------------------------------------------------------


def make_way(cloud: Cloud, holding: Holding) -> None:
    """Delete what was shown, so that the engine can remove the rest."""
    sagemaker = cloud.client("sagemaker")
    for run in holding.runs:
        stop(sagemaker, run)
    for name in holding.endpoints:
        settled(lambda name=name: endpoint_status(sagemaker, name), f"endpoint {name}")
    for arn in holding.packages:
        sagemaker.delete_model_package(ModelPackageName=arn)
    for each in holding.locked:
        empty(cloud.client("s3"), each.bucket)


def stop(client: Any, run: str) -> None:
    try:
        client.stop_pipeline_execution(
            PipelineExecutionArn=run, ClientRequestToken=run.rpartition("/")[2].ljust(32, "-")
        )
    except ClientError as problem:  # it ended meanwhile
        if problem.response["Error"].get("Code") not in ("ValidationException", "ConflictException"):
            raise
    settled(lambda: run_status(client, run), f"run {run.rpartition('/')[2]}")


def run_status(client: Any, run: str) -> str:
    return str(client.describe_pipeline_execution(PipelineExecutionArn=run)["PipelineExecutionStatus"])


def endpoint_status(client: Any, name: str) -> str:
    try:
        return str(client.describe_endpoint(EndpointName=name)["EndpointStatus"])
    except ClientError as problem:
        if found.is_absence(problem):
            return "gone"
        raise


def settled(status: Callable[[], str], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait until something is no longer on its way: AWS refuses to delete it before."""
    end = time.monotonic() + seconds
    while (seen := status()) in BUSY:
        if time.monotonic() > end:
            raise EngineError(f"{what} is {seen} since {seconds:.0f} s: wait until it is done, then take down again")
        time.sleep(LOOK_SECONDS)


def empty(client: Any, bucket: str) -> None:
    """Delete every version, locked in governance mode or not."""
    batch: list[dict[str, str]] = []
    for each in versions(client, bucket):
        batch.append({"Key": each["Key"], "VersionId": each["VersionId"]})
        if len(batch) == BATCH:
            delete(client, bucket, batch)
            batch = []
    if batch:
        delete(client, bucket, batch)


def delete(client: Any, bucket: str, batch: list[dict[str, str]]) -> None:
    answer = client.delete_objects(
        Bucket=bucket, Delete={"Objects": batch, "Quiet": True}, BypassGovernanceRetention=True
    )
    failed = answer.get("Errors") or []
    if failed:
        first = failed[0]
        raise RefusedError(
            f"{bucket}: {len(failed)} versions could not be deleted, the first is {first.get('Key')}: "
            f"{first.get('Code')} {first.get('Message')}. Deleting what is locked in governance mode needs "
            "s3:BypassGovernanceRetention. Everything else still stands."
        )


def clear(cloud: Cloud, prefix: str) -> None:
    """After the engine: what carries our names and nothing knows any more."""
    for kind, name in list(found.strays(cloud, prefix, set())):
        found.remove(cloud, kind, name)
    logs = cloud.client("logs")
    for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"{LOGS_OF_ENDPOINTS}{prefix}"):
        for group in page["logGroups"]:
            logs.delete_log_group(logGroupName=group["logGroupName"])
