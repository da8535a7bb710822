"""Monitoring schedules: their definitions, and the processing jobs they start when their time has come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localaws import resources
from localaws.errors import ValidationException
from localaws.gateway import Operation, Request
from localaws.kinds import MONITORING_SCHEDULE
from localaws.plane import Plane
from localaws.store import Body, Scope

DEFINITIONS = {
    "DataQuality": "data-quality-job-definition",
    "ModelQuality": "model-quality-job-definition",
    "ModelBias": "model-bias-job-definition",
    "ModelExplainability": "model-explainability-job-definition",
}


def operations(plane: Plane) -> Mapping[str, Operation]:
    schedules = Schedules(plane)
    return {
        **resources.operations(MONITORING_SCHEDULE, plane.clock.now),
        "CreateMonitoringSchedule": schedules.create,
        "UpdateMonitoringSchedule": schedules.update,
        "StartMonitoringSchedule": lambda request: schedules.turn(request, "Scheduled"),
        "StopMonitoringSchedule": lambda request: schedules.turn(request, "Stopped"),
    }


class Schedules:
    """The verbs of monitoring schedules."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def create(self, request: Request) -> dict[str, Any]:
        params, now = request.params, self._plane.clock.now()
        body = self._body(request.scope, params["MonitoringScheduleConfig"])
        name = params["MonitoringScheduleName"]
        row = resources.add(MONITORING_SCHEDULE, request.scope, name, body, now=now, tags=params.get("Tags", ()))
        return {"MonitoringScheduleArn": row.arn}

    def update(self, request: Request) -> dict[str, Any]:
        params = request.params
        row = resources.find(MONITORING_SCHEDULE, request.scope, params["MonitoringScheduleName"])
        body = self._body(request.scope, params["MonitoringScheduleConfig"])
        resources.change(MONITORING_SCHEDULE, request.scope, row.name, body, now=self._plane.clock.now())
        return {"MonitoringScheduleArn": row.arn}

    def turn(self, request: Request, status: str) -> dict[str, Any]:
        row = resources.find(MONITORING_SCHEDULE, request.scope, request.params["MonitoringScheduleName"])
        new = {"MonitoringScheduleStatus": status}
        resources.change(MONITORING_SCHEDULE, request.scope, row.name, new, now=self._plane.clock.now())
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
        if named:
            body["MonitoringJobDefinitionName"] = named
        endpoint = _endpoint(scope.get(DEFINITIONS[kind], named).body if named else inline or {})  # type: ignore[union-attr]
        return body | ({"EndpointName": endpoint} if endpoint else {})


def _endpoint(definition: Mapping[str, Any]) -> str | None:
    """The endpoint a definition watches, wherever its kind of definition says it."""
    inputs = [value for key, value in definition.items() if key.endswith("JobInput")]
    inputs += definition.get("MonitoringInputs", ())
    return next((item["EndpointInput"]["EndpointName"] for item in inputs if "EndpointInput" in item), None)
