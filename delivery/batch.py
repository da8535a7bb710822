"""Batch: the champion answers every row of a file or a prefix, as a transform job, and the answers are fetched.

The job's name is made of what is asked: the same version over the same input is the same job. An interrupted command
leaves it going, and the same command picks it up; answers that are there already are not made twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from contract import places
from delivery.data import sha256
from delivery.environment import Environment
from delivery.progress import Progress

ENDED = ("Completed", "Failed", "Stopped")
TYPES = {".csv": "text/csv", ".jsonl": "application/jsonlines"}
Tell = Callable[[str], None]


class BatchError(Exception):
    """A batch cannot be asked for or ended badly; the text carries the job's own reason."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One transform job: what it reads, what it writes, how it stands."""

    job: str
    status: str
    version: int
    source: str
    answers: str
    reason: str = ""
    began: datetime | None = None
    ended_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED


def progress(total: int, answered: int, elapsed: float, pace: float | None) -> Progress:
    """Judge by the bytes of files that are answered; before the first one is, by the pace of an earlier batch."""
    share = answered / total if total else 0.0
    if share > 0:
        return Progress(share, elapsed * (1 - share) / share)
    if pace is None:
        return Progress(0.0, None)
    expected = max(pace * total, elapsed)
    return Progress(min(elapsed / expected, 0.99) if expected else 0.0, expected - elapsed)


@dataclass(frozen=True, slots=True)
class Transforms:
    """The batches of one model in one environment."""

    environment: Environment
    model: str

    def ask(self, source: Path | str, *, accept: str, instances: int, again: str) -> Batch:
        """Start the job, or find the one that was started for the same before."""
        environment = self.environment
        champion = environment.releases.release(self.model).champion
        uri, content_type = self.handed_over(source)
        name = self.name_of(champion.package.artifact_hash, uri, accept, again)
        if (known := self.find(name)) is not None:
            return known
        plan = environment.plan(self.model, environment.releases.release(self.model))
        environment.sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName=plan.model_name(champion),
            BatchStrategy="MultiRecord",
            TransformInput={
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
                "ContentType": content_type,
                "SplitType": "Line",
            },
            TransformOutput={
                "S3OutputPath": self.place_of(name),
                "Accept": accept,
                "AssembleWith": "Line",
                "KmsKeyId": environment.outputs.key_arn,
            },
            TransformResources={
                "InstanceType": environment.model_settings(self.model).serving.instance,
                "InstanceCount": instances,
            },
            Tags=[{"Key": "version", "Value": str(champion.package.version)}],
        )
        environment.record(
            "batch",
            self.model,
            "asked for",
            inputs={"package": champion.package.arn, "data": uri},
            outputs={"answers": self.place_of(name)},
        )
        return self.read(name)

    def name_of(self, artifact_hash: str, uri: str, accept: str, again: str) -> str:
        asked = hashlib.sha256(f"{artifact_hash}\n{uri}\n{accept}\n{again}".encode()).hexdigest()[:12]
        return self.environment.settings.names.of(self.model, "batch", asked)

    def place_of(self, name: str) -> str:
        return f"s3://{self.environment.bucket('artifacts')}/{places.batch_prefix(self.model, name)}"

    def handed_over(self, source: Path | str) -> tuple[str, str]:
        """Where the job finds the rows, and in what form they are; a file is named by its content."""
        name = source.rstrip("/") if isinstance(source, str) else str(source)
        content_type = TYPES.get(PurePosixPath(name).suffix, "text/csv" if isinstance(source, str) else "")
        if not content_type:
            raise BatchError(f"{source}: expected a file that ends in {' or '.join(TYPES)}, a row per line.")
        if isinstance(source, str):
            return source, content_type
        if not source.is_file():
            raise BatchError(f"there is no file {source}: give a file with a row per line and no head, or s3://…")
        key = f"{places.batch_input_prefix(self.model, sha256(source))}{source.name}"
        self.environment.s3.upload_file(str(source), self.environment.bucket("data"), key)
        return f"s3://{self.environment.bucket('data')}/{key}", content_type

    def find(self, name: str) -> Batch | None:
        try:
            return self.read(name)
        except ClientError as problem:
            if "Could not find" not in problem.response["Error"].get("Message", ""):
                raise
            return None

    def read(self, name: str) -> Batch:
        found: dict[str, Any] = self.environment.sagemaker.describe_transform_job(TransformJobName=name)
        tags = self.environment.sagemaker.list_tags(ResourceArn=found["TransformJobArn"])["Tags"]
        version = next((int(each["Value"]) for each in tags if each["Key"] == "version"), 0)
        return Batch(
            job=name,
            status=found["TransformJobStatus"],
            version=version,
            source=found["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"],
            answers=found["TransformOutput"]["S3OutputPath"],
            reason=found.get("FailureReason", ""),
            began=found.get("TransformStartTime", found["CreationTime"]),
            ended_at=found.get("TransformEndTime"),
        )

    def finish(self, batch: Batch, look: Callable[[Progress], None]) -> Batch:
        """Watch to the end; a job that did not complete is an error with its own reason."""
        sizes, pace = self.sizes(batch.source), None if batch.ended else self.pace()
        while not batch.ended:
            look(self.progress(batch, sizes, pace))
            self.environment.wait()
            batch = self.read(batch.job)
        look(Progress(1.0, 0.0))
        if batch.status != "Completed":
            raise BatchError(
                f"batch {batch.job} ended as {batch.status}: {batch.reason or 'no reason was given'}. Correct the "
                f"rows, or ask again for the same with --again TEXT."
            )
        return batch

    def progress(self, batch: Batch, sizes: Mapping[str, int], pace: float | None) -> Progress:
        """How far it is now."""
        answers = {key.removesuffix(".out") for key in self.sizes(batch.answers)}
        answered = sum(size for key, size in sizes.items() if key in answers)
        elapsed = (self.environment.now() - batch.began).total_seconds() if batch.began else 0.0
        return progress(sum(sizes.values()), answered, elapsed, pace)

    def pace(self) -> float | None:
        """Seconds for each byte, in the newest batch of this model that completed."""
        named = self.environment.settings.names.of(self.model, "batch")
        newest = self.environment.sagemaker.list_transform_jobs(
            NameContains=named, StatusEquals="Completed", SortBy="CreationTime", SortOrder="Descending", MaxResults=1
        )["TransformJobSummaries"]
        if not newest:
            return None
        last = self.read(newest[0]["TransformJobName"])
        total = sum(self.sizes(last.source).values())
        if not total or last.began is None or last.ended_at is None:
            return None
        return (last.ended_at - last.began).total_seconds() / total

    def sizes(self, uri: str) -> dict[str, int]:
        """The files at a place, by what their keys have after it; one file alone has its name."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        pages = self.environment.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = {each["Key"]: int(each["Size"]) for page in pages for each in page.get("Contents", ())}
        return {key.removeprefix(prefix).lstrip("/") or PurePosixPath(key).name: size for key, size in found.items()}

    def fetch(self, batch: Batch, folder: Path) -> list[Path]:
        """Bring the answers down: a file of answers beside the name of each file of rows."""
        bucket, _, prefix = batch.answers.removeprefix("s3://").partition("/")
        pages = self.environment.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        fetched = []
        for key in [each["Key"] for page in pages for each in page.get("Contents", ())]:
            target = folder / key.removeprefix(prefix).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            self.environment.s3.download_file(bucket, key, str(target))
            fetched.append(target)
        return fetched
