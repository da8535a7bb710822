"""Runs pipelines: steps in the order of their needs, with conditions, caching, retries, stop, and selected steps.

An execution's record holds everything, so that it can be described, retried and reused; the executor's own memory is
only which of them run now. Steps are API calls through our own URL, so a step is refused exactly as a caller would be.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from localaws import expressions, pipelines, resources
from localaws.announce import announce
from localaws.errors import AwsError, NotBuilt, ResourceNotFound, ValidationException
from localaws.expressions import ExpressionError, Values
from localaws.gateway import Operation, Request
from localaws.kinds import PIPELINE_EXECUTION
from localaws.metrics.series import metric_key
from localaws.objects import Objects, join
from localaws.plane import Plane
from localaws.steps import TYPES, Done, JobStep, Pending, Run, StepFailedError, StepStoppedError
from localaws.store import Body, Resource, Scope

log = logging.getLogger(__name__)
NAMESPACE = "AWS/Sagemaker/ModelBuildingPipeline"
CACHE = "pipeline-cache"
ENDED = {"Succeeded", "Failed", "Stopped"}
EXECUTION_EVENT = "SageMaker Model Building Pipeline Execution Status Change"
STEP_EVENT = "SageMaker Model Building Pipeline Execution Step Status Change"


def operations(plane: Plane) -> Mapping[str, Operation]:
    executor = Executor(plane)
    executor.fail_orphans()
    return {
        "StartPipelineExecution": executor.start,
        "StopPipelineExecution": executor.stop,
        "RetryPipelineExecution": executor.retry,
        "DescribePipelineExecution": lambda request: find(request).body,
        "UpdatePipelineExecution": executor.update,
        "ListPipelineExecutions": executor.listing,
        "ListPipelineExecutionSteps": executor.list_steps,
        "ListPipelineParametersForExecution": list_parameters,
        "DescribePipelineDefinitionForExecution": lambda request: {
            "PipelineDefinition": find(request).body["Definition"],
            "CreationTime": find(request).body["CreationTime"],
        },
        "SendPipelineExecutionStepSuccess": executor.succeed,
        "SendPipelineExecutionStepFailure": executor.refuse,
    }


def find(request: Request) -> Resource:
    return resources.find(PIPELINE_EXECUTION, request.scope, request.params["PipelineExecutionArn"])


def list_parameters(request: Request) -> dict[str, Any]:
    parameters = find(request).body["Parameters"]
    return resources.page([{"Name": key, "Value": str(value)} for key, value in parameters.items()], request)


# --- definitions: pure ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A step, what it waits for, and the branch of a condition it stands in."""

    name: str
    kind: str
    definition: Body
    needs: frozenset[str]
    branch: tuple[str, bool] | None = None  # (condition step, the outcome that lets this step run)


def steps_of(definition: Mapping[str, Any]) -> list[Step]:
    return list(_steps(definition["Steps"], None))


def _steps(given: Any, branch: tuple[str, bool] | None) -> Iterator[Step]:
    for item in given:
        arguments = item.get("Arguments", {})
        own = arguments
        if item["Type"] == "Condition":
            own = arguments.get("Conditions", ())
        needs = set(item.get("DependsOn", ())) | expressions.steps_in(own) | ({branch[0]} if branch else set())
        yield Step(item["Name"], item["Type"], item, frozenset(needs - {item["Name"]}), branch)
        if item["Type"] == "Condition":
            yield from _steps(arguments.get("IfSteps", ()), (item["Name"], True))
            yield from _steps(arguments.get("ElseSteps", ()), (item["Name"], False))


def parameters_of(definition: Mapping[str, Any], given: Mapping[str, str]) -> Body:
    """Every parameter with its value in its type; unknown and missing ones are refused together."""
    declared = {item["Name"]: item for item in definition.get("Parameters", ())}
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise ValidationException(f"Invalid parameters: {', '.join(unknown)} not defined in the pipeline definition.")
    missing = sorted(name for name, item in declared.items() if name not in given and "DefaultValue" not in item)
    if missing:
        raise ValidationException(f"Missing parameters: {', '.join(missing)} have no default value and none was given.")
    return {name: _typed(item, given.get(name, item.get("DefaultValue"))) for name, item in declared.items()}


def _typed(item: Mapping[str, Any], value: Any) -> Any:
    convert: Callable[[Any], Any] = {"Integer": int, "Float": float, "Boolean": _boolean}.get(item["Type"], str)
    try:
        typed = convert(value)
    except ValueError:
        raise ValidationException(
            f"Parameter {item['Name']} is of type {item['Type']} and cannot be {value!r}."
        ) from None
    allowed = item.get("EnumValues")
    if allowed and typed not in allowed:
        raise ValidationException(f"Parameter {item['Name']} must be one of {allowed}, and it is {typed!r}.")
    return typed


def _boolean(value: Any) -> bool:
    text = str(value).lower()
    if text not in {"true", "false"}:
        raise ValueError(text)
    return text == "true"


def seconds_of(duration: str) -> float:
    """An ISO 8601 duration such as P30D or PT12H; a month is 30 days, a year 365."""
    found = re.fullmatch(
        r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", duration
    )
    if found is None:
        raise ValidationException(f"ExpireAfter {duration!r} is no ISO 8601 duration, such as P30D.")
    lengths = (365 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60, 1)
    return float(sum(int(amount or 0) * length for amount, length in zip(found.groups(), lengths, strict=True)))


# --- the executor ---------------------------------------------------------------------------------------------------


class Executor:
    """Starts, stops and answers for executions."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._running: dict[str, Execution] = {}
        self._lock = threading.Lock()

    def start(self, request: Request) -> dict[str, Any]:
        params, scope, now = request.params, request.scope, self._plane.clock.now()
        row = pipelines.find(scope, params["PipelineName"])
        before = self._same_token(scope, row, params["ClientRequestToken"])
        if before:
            return {"PipelineExecutionArn": before.arn}
        text = pipelines.definition_of(row, params.get("PipelineVersionId"))
        definition = json.loads(text)
        steps = steps_of(definition)
        check_types(steps)
        given = {item["Name"]: item["Value"] for item in params.get("PipelineParameters", ())}
        identity = pipelines.new_execution_id()
        arn = f"{row.arn}/execution/{identity}"
        body: Body = {
            **resources.without(params, "PipelineName", "PipelineParameters"),
            "PipelineArn": row.arn,
            "PipelineName": row.name,
            "PipelineExecutionDisplayName": params.get("PipelineExecutionDisplayName", f"execution-{int(now * 1000)}"),
            "PipelineExecutionStatus": "Executing",
            "StartTime": now,
            "Definition": text,
            "Parameters": parameters_of(definition, given),
            "Steps": {},
            "ParallelismConfiguration": params.get("ParallelismConfiguration")
            or row.body.get("ParallelismConfiguration"),
        }
        selective = params.get("SelectiveExecutionConfig")
        if selective:
            body |= {"SelectiveExecutionConfig": selective, "Reused": self._reused(scope, row, selective, steps)}
        body = {key: value for key, value in body.items() if value is not None}
        created = resources.add(PIPELINE_EXECUTION, scope, arn, body, now=now, arn=arn)
        scope.update("pipeline", row.name, {"LastRunTime": now})
        self._launch(scope, created)
        return {"PipelineExecutionArn": arn}

    def _same_token(self, scope: Scope, pipeline: Resource, token: str) -> Resource | None:
        for row in executions(scope, pipeline.arn):
            if row.body.get("ClientRequestToken") == token:
                return row
        return None

    def _reused(self, scope: Scope, pipeline: Resource, selective: Mapping[str, Any], steps: list[Step]) -> Body:
        """Outcomes of the steps that are not selected, from an earlier execution."""
        names = {step.name for step in steps}
        selected = {item["StepName"] for item in selective["SelectedSteps"]}
        unknown = selected - names
        if unknown:
            raise ValidationException(f"Selected steps are not in the pipeline: {', '.join(sorted(unknown))}.")
        earlier = executions(scope, pipeline.arn)
        source = selective.get("SourcePipelineExecutionArn") or (earlier[-1].arn if earlier else None)
        found = next((row for row in earlier if row.arn == source), None)
        if found is None:
            raise ValidationException("A selective execution needs an earlier execution of the pipeline.")
        kept = {name: item for name, item in found.body["Steps"].items() if name not in selected}
        return {"Source": found.arn, "Steps": kept}

    def _launch(self, scope: Scope, row: Resource) -> None:
        execution = Execution(self._plane, scope, row.arn)
        with self._lock:
            self._running[row.arn] = execution

        def run() -> None:
            try:
                execution.run()
            finally:
                with self._lock:
                    self._running.pop(row.arn, None)

        self._plane.clock.spawn(run, f"pipeline {row.body['PipelineName']}")

    def stop(self, request: Request) -> dict[str, Any]:
        row = find(request)
        if row.body["PipelineExecutionStatus"] in ENDED:
            raise AwsError(
                f"Pipeline execution with ARN {row.arn} is in status {row.body['PipelineExecutionStatus']}"
                " and cannot be stopped.",
                code="ConflictException",
            )
        resources.change(
            PIPELINE_EXECUTION,
            request.scope,
            row.name,
            {"PipelineExecutionStatus": "Stopping"},
            now=self._plane.clock.now(),
        )
        running = self._running.get(row.arn)
        if running:
            running.stop()
        return {"PipelineExecutionArn": row.arn}

    def retry(self, request: Request) -> dict[str, Any]:
        """Go on where it failed or was stopped; what succeeded is kept."""
        row = find(request)
        if row.body["PipelineExecutionStatus"] not in {"Failed", "Stopped"}:
            raise ValidationException(
                f"Only a failed or stopped execution can be retried; this one is {row.body['PipelineExecutionStatus']}."
            )
        kept = {name: item for name, item in row.body["Steps"].items() if item["StepStatus"] == "Succeeded"}
        new = {"PipelineExecutionStatus": "Executing", "Steps": kept, "FailureReason": None, "EndTime": None}
        if "ParallelismConfiguration" in request.params:
            new["ParallelismConfiguration"] = request.params["ParallelismConfiguration"]
        changed = resources.change(PIPELINE_EXECUTION, request.scope, row.name, new, now=self._plane.clock.now())
        self._launch(request.scope, changed)
        return {"PipelineExecutionArn": row.arn}

    def update(self, request: Request) -> dict[str, Any]:
        row = find(request)
        new = resources.without(request.params, "PipelineExecutionArn")
        resources.change(PIPELINE_EXECUTION, request.scope, row.name, new, now=self._plane.clock.now())
        return {"PipelineExecutionArn": row.arn}

    def listing(self, request: Request) -> dict[str, Any]:
        row = pipelines.find(request.scope, request.params["PipelineName"])
        found = resources.listing(PIPELINE_EXECUTION, request, executions(request.scope, row.arn))
        for item in found["PipelineExecutionSummaries"]:
            item["PipelineExecutionFailureReason"] = item.get("FailureReason")
        return found

    def list_steps(self, request: Request) -> dict[str, Any]:
        steps = list(find(request).body["Steps"].values())
        return resources.page(steps, request, key=lambda step: step.get("StartTime", 0), newest_first=True)

    # --- callbacks

    def succeed(self, request: Request) -> dict[str, Any]:
        return self._answer(request, {"OutputParameters": request.params.get("OutputParameters", [])})

    def refuse(self, request: Request) -> dict[str, Any]:
        return self._answer(request, {"FailureReason": request.params.get("FailureReason", "")})

    def _answer(self, request: Request, answer: Body) -> dict[str, Any]:
        token = request.params["CallbackToken"]
        with self._lock:
            running = list(self._running.values())
        for execution in running:
            pending = execution.callbacks.get(token)
            if pending:
                pending.answer = answer
                pending.event.set()
                return {"PipelineExecutionArn": execution.arn}
        raise ResourceNotFound(f"No pipeline step waits for the callback token {token}.")

    def fail_orphans(self) -> None:
        """After a restart: what was executing lost its steps; it can be retried."""
        for scope in self._plane.store.scopes():
            for row in scope.all(PIPELINE_EXECUTION.kind):
                if row.body["PipelineExecutionStatus"] not in ENDED:
                    reason = "InternalServerError: the execution was interrupted. Retry it to go on."
                    steps = {
                        name: step
                        if step["StepStatus"] in ENDED
                        else {**step, "StepStatus": "Failed", "FailureReason": reason}
                        for name, step in row.body["Steps"].items()
                    }
                    new = {"PipelineExecutionStatus": "Failed", "FailureReason": reason, "Steps": steps}
                    resources.change(PIPELINE_EXECUTION, scope, row.name, new, now=self._plane.clock.now())


def executions(scope: Scope, pipeline: str) -> list[Resource]:
    return [row for row in scope.all(PIPELINE_EXECUTION.kind) if row.body["PipelineArn"] == pipeline]


def check_types(steps: list[Step]) -> None:
    unknown = sorted({step.kind for step in steps} - set(TYPES))
    if unknown:
        raise NotBuilt("sagemaker", f"StartPipelineExecution with steps of type {', '.join(unknown)}")
    names = {step.name for step in steps}
    for step in steps:
        if step.needs - names:
            raise ValidationException(
                f"Step {step.name} refers to unknown steps: {', '.join(sorted(step.needs - names))}."
            )


@dataclass
class Execution:
    """One execution at work."""

    plane: Plane
    scope: Scope
    arn: str
    callbacks: dict[str, Pending] = field(default_factory=dict)
    stopped: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._changed = self.plane.clock.event()
        self._definition: Body = json.loads(self.body["Definition"])
        self._steps = steps_of(self._definition)
        self._active: set[str] = set()

    @property
    def body(self) -> Body:
        return resources.find(PIPELINE_EXECUTION, self.scope, self.arn).body

    def _role(self) -> str | None:
        """The pipeline's role: what its steps do, they do as this."""
        found = self.plane.store.by_arn(self.body["PipelineArn"])
        return found.body.get("RoleArn") if found else None

    def stop(self) -> None:
        self.stopped = True
        for pending in self.callbacks.values():
            pending.event.set()
        self._changed.set()

    def run(self) -> None:
        self._announce("Executing", None)
        self._count("ExecutionStarted")
        while True:
            self._changed.clear()
            going = bool(self._active)  # asked first: a step that ends from here on wakes this loop again
            ready = [] if self._failed() or self.stopped else self._ready()
            for step in ready:
                self._begin(step)
            if not ready and not going:
                break
            self._changed.wait()
        self._end()

    # --- which steps are next

    def _records(self) -> dict[str, Body]:
        return self.body["Steps"]

    def _failed(self) -> bool:
        return any(record["StepStatus"] == "Failed" for record in self._records().values())

    def _ready(self) -> list[Step]:
        """Steps whose needs are met, no more than may run side by side."""
        records = self._records()
        body = self.body
        wanted = {*body["Reused"]["Steps"], *self._selected()} if "Reused" in body else None
        done = {name for name, record in records.items() if record["StepStatus"] == "Succeeded"}
        found = [
            step
            for step in self._steps
            if step.name not in records
            and step.name not in self._active
            and step.needs <= done
            and self._chosen(step, records)
            and (wanted is None or step.name in wanted)
        ]
        most = self.body.get("ParallelismConfiguration", {}).get("MaxParallelExecutionSteps", 50)
        return found[: max(0, most - len(self._active))]

    def _selected(self) -> set[str]:
        return {item["StepName"] for item in self.body.get("SelectiveExecutionConfig", {}).get("SelectedSteps", ())}

    def _chosen(self, step: Step, records: Mapping[str, Body]) -> bool:
        if step.branch is None:
            return True
        name, wanted = step.branch
        outcome = records[name].get("Metadata", {}).get("Condition", {}).get("Outcome")
        return outcome == str(wanted)

    # --- one step

    def _begin(self, step: Step) -> None:
        self._active.add(step.name)
        record = {"StepName": step.name, "StepType": step.kind, "StartTime": self._now(), "StepStatus": "Starting"}
        for member, key in (("StepDisplayName", "DisplayName"), ("StepDescription", "Description")):
            if key in step.definition:
                record[member] = step.definition[key]
        self._record(step.name, record)

        def work() -> None:
            try:
                self._work(step)
            except Exception:
                log.exception("the step %s of %s", step.name, self.arn)
                self._finish(step, "Failed", FailureReason="InternalServerError: the step failed in the embedded AWS")
            finally:
                self._active.discard(step.name)
                self._changed.set()

        self.plane.clock.spawn(work, f"step {step.name}")

    def _work(self, step: Step) -> None:
        reused = self.body.get("Reused", {})
        if step.name in reused.get("Steps", {}):
            self._reuse(step, reused)
            return
        self._change(step.name, StepStatus="Executing")
        self._announce_step(step, "Executing", "Starting")
        self._count("StepStarted", step)
        try:
            arguments = (
                {}
                if step.kind == "Condition"
                else expressions.resolve(step.definition.get("Arguments", {}), self._values())
            )
            cached = self._cached(step, arguments)
            if cached:
                self._use(step, cached)
                return
            done = self._try(step, arguments)
        except StepStoppedError:
            self._finish(step, "Stopped")
        except (StepFailedError, ExpressionError) as error:
            prefix = "ClientError: " if isinstance(error, ExpressionError) else ""
            self._finish(step, "Failed", FailureReason=f"{prefix}{error}"[:1024])
        else:
            self._remember(step, arguments, done)
            self._finish(step, "Succeeded", Metadata=done.metadata, Properties=done.properties)

    def _try(self, step: Step, arguments: Body) -> Done:
        """Run the step, again where a retry policy says so."""
        attempt = 0
        while True:
            attempt += 1
            run = Run(
                plane=self.plane,
                scope=self.scope,
                name=step.name,
                arguments=arguments,
                definition=step.definition,
                execution=self.arn,
                role=self._role(),
                values=self._values(),
                stopping=lambda: self.stopped,
                note=lambda metadata: self._change(step.name, Metadata=metadata),
                callbacks=self.callbacks,
            )
            try:
                return TYPES[step.kind](run)
            except StepFailedError as error:
                pause = retry_pause(step.definition.get("RetryPolicies", ()), error.kind, attempt)
                if pause is None or self.stopped:
                    raise
                self._change(step.name, AttemptCount=attempt)
                self.plane.clock.sleep(pause)

    def _reuse(self, step: Step, reused: Mapping[str, Any]) -> None:
        before = reused["Steps"][step.name]
        kept = {key: before[key] for key in ("Metadata", "Properties") if key in before}
        result = {"SourcePipelineExecutionArn": reused["Source"]}
        self._finish(step, before["StepStatus"], SelectiveExecutionResult=result, **kept)

    def _finish(self, step: Step, status: str, **members: Any) -> None:
        self._change(step.name, StepStatus=status, EndTime=self._now(), **members)
        self._announce_step(step, status, "Executing")
        self._count(f"Step{status}", step)
        record = self._records()[step.name]
        self._measure("StepDuration", (record["EndTime"] - record["StartTime"]) * 1000, step)

    # --- cache

    def _cache_key(self, step: Step, arguments: Body) -> str | None:
        kind = TYPES[step.kind]
        if not step.definition.get("CacheConfig", {}).get("Enabled") or not isinstance(kind, JobStep):
            return None
        part = {name: arguments[name] for name in kind.cached_by if name in arguments}
        digest = hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()
        return f"{self.body['PipelineArn']}/{step.name}/{digest}"

    def _cached(self, step: Step, arguments: Body) -> Body | None:
        key = self._cache_key(step, arguments)
        found = self.scope.get(CACHE, key) if key else None
        if found is None:
            return None
        lasts = step.definition["CacheConfig"].get("ExpireAfter")
        if lasts and found.body["At"] + seconds_of(lasts) < self._now():
            return None
        return found.body

    def _use(self, step: Step, cached: Mapping[str, Any]) -> None:
        hit = {"SourcePipelineExecutionArn": cached["Execution"]}
        kept = {"Metadata": cached["Metadata"], "Properties": cached["Properties"]}
        self._finish(step, "Succeeded", CacheHitResult=hit, **kept)

    def _remember(self, step: Step, arguments: Body, done: Done) -> None:
        key = self._cache_key(step, arguments)
        if key is None:
            return
        body = {"Execution": self.arn, "At": self._now(), "Metadata": done.metadata, "Properties": done.properties}
        with self.scope.store.lock:
            if self.scope.get(CACHE, key):
                self.scope.remove(CACHE, key)
            self.scope.add(CACHE, key, f"cache:{key}", body, created=self._now())

    # --- what expressions see

    def _values(self) -> Values:
        body = self.body
        records = body["Steps"]
        return Values(
            parameters=body["Parameters"],
            execution={
                "PipelineExecutionId": self.arn.rsplit("/", 1)[-1],
                "PipelineExecutionArn": self.arn,
                "PipelineName": body["PipelineName"],
                "PipelineArn": body["PipelineArn"],
                "StartDateTime": _iso(body["StartTime"]),
                "CurrentDateTime": _iso(self._now()),
            },
            steps={name: record["Properties"] for name, record in records.items() if "Properties" in record},
            property_file=self._property_file,
            json_at=self._json_at,
        )

    def _property_file(self, step: str, name: str) -> Any:
        definition = next((item.definition for item in self._steps if item.name == step), None)
        files = definition.get("PropertyFiles", ()) if definition else ()
        described = next((item for item in files if item["PropertyFileName"] == name), None)
        properties = self._records().get(step, {}).get("Properties")
        if described is None or properties is None:
            raise ExpressionError(f"Steps.{step}.PropertyFiles.{name}: no such property file, or the step has not run")
        outputs = properties.get("ProcessingOutputConfig", {}).get("Outputs", ())
        output = next((item for item in outputs if item["OutputName"] == described["OutputName"]), None)
        if output is None:
            raise ExpressionError(f"Steps.{step} has no output {described['OutputName']} for property file {name}")
        return self._json_at(join(output["S3Output"]["S3Uri"], described["FilePath"]))

    def _json_at(self, uri: str) -> Any:
        try:
            return json.loads(
                Objects(self.plane.clients, self.scope.account, self.scope.region, self._role()).read(uri)
            )
        except Exception as error:
            raise ExpressionError(f"{uri} cannot be read as JSON: {error}") from error

    # --- the record

    def _now(self) -> float:
        return self.plane.clock.now()

    def _record(self, name: str, record: Body) -> None:
        with self._lock:
            steps = {**self._records(), name: record}
            resources.change(PIPELINE_EXECUTION, self.scope, self.arn, {"Steps": steps}, now=self._now())

    def _change(self, name: str, **members: Any) -> None:
        with self._lock:
            self._record(name, {**self._records()[name], **members})

    def _end(self) -> None:
        records = self._records().values()
        failed = [record for record in records if record["StepStatus"] == "Failed"]
        members: Body = {"EndTime": self._now()}
        if failed:
            status = "Failed"
            reasons = [record for record in failed if record["StepType"] == "Fail"]
            members["FailureReason"] = (
                reasons[0]["FailureReason"] if reasons else "Step failure: One or multiple steps failed."
            )
        else:
            status = "Stopped" if self.stopped else "Succeeded"
        members["PipelineExecutionStatus"] = status
        before = self.body["PipelineExecutionStatus"]
        resources.change(PIPELINE_EXECUTION, self.scope, self.arn, members, now=self._now())
        self._announce(status, before)
        self._count(f"Execution{status}")
        self._measure("ExecutionDuration", (self._now() - self.body["StartTime"]) * 1000)

    # --- telling others

    def _announce(self, status: str, before: str | None) -> None:
        body = self.body
        detail = {
            "pipelineArn": body["PipelineArn"],
            "pipelineExecutionArn": self.arn,
            "pipelineExecutionDisplayName": body["PipelineExecutionDisplayName"],
            "currentPipelineExecutionStatus": status,
            "previousPipelineExecutionStatus": before,
            "executionStartTime": _iso(body["StartTime"]),
            **({"executionEndTime": _iso(body["EndTime"])} if "EndTime" in body else {}),
        }
        announce(self.plane.courier, self.scope, EXECUTION_EVENT, detail, [body["PipelineArn"], self.arn])

    def _announce_step(self, step: Step, status: str, before: str) -> None:
        body, record = self.body, self._records()[step.name]
        detail = {
            "pipelineArn": body["PipelineArn"],
            "pipelineExecutionArn": self.arn,
            "stepName": step.name,
            "stepType": step.kind,
            "currentStepStatus": status,
            "previousStepStatus": before,
            "stepStartTime": _iso(record["StartTime"]),
            "cacheHitResult": record.get("CacheHitResult"),
            "failureReason": record.get("FailureReason"),
            "metadata": {key[:1].lower() + key[1:]: _lower(value) for key, value in record.get("Metadata", {}).items()},
        }
        detail = {key: value for key, value in detail.items() if value is not None}
        announce(self.plane.courier, self.scope, STEP_EVENT, detail, [body["PipelineArn"], self.arn])

    def _count(self, name: str, step: Step | None = None) -> None:
        self._put(name, 1.0, "Count", step)

    def _measure(self, name: str, milliseconds: float, step: Step | None = None) -> None:
        self._put(name, milliseconds, "Milliseconds", step)

    def _put(self, name: str, value: float, unit: str, step: Step | None) -> None:
        dimensions = {"PipelineName": self.body["PipelineName"]} | ({"StepName": step.name} if step else {})
        metrics = self.plane.watch.metrics(self.scope.account, self.scope.region)
        metrics.put(metric_key(NAMESPACE, name, dimensions), [(value, 1.0)], unit=unit)


def retry_pause(policies: Any, kind: str, attempt: int) -> float | None:
    """Seconds until the next attempt, or None when no policy wants one."""
    for policy in policies:
        if kind and kind in policy.get("ExceptionType", ()) and attempt < policy.get("MaxAttempts", 5):
            return policy.get("IntervalSeconds", 1) * policy.get("BackoffRate", 2.0) ** (attempt - 1)
    return None


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _lower(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key[:1].lower() + key[1:]: inner for key, inner in value.items()}
    return value
