"""EventBridge Scheduler: schedules that happen once, at a rate or by cron, and what they call."""

import json
import logging
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from localaws import resources
from localaws.clock import Clock
from localaws.errors import AwsError, ConflictException, ValidationException
from localaws.events.agenda import Agenda
from localaws.events.courier import Courier
from localaws.events.recurrence import Recurrence, RecurrenceError
from localaws.events.targets import Delivery, TargetError, Targets, check_target
from localaws.gateway import Operation, Request, Service
from localaws.metrics.series import metric_key
from localaws.store import Body, DuplicateError, Resource, Scope, Store
from localaws.watch import Watch

log = logging.getLogger(__name__)

SCHEDULE, GROUP = "schedule", "schedule-group"
DEFAULT_GROUP = "default"


class Scheduler:
    """The schedules of every account and region."""

    def __init__(self, clock: Clock, store: Store, courier: Courier, targets: Targets, watch: Watch) -> None:
        self.clock, self.store, self.courier, self.targets, self.watch = clock, store, courier, targets, watch
        self.agenda = Agenda(clock)

    def start(self) -> None:
        """Plan the schedules that a restart found."""
        for scope in self.store.scopes():
            for row in scope.all(SCHEDULE):
                self.plan(scope, row)

    def plan(self, scope: Scope, row: Resource) -> None:
        self.agenda.drop(row.arn)
        if row.body["State"] != "ENABLED":
            return
        recurrence = recurrence_of(row.body, row.body["LastModificationDate"])
        once = row.body.get("ActionAfterCompletion") == "DELETE"
        self.agenda.plan(
            row.arn,
            recurrence,
            lambda at: self._happen(scope, row, at),
            (lambda: self._complete(scope, row)) if once else None,
        )

    def _happen(self, scope: Scope, row: Resource, at: float) -> None:
        name = f"the schedule {row.name}"
        self.courier.carry(lambda: self._deliver(scope, row, at), name)

    def _deliver(self, scope: Scope, row: Resource, at: float) -> None:
        target = row.body["Target"]
        metrics = self.watch.metrics(scope.account, scope.region)
        dimensions = {"ScheduleGroup": row.body["GroupName"]}
        metrics.put(metric_key("AWS/Scheduler", "InvocationAttemptCount", dimensions), [(1.0, 1.0)], unit="Count")
        try:
            payload = _with_context(target.get("Input", "{}"), row, at)
            self.targets.deliver(Delivery(scope.account, scope.region, target, payload, buries_as=target["RoleArn"]))
        except Exception as error:  # noqa: BLE001  the schedule goes on whatever its target does
            log.warning("schedule %s could not call %s: %s", row.name, target["Arn"], error)
            metrics.put(metric_key("AWS/Scheduler", "TargetErrorCount", dimensions), [(1.0, 1.0)], unit="Count")

    def _complete(self, scope: Scope, row: Resource) -> None:
        if scope.get(SCHEDULE, row.name):
            scope.remove(SCHEDULE, row.name)


def _with_context(text: str, row: Resource, at: float) -> str:
    known = {
        "<aws.scheduler.schedule-arn>": row.arn,
        "<aws.scheduler.scheduled-time>": f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "<aws.scheduler.execution-id>": str(uuid.uuid4()),
        "<aws.scheduler.attempt-number>": "1",
    }
    for name, value in known.items():
        text = text.replace(name, value)
    return text


def recurrence_of(body: Body, created: float) -> Recurrence:
    return Recurrence(
        body["ScheduleExpression"],
        created,
        body.get("ScheduleExpressionTimezone", "UTC"),
        body.get("StartDate"),
        body.get("EndDate"),
        at_once=True,
    )


def service(scheduler: Scheduler) -> Service:
    api = _Api(scheduler)
    operations: dict[str, Operation] = {
        "CreateSchedule": api.create,
        "UpdateSchedule": api.update,
        "GetSchedule": lambda request: api.find(request).body,
        "ListSchedules": api.listing,
        "DeleteSchedule": api.delete,
        "CreateScheduleGroup": api.create_group,
        "GetScheduleGroup": lambda request: api.group(request, request.params["Name"]),
        "ListScheduleGroups": api.list_groups,
        "DeleteScheduleGroup": api.delete_group,
        "TagResource": api.tag,
        "UntagResource": api.untag,
        "ListTagsForResource": api.tags,
    }
    return Service("scheduler", operations, complete=True)


def missing(message: str) -> AwsError:
    return AwsError(message, code="ResourceNotFoundException", status=404)


def taken(message: str) -> ConflictException:
    return ConflictException(message, status=409)


class _Api:
    """The operations, over the schedules and groups that the store keeps."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler

    def create(self, request: Request) -> dict[str, Any]:
        scope, now = request.scope, self.scheduler.clock.now()
        body = self._checked(request, now) | {"CreationDate": now, "LastModificationDate": now}
        key = f"{body['GroupName']}/{body['Name']}"
        try:
            row = scope.add(SCHEDULE, key, body["Arn"], body, created=now)
        except DuplicateError as error:
            raise taken(f"Schedule {body['Name']} already exists.") from error
        self.scheduler.plan(scope, row)
        return {"ScheduleArn": row.arn}

    def update(self, request: Request) -> dict[str, Any]:
        scope, now = request.scope, self.scheduler.clock.now()
        old = self.find(request)
        body = self._checked(request, now) | {"CreationDate": old.body["CreationDate"], "LastModificationDate": now}
        row = scope.update(SCHEDULE, old.name, lambda _: body)
        self.scheduler.plan(scope, row)
        return {"ScheduleArn": row.arn}

    def _checked(self, request: Request, now: float) -> Body:
        params = request.params
        group = params.get("GroupName", DEFAULT_GROUP)
        self.group(request, group)
        body = resources.without(params, "ClientToken") | {"GroupName": group}
        body["Arn"] = request.scope.arn(f"schedule/{group}/{params['Name']}", "scheduler")
        body.setdefault("State", "ENABLED")
        body.setdefault("ScheduleExpressionTimezone", "UTC")
        body.setdefault("ActionAfterCompletion", "NONE")
        body["Target"] = {"RetryPolicy": {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}} | body[
            "Target"
        ]
        _check(body, now)
        return body

    def find(self, request: Request) -> Resource:
        group = request.params.get("GroupName", DEFAULT_GROUP)
        row = request.scope.get(SCHEDULE, f"{group}/{request.params['Name']}")
        if row is None:
            raise missing(f"Schedule {request.params['Name']} does not exist.")
        return row

    def listing(self, request: Request) -> dict[str, Any]:
        params = request.params
        rows = [
            row.body | {"Target": {"Arn": row.body["Target"]["Arn"]}}
            for row in request.scope.all(SCHEDULE)
            if params.get("GroupName", row.body["GroupName"]) == row.body["GroupName"]
            and row.body["Name"].startswith(params.get("NamePrefix", ""))
            and params.get("State", row.body["State"]) == row.body["State"]
        ]
        return resources.page(sorted(rows, key=lambda body: (body["GroupName"], body["Name"])), request, size=100)

    def delete(self, request: Request) -> dict[str, Any]:
        row = self.find(request)
        request.scope.remove(SCHEDULE, row.name)
        self.scheduler.agenda.drop(row.arn)
        return {}

    # -- groups -----------------------------------------------------------------------------------------------------

    def create_group(self, request: Request) -> dict[str, Any]:
        name, now = request.params["Name"], self.scheduler.clock.now()
        arn = request.scope.arn(f"schedule-group/{name}", "scheduler")
        body = {"Name": name, "Arn": arn, "State": "ACTIVE", "CreationDate": now, "LastModificationDate": now}
        if name == DEFAULT_GROUP or request.scope.get(GROUP, name):
            raise taken(f"Schedule group {name} already exists.")
        tags = resources.as_map(request.params.get("Tags", []))
        request.scope.add(GROUP, name, arn, body, created=now, tags=tags)
        return {"ScheduleGroupArn": arn}

    def group(self, request: Request, name: str) -> Body:
        if name == DEFAULT_GROUP:
            arn = request.scope.arn(f"schedule-group/{name}", "scheduler")
            return {"Name": name, "Arn": arn, "State": "ACTIVE"}
        row = request.scope.get(GROUP, name)
        if row is None:
            raise missing(f"Schedule group {name} does not exist.")
        return row.body

    def list_groups(self, request: Request) -> dict[str, Any]:
        prefix = request.params.get("NamePrefix", "")
        found = [self.group(request, DEFAULT_GROUP), *(row.body for row in request.scope.all(GROUP))]
        return resources.page([body for body in found if body["Name"].startswith(prefix)], request, size=100)

    def delete_group(self, request: Request) -> dict[str, Any]:
        name = request.params["Name"]
        if name == DEFAULT_GROUP:
            raise ValidationException("The default schedule group cannot be deleted.")
        self.group(request, name)
        for row in request.scope.all(SCHEDULE):
            if row.body["GroupName"] == name:
                request.scope.remove(SCHEDULE, row.name)
                self.scheduler.agenda.drop(row.arn)
        request.scope.remove(GROUP, name)
        return {}

    # -- tags -------------------------------------------------------------------------------------------------------

    def tag(self, request: Request) -> dict[str, Any]:
        request.scope.tag(_tagged(request), resources.as_map(request.params["Tags"]))
        return {}

    def untag(self, request: Request) -> dict[str, Any]:
        request.scope.untag(_tagged(request), request.params["TagKeys"])
        return {}

    def tags(self, request: Request) -> dict[str, Any]:
        return {"Tags": resources.as_tags(request.scope.tags(_tagged(request)))}


def _tagged(request: Request) -> str:
    arn = request.params["ResourceArn"]
    if request.store.by_arn(arn) is None:
        raise missing(f"Resource {arn} does not exist.")
    return arn


def _check(body: Mapping[str, Any], now: float) -> None:
    target = body["Target"]
    try:
        recurrence_of(dict(body), now)
        check_target(target["Arn"])
    except (RecurrenceError, TargetError) as error:
        raise ValidationException(str(error)) from error
    window = body["FlexibleTimeWindow"]
    if window["Mode"] == "FLEXIBLE" and "MaximumWindowInMinutes" not in window:
        raise ValidationException("MaximumWindowInMinutes is required when the flexible time window is FLEXIBLE.")
    if target["Arn"].startswith("arn:aws:scheduler:::aws-sdk:"):
        try:
            json.loads(target.get("Input", "{}"))
        except ValueError as error:
            raise ValidationException(f"Input of {target['Arn']} must be the JSON of its request: {error}.") from error
    if body.get("StartDate") and body.get("EndDate") and body["StartDate"] >= body["EndDate"]:
        raise ValidationException("The StartDate must come before the EndDate.")
