"""Dashboards: kept as they are given, for the whole account, once they are JSON with widgets."""

import json
from collections.abc import Mapping
from typing import Any

from localaws import resources
from localaws.clock import Clock
from localaws.errors import AwsError
from localaws.gateway import Operation, Request
from localaws.store import DuplicateError, Scope

DASHBOARD = "dashboard"
GLOBAL = "aws-global"


def operations(clock: Clock) -> Mapping[str, Operation]:
    return {
        "PutDashboard": lambda request: put(request, clock.now()),
        "GetDashboard": get,
        "ListDashboards": listing,
        "DeleteDashboards": delete,
    }


def _scope(request: Request) -> Scope:
    return request.store.scope(request.account, GLOBAL)


def put(request: Request, now: float) -> dict[str, Any]:
    params, scope = request.params, _scope(request)
    _check(params["DashboardBody"])
    name = params["DashboardName"]
    body = {
        "DashboardName": name,
        "DashboardArn": f"arn:aws:cloudwatch::{request.account}:dashboard/{name}",
        "DashboardBody": params["DashboardBody"],
        "LastModified": now,
        "Size": len(params["DashboardBody"].encode()),
    }
    tags = resources.as_map(params.get("Tags", []))
    try:
        scope.add(DASHBOARD, name, body["DashboardArn"], body, created=now, tags=tags)
    except DuplicateError:
        scope.update(DASHBOARD, name, body)
    return {"DashboardValidationMessages": []}


def _check(text: str) -> None:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _wrong(f"The dashboard body is not JSON: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("widgets"), list):
        raise _wrong("The field widgets is required in a dashboard body, and must be a list.")
    for number, widget in enumerate(found["widgets"]):
        if not isinstance(widget, dict) or not {"type", "properties"} <= widget.keys():
            raise _wrong(f"/widgets/{number} must be an object with type and properties.")


def _wrong(message: str) -> AwsError:
    messages = [{"DataPath": "/", "Message": message}]
    return AwsError(
        f"The field DashboardBody must be a valid JSON object: {message}",
        code="InvalidParameterInput",
        members={"dashboardValidationMessages": messages},
    )


def get(request: Request) -> dict[str, Any]:
    row = _scope(request).get(DASHBOARD, request.params["DashboardName"])
    if row is None:
        raise _missing(request.params["DashboardName"])
    return row.body


def _missing(name: str) -> AwsError:
    return AwsError(f"Dashboard {name} does not exist", code="ResourceNotFound", status=404)


def listing(request: Request) -> dict[str, Any]:
    prefix = request.params.get("DashboardNamePrefix", "")
    rows = sorted(_scope(request).all(DASHBOARD), key=lambda row: row.name)
    return resources.page([row.body for row in rows if row.name.startswith(prefix)], request, size=1000)


def delete(request: Request) -> dict[str, Any]:
    scope, names = _scope(request), request.params["DashboardNames"]
    for name in names:
        if scope.get(DASHBOARD, name) is None:
            raise _missing(name)
    for name in names:
        scope.remove(DASHBOARD, name)
    return {}
