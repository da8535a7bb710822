"""Runs: executions of a model's pipelines, started, watched, listed and compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contract.records import nearest
from delivery.progress import Progress

LONGEST_OVERRIDES = 256  # what SageMaker takes as one argument of a processing container
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

    @property
    def failed(self) -> bool:
        """Whether it ended without success: it failed, or somebody or something stopped it."""
        return self.ended and self.status != "Succeeded"


@dataclass(frozen=True, slots=True)
class Staged:
    """One stage that ran alone: its run, the run everything before it was taken from, and where its outputs are."""

    run: str
    of: str
    step: str
    places: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline's runs; `sagemaker` is a boto3 client, `wait` passes a moment between looks."""

    sagemaker: Any
    name: str
    wait: Callable[[], None]

    def start(self, parameters: Mapping[str, str], token: str) -> Run:
        """Start a run; the same token again is the same run, so a lost answer starts nothing twice.

        Unless that run has ended without success: then the token goes on from its id, and the request starts anew.
        """
        over = {run.id for run in self.runs() if run.failed}
        run = self.begin(parameters, token)
        while run.id in over:
            run = self.begin(parameters, next_token(token, run))
        return run

    def begin(self, parameters: Mapping[str, str], token: str) -> Run:
        """The run of a token: a new one, or the one that it started before."""
        answer = self.sagemaker.start_pipeline_execution(
            PipelineName=self.name,
            ClientRequestToken=token,
            PipelineParameters=[{"Name": name, "Value": value} for name, value in parameters.items()],
        )
        return self.read(answer["PipelineExecutionArn"])

    def repeat(self, source: Run, step: str, said: Mapping[str, str]) -> Run:
        """One step of a run once more, with that run's own parameters, and its outputs for what came before."""
        parameters = {**self.parameters(source), **said}
        answer = self.sagemaker.start_pipeline_execution(
            PipelineName=self.name,
            PipelineParameters=[{"Name": name, "Value": value} for name, value in parameters.items()],
            SelectiveExecutionConfig={
                "SourcePipelineExecutionArn": source.arn,
                "SelectedSteps": [{"StepName": step}],
            },
        )
        return self.read(answer["PipelineExecutionArn"])

    def step_names(self) -> list[str]:
        """The steps that are jobs: those that can run alone."""
        definition = json.loads(self.sagemaker.describe_pipeline(PipelineName=self.name)["PipelineDefinition"])
        return [each["Name"] for each in definition["Steps"] if each["Type"] in ("Processing", "Training")]

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

    def pace(self) -> dict[str, float]:
        """How many seconds each step took in the newest run that succeeded; nothing when none did."""
        done = next((run for run in self.runs() if run.status == "Succeeded"), None)
        steps = self.steps(done) if done is not None else []
        return {each.name: (each.ended - each.started).total_seconds() for each in steps if each.started and each.ended}

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
            if seen.failed:
                raise RunError(failure(seen, steps))
        return steps


def failure(run: Run, steps: list[Step]) -> str:
    failed = next((step for step in steps if step.status == "Failed"), None)
    if failed is None:
        return f"run {run.id} ended as {run.status}: {run.reason or 'no reason was given'}"
    return f"run {run.id} failed in step {failed.name}: {failed.reason or run.reason}"


def ahead(steps: Sequence[Step], pace: Mapping[str, float], now: datetime) -> Progress:
    """How far a run is, by how long each of its steps took in an earlier one; a slow step is never said to be over."""
    expected = sum(pace.values())
    if not expected:
        return Progress(0.0, None)
    passed = sum(
        pace.get(each.name, 0.0) if each.ended else min((now - each.started).total_seconds(), pace.get(each.name, 0.0))
        for each in steps
        if each.started
    )
    return Progress(passed / expected, expected - passed)


def stage_step(stage: str, steps: Sequence[str]) -> str:
    """The step a stage's word means."""
    known = {each.lower(): each for each in steps}
    if stage.lower() not in known:
        there = ", ".join(known)
        raise RunError(f"there is no stage '{stage}'.{nearest(stage.lower(), list(known))} Stages: {there}.")
    return known[stage.lower()]


def places_of(sagemaker: Any, step: Step) -> dict[str, str]:
    """Where a step's job put what it made, by the name of the output."""
    if (training := step.facts.get("TrainingJob")) is not None:
        job = sagemaker.describe_training_job(TrainingJobName=training["Arn"].rpartition("/")[2])
        return {"model": job["ModelArtifacts"]["S3ModelArtifacts"]}
    name = step.facts["ProcessingJob"]["Arn"].rpartition("/")[2]
    outputs = sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingOutputConfig"]["Outputs"]
    return {each["OutputName"]: each["S3Output"]["S3Uri"] for each in outputs}


def overrides_of(hyperparameters: Mapping[str, Any]) -> str | None:
    """Hyperparameters of one run as the pipeline takes them; nothing when there are none."""
    if not hyperparameters:
        return None
    text = json.dumps(dict(hyperparameters), sort_keys=True, separators=(",", ":"))
    if len(text) > LONGEST_OVERRIDES:
        raise RunError(
            f"the hyperparameters of this run are {len(text)} characters as JSON, expected at most "
            f"{LONGEST_OVERRIDES}, which is what a job takes. Put those that stay into the settings: "
            "models.<name>.training.hyperparameters."
        )
    return text


def token_of(pipeline: str, parameters: Mapping[str, str], again: str) -> str:
    """The same request has the same token, so that asking twice after a lost answer starts one run."""
    text = "\n".join([pipeline, again, *(f"{name}={value}" for name, value in sorted(parameters.items()))])
    return hashlib.sha256(text.encode()).hexdigest()


def next_token(token: str, failed: Run) -> str:
    """The token of the same request after a run of it that failed: everybody who repeats it then gets the same."""
    return hashlib.sha256(f"{token}\n{failed.id}".encode()).hexdigest()
