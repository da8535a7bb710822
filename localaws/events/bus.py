"""EventBridge's API: buses, rules and targets, events put by callers, and the delivery of all events by rule."""

import functools
import json
import logging
from collections.abc import Mapping
from typing import Any

from localaws import resources
from localaws.clock import Clock
from localaws.errors import AwsError, ValidationException
from localaws.events.agenda import Agenda
from localaws.events.courier import DEFAULT_BUS, Courier, Event, Posted, envelope
from localaws.events.pattern import PatternError, matcher
from localaws.events.recurrence import Recurrence, RecurrenceError
from localaws.events.targets import Delivery, TargetError, Targets, check_target
from localaws.events.transform import TransformError, target_input, value_at
from localaws.events.transform import check as check_input
from localaws.gateway import Operation, Request, Service
from localaws.metrics.series import metric_key
from localaws.store import Body, DuplicateError, Resource, Scope, Store
from localaws.watch import Watch

log = logging.getLogger(__name__)

RULE, BUS = "event-rule", "event-bus"
TARGETS = "_Targets"
MOST_ENTRIES = 10
LARGEST = 1024 * 1024
NAMESPACE = "AWS/Events"


def missing(message: str) -> AwsError:
    return AwsError(message, code="ResourceNotFoundException")


class Bridge:
    """Rules of every account and region, and what they do with events and with time."""

    def __init__(self, clock: Clock, store: Store, courier: Courier, targets: Targets, watch: Watch) -> None:
        self.clock, self.store, self.courier, self.targets, self.watch = clock, store, courier, targets, watch
        self.agenda = Agenda(clock)
        courier.receivers.append(self.receive)

    def start(self) -> None:
        """Plan the scheduled rules that a restart found."""
        for scope in self.store.scopes():
            for row in scope.all(RULE):
                self.plan(scope, row)

    def receive(self, posted: Posted) -> None:
        """Hand an event to every enabled rule of its bus that wants it."""
        scope = self.store.scope(posted.account, posted.region)
        for row in scope.all(RULE):
            rule = row.body
            if rule["EventBusName"] != posted.bus or rule["State"] == "DISABLED" or "EventPattern" not in rule:
                continue
            if matcher(rule["EventPattern"])(posted.event):
                self._count(scope, rule, "MatchedEvents")
                self.fire(scope, rule, posted.event)

    def fire(self, scope: Scope, rule: Body, event: Event) -> None:
        """Deliver an event to the targets of a rule; one that fails is logged and counted."""
        self._count(scope, rule, "TriggeredRules")
        for target in rule.get(TARGETS, {}).values():
            self._count(scope, rule, "Invocations")
            try:
                text = target_input(target, event, rule)
                pick = functools.partial(value_at, event=event)
                self.targets.deliver(Delivery(scope.account, scope.region, target, text, pick))
            except Exception as error:  # noqa: BLE001  one target's failure is nobody else's
                log.warning("rule %s could not deliver to %s: %s", rule["Name"], target["Arn"], error)
                self._count(scope, rule, "FailedInvocations")

    def _count(self, scope: Scope, rule: Body, metric: str) -> None:
        key = metric_key(NAMESPACE, metric, {"RuleName": rule["Name"]})
        self.watch.metrics(scope.account, scope.region).put(key, [(1.0, 1.0)], unit="Count")

    def plan(self, scope: Scope, row: Resource) -> None:
        """Set the timer of a rule that has a schedule."""
        rule = row.body
        self.agenda.drop(row.arn)
        if "ScheduleExpression" not in rule or rule["State"] == "DISABLED":
            return
        recurrence = Recurrence(rule["ScheduleExpression"], row.created)

        def happen(at: float) -> None:
            now = scope.get(RULE, row.name)
            if now:
                event = envelope(
                    scope.account,
                    scope.region,
                    source="aws.events",
                    detail_type="Scheduled Event",
                    detail={},
                    resources=[row.arn],
                    at=at,
                )
                self.courier.carry(lambda: self.fire(scope, now.body, event), f"the schedule of the rule {row.name}")

        self.agenda.plan(row.arn, recurrence, happen)


def service(bridge: Bridge) -> Service:
    api = _Api(bridge)
    operations: dict[str, Operation] = {
        "PutRule": api.put_rule,
        "DescribeRule": lambda request: api.rule(request, request.params["Name"]).body,
        "ListRules": api.list_rules,
        "DeleteRule": api.delete_rule,
        "EnableRule": lambda request: api.set_state(request, "ENABLED"),
        "DisableRule": lambda request: api.set_state(request, "DISABLED"),
        "PutTargets": api.put_targets,
        "RemoveTargets": api.remove_targets,
        "ListTargetsByRule": api.list_targets,
        "ListRuleNamesByTarget": api.list_by_target,
        "PutEvents": api.put_events,
        "TestEventPattern": api.test_pattern,
        "CreateEventBus": api.create_bus,
        "UpdateEventBus": api.update_bus,
        "DescribeEventBus": lambda request: api.bus(request, request.params.get("Name", DEFAULT_BUS)),
        "ListEventBuses": api.list_buses,
        "DeleteEventBus": api.delete_bus,
        "TagResource": api.tag,
        "UntagResource": api.untag,
        "ListTagsForResource": api.tags,
    }
    return Service("events", operations, complete=True)


class _Api:
    """The operations, over the rules and buses that the store keeps."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    # -- rules ------------------------------------------------------------------------------------------------------

    def put_rule(self, request: Request) -> dict[str, Any]:
        params, scope, now = request.params, request.scope, self.bridge.clock.now()
        bus = self._bus_name(request)
        _check_rule(params, bus, now)
        name, key = params["Name"], f"{bus}/{params['Name']}"
        arn = scope.arn(f"rule/{name}" if bus == DEFAULT_BUS else f"rule/{key}", "events")
        body = resources.without(params, "Tags") | {"Arn": arn, "EventBusName": bus, "CreatedBy": request.account}
        body.setdefault("State", "ENABLED")
        try:
            row = scope.add(RULE, key, arn, body, created=now, tags=resources.as_map(params.get("Tags", [])))
        except DuplicateError:
            row = scope.update(RULE, key, lambda old: {**body, TARGETS: old.get(TARGETS, {})})
        self.bridge.plan(scope, row)
        return {"RuleArn": arn}

    def rule(self, request: Request, name: str) -> Resource:
        bus = self._bus_name(request)
        row = request.scope.get(RULE, f"{bus}/{name}")
        if row is None:
            raise missing(f"Rule {name} does not exist on EventBus {bus}.")
        return row

    def list_rules(self, request: Request) -> dict[str, Any]:
        bus, prefix = self._bus_name(request), request.params.get("NamePrefix", "")
        found = [row.body for row in request.scope.all(RULE) if row.body["EventBusName"] == bus]
        shown = sorted((body for body in found if body["Name"].startswith(prefix)), key=lambda body: body["Name"])
        return resources.page(shown, request, size=request.params.get("Limit", 100))

    def delete_rule(self, request: Request) -> dict[str, Any]:
        try:
            row = self.rule(request, request.params["Name"])
        except AwsError:
            return {}  # deleting what is not there succeeds
        if row.body.get(TARGETS):
            raise ValidationException("Rule can't be deleted since it has targets.")
        request.scope.remove(RULE, row.name)
        self.bridge.agenda.drop(row.arn)
        return {}

    def set_state(self, request: Request, state: str) -> dict[str, Any]:
        row = self.rule(request, request.params["Name"])
        self.bridge.plan(request.scope, request.scope.update(RULE, row.name, {"State": state}))
        return {}

    # -- targets ----------------------------------------------------------------------------------------------------

    def put_targets(self, request: Request) -> dict[str, Any]:
        row = self.rule(request, request.params["Rule"])
        for target in request.params["Targets"]:
            _check_target(target)
        new = {target["Id"]: target for target in request.params["Targets"]}
        targets = {**row.body.get(TARGETS, {}), **new}
        if len(targets) > 5:
            raise AwsError(
                f"The requested resource exceeds the maximum number allowed: a rule has at most 5 targets, this one "
                f"would have {len(targets)}.",
                code="LimitExceededException",
            )
        request.scope.update(RULE, row.name, {TARGETS: targets})
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def remove_targets(self, request: Request) -> dict[str, Any]:
        row = self.rule(request, request.params["Rule"])
        kept = {name: t for name, t in row.body.get(TARGETS, {}).items() if name not in request.params["Ids"]}
        request.scope.update(RULE, row.name, {TARGETS: kept})
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def list_targets(self, request: Request) -> dict[str, Any]:
        row = self.rule(request, request.params["Rule"])
        return resources.page(list(row.body.get(TARGETS, {}).values()), request, size=request.params.get("Limit", 100))

    def list_by_target(self, request: Request) -> dict[str, Any]:
        bus, arn = self._bus_name(request), request.params["TargetArn"]
        names = [
            row.body["Name"]
            for row in request.scope.all(RULE)
            if row.body["EventBusName"] == bus and any(t["Arn"] == arn for t in row.body.get(TARGETS, {}).values())
        ]
        return {"RuleNames": sorted(names)}

    # -- events -----------------------------------------------------------------------------------------------------

    def put_events(self, request: Request) -> dict[str, Any]:
        entries = request.params["Entries"]
        if not 1 <= len(entries) <= MOST_ENTRIES:
            raise ValidationException(
                f"1 validation error detected: Value at 'entries' failed to satisfy constraint: it must have 1 to "
                f"{MOST_ENTRIES} entries, and it has {len(entries)}."
            )
        results = [self._put_event(request, entry) for entry in entries]
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    def _put_event(self, request: Request, entry: Mapping[str, Any]) -> dict[str, str]:
        try:
            detail = _checked_detail(entry)
        except AwsError as error:
            return {"ErrorCode": error.code, "ErrorMessage": error.message}
        arn_or_name = entry.get("EventBusName", DEFAULT_BUS)
        account, region, bus = request.account, request.region, arn_or_name
        if arn_or_name.startswith("arn:"):
            _, _, _, region, account, path = arn_or_name.split(":", 5)
            bus = path.removeprefix("event-bus/")
        event = envelope(
            account,
            region,
            source=entry["Source"],
            detail_type=entry["DetailType"],
            detail=detail,
            resources=entry.get("Resources", []),
            at=float(entry.get("Time") or self.bridge.clock.now()),
        )
        if bus == DEFAULT_BUS or request.store.scope(account, region).get(BUS, bus):
            self.bridge.courier.post(Posted(account, region, event, bus))
        return {"EventId": event["id"]}

    def test_pattern(self, request: Request) -> dict[str, Any]:
        event = _json_object(request.params["Event"], "Event")
        lacking = [
            name
            for name in ("id", "account", "source", "time", "region", "resources", "detail-type")
            if name not in event
        ]
        if lacking:
            raise ValidationException(f"Parameter Event is not valid. Reason: it lacks {', '.join(lacking)}.")
        return {"Result": _matcher(request.params["EventPattern"])(event)}

    # -- buses ------------------------------------------------------------------------------------------------------

    def create_bus(self, request: Request) -> dict[str, Any]:
        params, scope, now = request.params, request.scope, self.bridge.clock.now()
        name = params["Name"]
        arn = scope.arn(f"event-bus/{name}", "events")
        body = resources.without(params, "Tags") | {"Arn": arn, "CreationTime": now, "LastModifiedTime": now}
        if name == DEFAULT_BUS or scope.get(BUS, name):
            raise AwsError(f"Event bus {name} already exists.", code="ResourceAlreadyExistsException")
        scope.add(BUS, name, arn, body, created=now, tags=resources.as_map(params.get("Tags", [])))
        return {"EventBusArn": arn, **body}

    def update_bus(self, request: Request) -> dict[str, Any]:
        name = request.params.get("Name", DEFAULT_BUS)
        self.bus(request, name)
        if name != DEFAULT_BUS:
            request.scope.update(BUS, name, request.params)
        return self.bus(request, name)

    def bus(self, request: Request, name_or_arn: str) -> Body:
        name = name_or_arn.rpartition("event-bus/")[2]
        if name == DEFAULT_BUS:
            return {"Name": name, "Arn": request.scope.arn("event-bus/default", "events")}
        row = request.scope.get(BUS, name)
        if row is None:
            raise missing(f"Event bus {name} does not exist.")
        return row.body

    def list_buses(self, request: Request) -> dict[str, Any]:
        prefix = request.params.get("NamePrefix", "")
        found = [self.bus(request, DEFAULT_BUS), *(row.body for row in request.scope.all(BUS))]
        return {"EventBuses": [body for body in found if body["Name"].startswith(prefix)]}

    def delete_bus(self, request: Request) -> dict[str, Any]:
        name = request.params["Name"]
        if name == DEFAULT_BUS:
            raise ValidationException("Cannot delete event bus default.")
        if any(row.body["EventBusName"] == name for row in request.scope.all(RULE)):
            raise ValidationException(f"Cannot delete event bus {name}: it still has rules.")
        if request.scope.get(BUS, name):
            request.scope.remove(BUS, name)
        return {}

    def _bus_name(self, request: Request) -> str:
        given = request.params.get("EventBusName", DEFAULT_BUS).rpartition("event-bus/")[2]
        self.bus(request, given)
        return given

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
    arn = request.params["ResourceARN"]
    if request.store.by_arn(arn) is None and not arn.endswith("event-bus/default"):
        raise missing(f"Resource {arn} does not exist.")
    return arn


def _check_rule(params: Mapping[str, Any], bus: str, now: float) -> None:
    if "EventPattern" not in params and "ScheduleExpression" not in params:
        raise ValidationException("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    if "EventPattern" in params:
        _matcher(params["EventPattern"])
    if "ScheduleExpression" in params:
        if bus != DEFAULT_BUS:
            raise ValidationException("ScheduleExpression is supported only on the default event bus.")
        if params["ScheduleExpression"].startswith("at("):
            raise ValidationException("Parameter ScheduleExpression is not valid: rules have no at(), schedules do.")
        try:
            Recurrence(params["ScheduleExpression"], now)
        except RecurrenceError as error:
            raise ValidationException(f"Parameter ScheduleExpression is not valid. {error}") from error


def _matcher(text: str) -> Any:
    try:
        return matcher(text)
    except PatternError as error:
        raise AwsError(str(error), code="InvalidEventPatternException") from error


def _check_target(target: Mapping[str, Any]) -> None:
    try:
        check_target(target["Arn"])
        check_input(target)
    except (TargetError, TransformError) as error:
        raise ValidationException(
            f"Parameter {target['Arn']} is not valid for target {target['Id']}. {error}"
        ) from error
    if target["Arn"].endswith(".fifo") and "MessageGroupId" not in target.get("SqsParameters", {}):
        raise ValidationException(f"Parameter(s) MessageGroupId must be specified for target: {target['Id']}.")


def _checked_detail(entry: Mapping[str, Any]) -> dict[str, Any]:
    for member in ("Source", "DetailType", "Detail"):
        if not entry.get(member):
            raise AwsError(
                f"Parameter {member} is not valid. Reason: {member} is a required argument.", code="InvalidArgument"
            )
    if entry["Source"].startswith("aws."):
        raise AwsError("Not authorized for the source.", code="NotAuthorizedForSourceException")
    if len(entry["Detail"].encode()) > LARGEST:
        raise AwsError(f"Total size of the entry is more than {LARGEST} bytes.", code="InvalidArgument")
    try:
        return _json_object(entry["Detail"], "Detail")
    except ValidationException as error:
        raise AwsError("Detail is malformed.", code="MalformedDetail") from error


def _json_object(text: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValidationException(f"Parameter {name} is not valid. Reason: it is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise ValidationException(f"Parameter {name} is not valid. Reason: it is not a JSON object.")
    return found
