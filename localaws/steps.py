"""What each type of pipeline step does: mostly the API call that its arguments are, and waiting for what it started."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from localaws import expressions, jobs
from localaws.clock import ClockEvent
from localaws.plane import Plane
from localaws.store import Body, Scope

POLL = 0.1  # real seconds between two looks at whether a running step is to be stopped


class StepFailedError(Exception):
    """A step failed; `kind` is what retry policies look for."""

    def __init__(self, reason: str, kind: str = "") -> None:
        super().__init__(reason)
        self.kind = kind


class StepStoppedError(Exception):
    """A step was stopped with its execution."""


@dataclass
class Pending:
    """A callback that is waited for; set without an answer it was stopped."""

    event: ClockEvent
    answer: Body | None = None


@dataclass
class Run:
    """One step at work: what it may use, and what it leaves."""

    plane: Plane
    scope: Scope
    name: str
    arguments: Body
    definition: Body
    execution: str  # its ARN
    role: str | None  # the pipeline's own: what its steps do, they do as this
    values: expressions.Values
    stopping: Callable[[], bool]
    note: Callable[[Body], None]  # shows metadata as soon as it is known
    callbacks: dict[str, Pending]  # by token

    @property
    def client(self) -> Any:
        return self.plane.clients.get("sagemaker", self.scope.account, self.scope.region, self.role)

    def named(self, member: str, limit: int = 63) -> str:
        """A name of its own for what the step creates; a name in its arguments is a prefix."""
        identity = self.execution.rsplit("/", 1)[-1]
        prefix = self.arguments.get(member)
        random = secrets.token_hex(5)
        start = f"{prefix}-{identity}" if prefix else f"pipelines-{identity}-{self.name}"
        return f"{start[: limit - len(random) - 1]}-{random}"


@dataclass(frozen=True)
class Done:
    """What a finished step tells: metadata for the list of steps, properties for later steps."""

    metadata: Body
    properties: Body


@dataclass(frozen=True)
class JobStep:
    """A step that is one job: create it, wait, read how it ended."""

    noun: str
    shown: str  # its key in Metadata
    cached_by: tuple[str, ...]  # arguments that make two runs the same

    def __call__(self, run: Run) -> Done:
        name_member, arn_member = f"{self.noun}Name", f"{self.noun}Arn"
        limit = 32 if self.noun == "HyperParameterTuningJob" else 63
        name = run.named(name_member, limit)
        arn = call(run, f"create_{snake(self.noun)}", **{**run.arguments, name_member: name})[arn_member]
        metadata = {self.shown: {"Arn": arn}}
        run.note(metadata)
        self._wait(run, arn, name)
        body = call(run, f"describe_{snake(self.noun)}", **{name_member: name})
        status = body[f"{self.noun}Status"]
        if status == "Stopped" and run.stopping():
            raise StepStoppedError
        if status != "Completed":
            reason = body.get("FailureReason", f"the job ended {status}")
            raise StepFailedError(f"ClientError: {reason}", failure_kind(reason))
        return Done(metadata, plain(self._properties(run, name, body)))

    def _wait(self, run: Run, arn: str, name: str) -> None:
        live = run.plane.board.get(arn)
        asked = False
        while live and not live.done.wait(POLL):
            if run.stopping() and not asked:
                asked = True
                call(run, f"stop_{snake(self.noun)}", **{f"{self.noun}Name": name})

    def _properties(self, run: Run, name: str, body: Body) -> Body:
        if self.noun != "HyperParameterTuningJob":
            return body
        listed = call(
            run,
            "list_training_jobs_for_hyper_parameter_tuning_job",
            HyperParameterTuningJobName=name,
            SortBy="FinalObjectiveMetricValue",
            MaxResults=100,
        )["TrainingJobSummaries"]
        return {**body, "TrainingJobSummaries": listed}


def model(run: Run) -> Done:
    name = run.named("ModelName")
    arn = call(run, "create_model", **{**run.arguments, "ModelName": name})["ModelArn"]
    return Done({"Model": {"Arn": arn}}, plain(call(run, "describe_model", ModelName=name)))


def register_model(run: Run) -> Done:
    arn = call(run, "create_model_package", **run.arguments)["ModelPackageArn"]
    properties = plain(call(run, "describe_model_package", ModelPackageName=arn))
    return Done({"RegisterModel": {"Arn": arn}}, properties)


def endpoint_config(run: Run) -> Done:
    name = run.named("EndpointConfigName")
    arn = call(run, "create_endpoint_config", **{**run.arguments, "EndpointConfigName": name})["EndpointConfigArn"]
    return Done({"EndpointConfig": {"Arn": arn}}, plain(call(run, "describe_endpoint_config", EndpointConfigName=name)))


def endpoint(run: Run) -> Done:
    """Create the endpoint, or update it when it is there; done when it serves."""
    name = run.arguments["EndpointName"]
    there = run.scope.get("endpoint", name) is not None
    given = {key: run.arguments[key] for key in run.arguments if not (there and key == "Tags")}
    arn = call(run, "update_endpoint" if there else "create_endpoint", **given)["EndpointArn"]
    metadata = {"Endpoint": {"Arn": arn}}
    run.note(metadata)
    while True:
        body = call(run, "describe_endpoint", EndpointName=name)
        if body["EndpointStatus"] == "InService":
            if body["EndpointConfigName"] != run.arguments["EndpointConfigName"]:
                raise StepFailedError(f"ClientError: {body.get('FailureReason', 'the update was rolled back')}")
            return Done(metadata, plain(body))
        if body["EndpointStatus"] in {"Failed", "UpdateRollbackFailed", "OutOfService"}:
            raise StepFailedError(f"ClientError: {body.get('FailureReason', body['EndpointStatus'])}")
        if run.stopping():
            raise StepStoppedError
        run.plane.clock.sleep(0.2)


def fail(run: Run) -> Done:
    message = str(run.arguments.get("ErrorMessage", ""))
    run.note({"Fail": {"ErrorMessage": message}})
    raise StepFailedError(message)


def condition(run: Run) -> Done:
    outcome = all(expressions.holds(item, run.values) for item in run.definition["Arguments"]["Conditions"])
    return Done({"Condition": {"Outcome": str(outcome)}}, {"Outcome": outcome})


def callback(run: Run) -> Done:
    """Tell the queue, then wait until somebody answers with the token."""
    token = secrets.token_hex(5)  # exactly ten characters, as its shape says
    queue = run.definition["SqsQueueUrl"]
    metadata = {"Callback": {"CallbackToken": token, "SqsQueueUrl": queue}}
    pending = run.callbacks[token] = Pending(run.plane.clock.event())
    run.note(metadata)
    message = {
        "token": token,
        "pipelineExecutionArn": run.execution,
        "arguments": run.arguments,
        "status": "Executing",
        "stepName": run.name,
    }
    sqs = run.plane.clients.get("sqs", run.scope.account, run.scope.region, run.role)
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(message))
    pending.event.wait()
    answer = pending.answer
    if answer is None:
        raise StepStoppedError
    if "FailureReason" in answer:
        raise StepFailedError(answer["FailureReason"])
    parameters = answer.get("OutputParameters", [])
    metadata["Callback"]["OutputParameters"] = parameters
    return Done(metadata, {"OutputParameters": {item["Name"]: item["Value"] for item in parameters}})


def function(run: Run) -> Done:
    """A Lambda step: its answer's keys are the step's output parameters."""
    arn = run.definition["FunctionArn"]
    client = run.plane.clients.get("lambda", run.scope.account, run.scope.region, run.role)
    answer = client.invoke(FunctionName=arn, Payload=json.dumps(run.arguments).encode())
    payload = answer["Payload"].read()
    if answer.get("FunctionError"):
        raise StepFailedError(f"ClientError: the function failed: {payload[:500].decode(errors='replace')}")
    told = json.loads(payload or b"{}")
    wanted = [item["OutputName"] for item in run.definition.get("OutputParameters", ())]
    given = {name: str(told[name]) for name in wanted if name in told}
    shown = [{"Name": name, "Value": value} for name, value in given.items()]
    return Done({"Lambda": {"Arn": arn, "OutputParameters": shown}}, {"OutputParameters": given})


TYPES: Mapping[str, Callable[[Run], Done]] = {
    "Training": JobStep(
        "TrainingJob",
        "TrainingJob",
        ("AlgorithmSpecification", "CheckpointConfig", "Environment", "HyperParameters", "InputDataConfig"),
    ),
    "Processing": JobStep("ProcessingJob", "ProcessingJob", ("AppSpecification", "Environment", "ProcessingInputs")),
    "Transform": JobStep(
        "TransformJob", "TransformJob", ("DataProcessing", "Environment", "ModelName", "TransformInput")
    ),
    "Tuning": JobStep(
        "HyperParameterTuningJob",
        "TuningJob",
        ("HyperParameterTuningJobConfig", "TrainingJobDefinition", "TrainingJobDefinitions"),
    ),
    "Model": model,
    "RegisterModel": register_model,
    "EndpointConfig": endpoint_config,
    "Endpoint": endpoint,
    "Condition": condition,
    "Fail": fail,
    "Callback": callback,
    "Lambda": function,
}


def call(run: Run, method: str, **params: Any) -> Body:
    """An API call of a step; a refusal fails the step with AWS's own words."""
    try:
        return getattr(run.client, method)(**params)
    except ClientError as error:
        told = error.response["Error"]
        raise StepFailedError(
            f"ClientError: Failed to invoke sagemaker:{error.operation_name}. Error Details: {told.get('Message', '')}",
            CALL_FAILURES.get(told.get("Code", ""), ""),
        ) from error


CALL_FAILURES = {
    "ThrottlingException": "Step.THROTTLING",
    "InternalFailure": "Step.SERVICE_FAULT",
    "ServiceUnavailable": "Step.SERVICE_FAULT",
    "ResourceLimitExceeded": "SageMaker.RESOURCE_LIMIT",
    "CapacityError": "SageMaker.CAPACITY_ERROR",
}


def failure_kind(reason: str) -> str:
    if reason == jobs.HOST_LOST or reason.startswith("InternalServerError"):
        return "SageMaker.JOB_INTERNAL_ERROR"
    return "SageMaker.CAPACITY_ERROR" if reason.startswith("CapacityError") else ""


def snake(noun: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in noun).lstrip("_")


def plain(body: Mapping[str, Any]) -> Body:
    """A description as it can be kept: no times as objects, nothing about the response."""
    kept = {key: value for key, value in body.items() if key != "ResponseMetadata"}
    found: Body = json.loads(json.dumps(kept, default=str))
    return found
