"""Monitoring schedules: their definitions, and the processing jobs they start when their time has come.

A run gets the captured requests of its hours, the baseline and the environment that SageMaker's monitor container gets,
and ends `CompletedWithViolations` when the program wrote some.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from localaws import processing, resources
from localaws.endpoints.capture import rules_from
from localaws.errors import AwsError, ValidationException
from localaws.events.agenda import Agenda
from localaws.events.recurrence import Recurrence, RecurrenceError
from localaws.gateway import Operation, Request
from localaws.kinds import ENDPOINT, ENDPOINT_CONFIG, MONITORING_SCHEDULE, PROCESSING_JOB, Kind
from localaws.metrics.series import metric_key
from localaws.objects import NoObjectsError, Objects, join
from localaws.plane import Plane
from localaws.store import Body, Resource, Scope

NAMESPACE = "aws/sagemaker/Endpoints/data-metrics"
EXECUTION = Kind(
    "monitoring-execution",
    "MonitoringExecution",
    "MonitoringExecutionName",
    "MonitoringExecutionArn",
    status="MonitoringExecutionStatus",
    equal={
        "MonitoringScheduleName": "MonitoringScheduleName",
        "EndpointName": "EndpointName",
        "MonitoringTypeEquals": "MonitoringType",
    },
)
DEFINITIONS = {
    "DataQuality": "data-quality-job-definition",
    "ModelQuality": "model-quality-job-definition",
    "ModelBias": "model-bias-job-definition",
    "ModelExplainability": "model-explainability-job-definition",
}
HOUR = timedelta(hours=1)


def operations(plane: Plane) -> Mapping[str, Operation]:
    schedules = Schedules(plane)
    schedules.resume()
    return {
        **resources.operations(MONITORING_SCHEDULE, plane.clock.now),
        "CreateMonitoringSchedule": schedules.create,
        "UpdateMonitoringSchedule": schedules.update,
        "DeleteMonitoringSchedule": schedules.delete,
        "StartMonitoringSchedule": lambda request: schedules.turn(request, "Scheduled"),
        "StopMonitoringSchedule": lambda request: schedules.turn(request, "Stopped"),
        "ListMonitoringExecutions": lambda request: resources.listing(EXECUTION, request),
    }


class Schedules:
    """The verbs of monitoring schedules, and their runs."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._agenda = Agenda(plane.clock)

    def resume(self) -> None:
        """Plan what a restart found."""
        for scope in self._plane.store.scopes():
            for row in scope.all(MONITORING_SCHEDULE.kind):
                self._plan(scope, row)

    def create(self, request: Request) -> dict[str, Any]:
        params, now = request.params, self._plane.clock.now()
        body = self._body(request.scope, params["MonitoringScheduleConfig"])
        name = params["MonitoringScheduleName"]
        row = resources.add(MONITORING_SCHEDULE, request.scope, name, body, now=now, tags=params.get("Tags", ()))
        self._plan(request.scope, row)
        return {"MonitoringScheduleArn": row.arn}

    def update(self, request: Request) -> dict[str, Any]:
        params = request.params
        row = resources.find(MONITORING_SCHEDULE, request.scope, params["MonitoringScheduleName"])
        body = self._body(request.scope, params["MonitoringScheduleConfig"])
        now = self._plane.clock.now()
        self._plan(request.scope, resources.change(MONITORING_SCHEDULE, request.scope, row.name, body, now=now))
        return {"MonitoringScheduleArn": row.arn}

    def delete(self, request: Request) -> dict[str, Any]:
        row = resources.find(MONITORING_SCHEDULE, request.scope, request.params["MonitoringScheduleName"])
        self._agenda.drop(row.arn)
        request.scope.remove(MONITORING_SCHEDULE.kind, row.name)
        return {}

    def turn(self, request: Request, status: str) -> dict[str, Any]:
        row = resources.find(MONITORING_SCHEDULE, request.scope, request.params["MonitoringScheduleName"])
        new = {"MonitoringScheduleStatus": status}
        now = self._plane.clock.now()
        self._plan(request.scope, resources.change(MONITORING_SCHEDULE, request.scope, row.name, new, now=now))
        return {}

    def _body(self, scope: Scope, config: Mapping[str, Any]) -> Body:
        inline, named = config.get("MonitoringJobDefinition"), config.get("MonitoringJobDefinitionName")
        if (inline is None) == (named is None):
            raise ValidationException(
                "Exactly one of MonitoringJobDefinition and MonitoringJobDefinitionName must be provided."
            )
        kind = config.get("MonitoringType", "DataQuality")
        if named and scope.get(DEFINITIONS[kind], named) is None:
            raise ValidationException(f"Job definition {named} of type {kind} does not exist.")
        body: Body = {
            "MonitoringScheduleConfig": dict(config),
            "MonitoringScheduleStatus": "Scheduled",
            "MonitoringType": kind,
        }
        self._recurrence(body, 0.0)
        if named:
            body["MonitoringJobDefinitionName"] = named
        endpoint = endpoint_input(definition_of(scope, body)).get("EndpointName")
        return body | ({"EndpointName": endpoint} if endpoint else {})

    # --- when

    def _recurrence(self, body: Mapping[str, Any], now: float) -> Recurrence | None:
        expression = body["MonitoringScheduleConfig"].get("ScheduleConfig", {}).get("ScheduleExpression", "NOW")
        if expression == "NOW":
            return None
        try:
            return Recurrence(expression, now)
        except RecurrenceError as error:
            raise ValidationException(str(error)) from error

    def _plan(self, scope: Scope, row: Resource) -> None:
        self._agenda.drop(row.arn)
        if row.body["MonitoringScheduleStatus"] != "Scheduled":
            return
        recurrence = self._recurrence(row.body, row.created)
        if recurrence:
            self._agenda.plan(row.arn, recurrence, lambda at: self._spawn(scope, row.name, at))
        elif "LastMonitoringExecutionSummary" not in row.body:
            self._spawn(scope, row.name, self._plane.clock.now())

    def _spawn(self, scope: Scope, name: str, at: float) -> None:
        self._plane.clock.spawn(lambda: self._run(scope, name, at), f"monitoring schedule {name}")

    # --- one run

    def _run(self, scope: Scope, name: str, at: float) -> None:
        row = scope.get(MONITORING_SCHEDULE.kind, name)
        if row is None:
            return
        identity = f"{name}-{int(at)}"
        body: Body = {
            "MonitoringScheduleName": name,
            "ScheduledTime": at,
            "MonitoringExecutionStatus": "InProgress",
            "MonitoringType": row.body["MonitoringType"],
            **({"EndpointName": row.body["EndpointName"]} if "EndpointName" in row.body else {}),
        }
        resources.add(EXECUTION, scope, identity, body, now=self._plane.clock.now())
        try:
            job = processing.start(self._plane, scope, self._job(scope, row, at))
        except (NoObjectsError, AwsError) as error:
            self._note(scope, row, identity, MonitoringExecutionStatus="Failed", FailureReason=str(error))
            return
        self._note(scope, row, identity, ProcessingJobArn=job.arn)
        live = self._plane.board.get(job.arn)
        if live:
            live.done.wait()
        self._note(scope, row, identity, **self._outcome(scope, job))

    def _note(self, scope: Scope, schedule: Resource, identity: str, **members: Any) -> None:
        found = resources.change(EXECUTION, scope, identity, members, now=self._plane.clock.now())
        if scope.get(MONITORING_SCHEDULE.kind, schedule.name):
            scope.update(MONITORING_SCHEDULE.kind, schedule.name, {"LastMonitoringExecutionSummary": found.body})

    def _outcome(self, scope: Scope, job: Resource) -> Body:
        body = resources.find(PROCESSING_JOB, scope, job.name).body
        self._publish(scope, body)
        if body["ProcessingJobStatus"] != "Completed":
            return {
                "MonitoringExecutionStatus": body["ProcessingJobStatus"],
                "FailureReason": body.get("FailureReason"),
            }
        objects = Objects(self._plane.clients, scope.account, scope.region)
        for output in body["ProcessingOutputConfig"]["Outputs"]:
            uri = join(output["S3Output"]["S3Uri"], "constraint_violations.json")
            if objects.find(uri) and json.loads(objects.read(uri)).get("violations"):
                return {"MonitoringExecutionStatus": "CompletedWithViolations"}
        return {"MonitoringExecutionStatus": "Completed"}

    def _publish(self, scope: Scope, job: Mapping[str, Any]) -> None:
        """What the container wrote as metrics, under the endpoint and the schedule."""
        environment = job["Environment"]
        if environment["publish_cloudwatch_metrics"] != "Enabled":
            return
        metrics = self._plane.watch.metrics(scope.account, scope.region)
        dimensions = {
            "Endpoint": environment["sagemaker_endpoint_name"],
            "MonitoringSchedule": environment["sagemaker_monitoring_schedule_name"],
        }
        for line in job.get("MetricLines", ()):
            key = metric_key(NAMESPACE, line["MetricName"], dimensions)
            metrics.put(key, [(float(line["Value"]), 1.0)], unit=line.get("Unit", "None"))

    def _job(self, scope: Scope, row: Resource, at: float) -> Body:
        """The processing job of one run: the captured hours in, the report out."""
        definition = definition_of(scope, row.body)
        watched = endpoint_input(definition)
        begin, end = window(row.body["MonitoringScheduleConfig"].get("ScheduleConfig", {}), at)
        capture, hours = self._capture(scope, watched["EndpointName"], begin, end)
        place = watched.get("LocalPath", "/opt/ml/processing/endpointdata")
        output = part(definition, "JobOutputConfig", "MonitoringOutputConfig")["MonitoringOutputs"][0]["S3Output"]
        app = part(definition, "AppSpecification", "MonitoringAppSpecification")
        baseline = part(definition, "BaselineConfig", "BaselineConfig", optional=True)
        inputs = [_input(f"hour_{index}", uri, f"{place}/{relative}") for index, (uri, relative) in enumerate(hours)]
        environment = {
            "dataset_format": json.dumps(
                {"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}
            ),
            "dataset_source": place,
            "output_path": output["LocalPath"],
            "start_time": _iso(begin),
            "end_time": _iso(end),
            "publish_cloudwatch_metrics": "Enabled",
            "sagemaker_endpoint_name": watched["EndpointName"],
            "sagemaker_monitoring_schedule_name": row.name,
            "sagemaker_endpoint_datacapture_prefix": capture,
        }
        for member, variable in (("ConstraintsResource", "constraints"), ("StatisticsResource", "statistics")):
            uri = baseline.get(member, {}).get("S3Uri")
            if uri:
                folder = f"/opt/ml/processing/baseline/{variable}"
                inputs.append(_input(variable, uri, folder))
                environment[f"baseline_{variable}"] = f"{folder}/{uri.rsplit('/', 1)[-1]}"
        report = join(output["S3Uri"], watched["EndpointName"], row.name, f"{end:%Y/%m/%d/%H}")
        cluster = part(definition, "JobResources", "MonitoringResources")["ClusterConfig"]
        return {
            "ProcessingJobName": f"monitoring-{row.name[:40]}-{int(at)}",
            "RoleArn": definition["RoleArn"],
            "AppSpecification": {
                key: app[key] for key in ("ImageUri", "ContainerEntrypoint", "ContainerArguments") if key in app
            },
            "ProcessingInputs": inputs,
            "ProcessingOutputConfig": {
                "Outputs": [
                    {"OutputName": "result", "S3Output": {**output, "S3Uri": report, "S3UploadMode": "EndOfJob"}}
                ]
            },
            "ProcessingResources": {"ClusterConfig": cluster},
            "Environment": {**environment, **app.get("Environment", definition.get("Environment", {}))},
            "StoppingCondition": definition.get("StoppingCondition", {}),
            "MonitoringScheduleArn": row.arn,
        }

    def _capture(
        self, scope: Scope, endpoint: str, begin: datetime, end: datetime
    ) -> tuple[str, list[tuple[str, str]]]:
        """Where the endpoint captures, and its hours in the window that hold something."""
        config_name = resources.find(ENDPOINT, scope, endpoint).body["EndpointConfigName"]
        config = resources.find(ENDPOINT_CONFIG, scope, config_name).body
        capture = config.get("DataCaptureConfig")
        if rules_from(capture) is None or capture is None:
            raise ValidationException(f"Endpoint {endpoint} does not capture data.")
        base = join(capture["DestinationS3Uri"], endpoint)
        objects = Objects(self._plane.clients, scope.account, scope.region)
        hours: list[tuple[str, str]] = []
        for variant in config["ProductionVariants"]:
            hour = begin.replace(minute=0, second=0, microsecond=0)
            while hour < end:
                relative = f"{endpoint}/{variant['VariantName']}/{hour:%Y/%m/%d/%H}"
                uri = join(capture["DestinationS3Uri"], relative) + "/"
                if objects.find(uri):
                    hours.append((uri, relative))
                hour += HOUR
        if not hours:
            raise NoObjectsError(f"Job inputs had no data: nothing was captured between {_iso(begin)} and {_iso(end)}.")
        return base, hours


def definition_of(scope: Scope, schedule: Mapping[str, Any]) -> Body:
    """The inline definition of a schedule, or the one it names."""
    config = schedule["MonitoringScheduleConfig"]
    inline = config.get("MonitoringJobDefinition")
    if inline:
        return dict(inline)
    found = scope.get(DEFINITIONS[schedule["MonitoringType"]], config["MonitoringJobDefinitionName"])
    return found.body if found else {}


def endpoint_input(definition: Mapping[str, Any]) -> Body:
    """The endpoint a definition watches, wherever its kind of definition says it."""
    inputs = [value for key, value in definition.items() if key.endswith("JobInput")]
    inputs += definition.get("MonitoringInputs", ())
    return next((item["EndpointInput"] for item in inputs if "EndpointInput" in item), {})


def part(definition: Mapping[str, Any], ending: str, inline: str, *, optional: bool = False) -> Body:
    """A part of a definition: named ones spell it with their kind before it, inline ones have a name of their own."""
    for key, value in definition.items():
        if key.endswith(ending) or key == inline:
            return dict(value)
    if optional:
        return {}
    raise ValidationException(f"The monitoring job definition has no {inline}.")


def window(schedule: Mapping[str, str], at: float) -> tuple[datetime, datetime]:
    """The hours a run looks at: those it was told, or the hour before its own."""
    moment = datetime.fromtimestamp(at, UTC)
    begin, end = schedule.get("DataAnalysisStartTime"), schedule.get("DataAnalysisEndTime")
    if begin and end:
        return moment - _ago(begin), moment - _ago(end)
    full = moment.replace(minute=0, second=0, microsecond=0)
    return full - HOUR, full


def _ago(duration: str) -> timedelta:
    """`-PT2H` and its like: how long before a run; `-PT0H` is the run itself."""
    found = re.fullmatch(r"-?P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?", duration)
    if found is None:
        raise ValidationException(f"{duration!r} is no duration such as -PT2H.")
    days, hours, minutes = (int(value or 0) for value in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


def _input(name: str, uri: str, path: str) -> Body:
    source = {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": name, "S3Input": source}


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
