"""Runs: executions of a model's pipelines, started, watched, listed and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

ENDED = ("Succeeded", "Failed", "Stopped")


class RunError(Exception):
    """A run cannot be started or ended badly; the text carries the step's own reason."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run."""

    name: str
    status: str
    reason: str
    started: datetime | None
    ended: datetime | None
    cached: bool
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One execution."""

    arn: str
    status: str
    started: datetime
    reason: str = ""
    parameters: Mapping[str, str] | None = None

    @property
    def id(self) -> str:
        return self.arn.rpartition("/")[2]

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline's runs; `sagemaker` is a boto3 client, `wait` passes a moment between looks."""

    sagemaker: Any
    name: str
    wait: Callable[[], None]

    def start(self, parameters: Mapping[str, str], token: str) -> Run:
        """Start a run; the same token again is the same run, so a lost answer starts nothing twice."""
        answer = self.sagemaker.start_pipeline_execution(
            PipelineName=self.name,
            ClientRequestToken=token,
            PipelineParameters=[{"Name": name, "Value": value} for name, value in parameters.items()],
        )
        return self.read(answer["PipelineExecutionArn"])

    def read(self, arn: str) -> Run:
        found = self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return Run(arn, found["PipelineExecutionStatus"], found["CreationTime"], found.get("FailureReason", ""))

    def find(self, wanted: str) -> Run:
        """A run by its id, or `latest`."""
        runs = self.runs()
        for run in runs:
            if wanted in ("latest", run.id):
                return run
        known = ", ".join(run.id for run in runs[:5]) or "none yet"
        raise RunError(f"pipeline {self.name} has no run '{wanted}'. Runs: {known}.")

    def runs(self, most: int = 100) -> list[Run]:
        """Newest first."""
        pages = self.sagemaker.get_paginator("list_pipeline_executions").paginate(
            PipelineName=self.name, SortBy="CreationTime", SortOrder="Descending", PaginationConfig={"MaxItems": most}
        )
        return [
            Run(
                each["PipelineExecutionArn"],
                each["PipelineExecutionStatus"],
                each["StartTime"],
                each.get("PipelineExecutionFailureReason", ""),
            )
            for page in pages
            for each in page["PipelineExecutionSummaries"]
        ]

    def parameters(self, run: Run) -> dict[str, str]:
        pages = self.sagemaker.get_paginator("list_pipeline_parameters_for_execution").paginate(
            PipelineExecutionArn=run.arn
        )
        return {each["Name"]: each["Value"] for page in pages for each in page["PipelineParameters"]}

    def steps(self, run: Run) -> list[Step]:
        """In the order they started."""
        pages = self.sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
            PipelineExecutionArn=run.arn, SortOrder="Ascending"
        )
        return [
            Step(
                name=each["StepName"],
                status=each["StepStatus"],
                reason=each.get("FailureReason", ""),
                started=each.get("StartTime"),
                ended=each.get("EndTime"),
                cached="CacheHitResult" in each,
                facts=each.get("Metadata", {}),
            )
            for page in pages
            for each in page["PipelineExecutionSteps"]
        ]

    def watch(self, run: Run) -> Iterator[tuple[Run, list[Step]]]:
        """The run and its steps, look by look, until it has ended."""
        while True:
            seen = self.read(run.arn)
            yield seen, self.steps(seen)
            if seen.ended:
                return
            self.wait()

    def finish(self, run: Run, tell: Callable[[list[Step]], None] = lambda _: None) -> list[Step]:
        """Watch to the end; a run that did not succeed is an error with the failed step's own reason."""
        steps: list[Step] = []
        for seen, steps in self.watch(run):
            tell(steps)
            if seen.ended and seen.status != "Succeeded":
                raise RunError(failure(seen, steps))
        return steps


def failure(run: Run, steps: list[Step]) -> str:
    failed = next((step for step in steps if step.status == "Failed"), None)
    if failed is None:
        return f"run {run.id} ended as {run.status}: {run.reason or 'no reason was given'}"
    return f"run {run.id} failed in step {failed.name}: {failed.reason or run.reason}"


def token_of(pipeline: str, parameters: Mapping[str, str], again: str) -> str:
    """The same request has the same token, so that asking twice after a lost answer starts one run."""
    text = "\n".join([pipeline, again, *(f"{name}={value}" for name, value in sorted(parameters.items()))])
    return hashlib.sha256(text.encode()).hexdigest()
