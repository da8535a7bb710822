"""Acts on alarms and schedules: decides a capacity, sets it, and writes an activity."""

import logging
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from localaws.alarms.watchman import ActionError, queries_of
from localaws.autoscaling.capacity import CapacityError, dimension
from localaws.autoscaling.decide import Bounds, Step, StepPolicy, track
from localaws.aws import Clients
from localaws.clock import Clock
from localaws.events.agenda import Agenda
from localaws.events.courier import Courier
from localaws.events.recurrence import Recurrence
from localaws.metrics.query import answer
from localaws.store import Body, Resource, Scope, Store
from localaws.watch import Watch

log = logging.getLogger(__name__)

TARGET, POLICY, ACTION, ACTIVITIES = "scalable-target", "scaling-policy", "scaling-action", "scaling-activities"
COOLDOWN = 300
KEPT = 200


class Scaler:
    """Changes capacity when an alarm or a schedule says so."""

    def __init__(self, clock: Clock, store: Store, clients: Clients, courier: Courier, watch: Watch) -> None:
        self.clock, self.store, self.clients, self.courier, self.watch = clock, store, clients, courier, watch
        self.agenda = Agenda(clock)
        self._lock = threading.RLock()
        self._scaled: dict[str, dict[str, float]] = {}  # by target: when it went out and in last

    def start(self) -> None:
        """Plan the scheduled actions that a restart found."""
        for scope in self.store.scopes():
            for row in scope.all(ACTION):
                self.plan(scope, row)

    # -- alarms -----------------------------------------------------------------------------------------------------

    def act(self, scope: Scope, alarm: Body, action: str) -> None:
        """What an alarm's action with the ARN of a policy does."""
        policy = self.store.by_arn(action)
        if policy is None or policy.kind != POLICY:
            raise ActionError(f"there is no scaling policy {action}")
        target = scope.get(TARGET, key_of(policy.body))
        if target is None:
            raise ActionError(f"{policy.body['ResourceId']} is no longer a scalable target")
        measured = self._measured(scope, alarm)
        if measured is not None:
            self._scale(scope, target, policy, alarm, measured)

    def _measured(self, scope: Scope, alarm: Body) -> float | None:
        """The newest data point of the alarm's metric."""
        queries = queries_of(alarm)
        now = int(self.clock.now())
        period = max((query.metric.period for query in queries if query.metric), default=60)
        begin = now - period * (alarm["EvaluationPeriods"] + 2)
        [lines] = answer(
            self.watch.metrics(scope.account, scope.region), queries, begin, now, phase=now % period
        ).values()
        points = lines[0].points if lines else {}
        return points[max(points)] if points else None

    def _scale(self, scope: Scope, target: Resource, policy: Resource, alarm: Body, measured: float) -> None:
        body = target.body
        bounds = Bounds(body["MinCapacity"], body["MaxCapacity"])
        current = self._dimension(scope, body).current()
        wanted = wanted_capacity(policy.body, alarm, measured, current, bounds)
        cause = (
            f"monitor alarm {alarm['AlarmName']} in state {alarm['StateValue']} triggered policy "
            f"{policy.body['PolicyName']}"
        )
        if wanted != current and not self._held(target, policy.body, wanted > current):
            self._set(scope, body, wanted, cause)

    def _held(self, target: Resource, policy: Body, out: bool) -> bool:
        """Whether the target's suspension or the policy's cooldown forbids this direction now."""
        suspended = target.body.get("SuspendedState", {})
        if suspended.get("DynamicScalingOutSuspended" if out else "DynamicScalingInSuspended"):
            return True
        last = self._scaled.get(target.arn, {})
        cooldown = cooldown_of(policy, out)
        since = last.get("out", 0.0) if out else max(last.values(), default=0.0)
        return self.clock.now() - since < cooldown

    def _set(self, scope: Scope, target: Body, capacity: int, cause: str) -> None:
        noun = "instance count" if target["ScalableDimension"].endswith("DesiredInstanceCount") else "capacity"
        now = self.clock.now()
        activity: dict[str, Any] = {
            "ActivityId": str(uuid.uuid4()),
            **{name: target[name] for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")},
            "Description": f"Setting desired {noun} to {capacity}.",
            "Cause": cause,
            "StartTime": now,
        }
        try:
            wanted = self._dimension(scope, target)
            before = wanted.current()
            wanted.set(capacity)
        except Exception as error:  # noqa: BLE001  what the service answers is the activity's outcome
            said = f"Failed to set desired {noun} to {capacity}. Reason: {error}"
            self._remember(scope, target, {**activity, "StatusCode": "Failed", "StatusMessage": said, "EndTime": now})
            return
        with self._lock:
            way = "out" if capacity > before else "in"
            self._scaled.setdefault(target["ScalableTargetARN"], {})[way] = now
        said = f"Successfully set desired {noun} to {capacity}. Change successfully fulfilled by sagemaker."
        self._remember(scope, target, {**activity, "StatusCode": "Successful", "StatusMessage": said, "EndTime": now})

    def _dimension(self, scope: Scope, target: Body) -> Any:
        return dimension(
            self.clients,
            scope.account,
            scope.region,
            resource=target["ResourceId"],
            scalable=target["ScalableDimension"],
        )

    def _remember(self, scope: Scope, target: Body, activity: Body) -> None:
        with self._lock:
            key = key_of(target)
            if scope.get(ACTIVITIES, key) is None:
                arn = f"{target['ScalableTargetARN']}/activities"
                scope.add(ACTIVITIES, key, arn, {"Items": []}, created=self.clock.now())
            scope.update(ACTIVITIES, key, lambda old: {"Items": [*old["Items"], activity][-KEPT:]})

    # -- bounds and schedules ---------------------------------------------------------------------------------------

    def keep_within_bounds(self, scope: Scope, target: Body, cause: str) -> None:
        """Bring a target that lies outside its bounds to the nearer one, after whatever goes on now."""

        def bring() -> None:
            try:
                current = self._dimension(scope, target).current()
            except CapacityError as error:
                log.info("%s", error)
                return
            wanted = Bounds(target["MinCapacity"], target["MaxCapacity"]).hold(current)
            if wanted != current:
                self._set(scope, target, wanted, cause)

        self.courier.carry(bring, f"the bounds of {target['ResourceId']}")

    def plan(self, scope: Scope, row: Resource) -> None:
        """Set the timer of a scheduled action."""
        body = row.body
        recurrence = Recurrence(
            body["Schedule"], row.created, body.get("Timezone", "UTC"), body.get("StartTime"), body.get("EndTime")
        )
        self.agenda.plan(row.arn, recurrence, lambda _at: self._happen(scope, row))

    def _happen(self, scope: Scope, row: Resource) -> None:
        key = key_of(row.body)
        target = scope.get(TARGET, key)
        if target is None or target.body.get("SuspendedState", {}).get("ScheduledScalingSuspended"):
            return
        change = row.body.get("ScalableTargetAction", {})
        after = scope.update(TARGET, key, {name: value for name, value in change.items() if value is not None}).body
        words = " and ".join(
            f"{name.removesuffix('Capacity').lower()} capacity to {value}" for name, value in change.items()
        )
        cause = f"scheduled action name {row.body['ScheduledActionName']} was triggered"
        now = self.clock.now()
        activity = {
            "ActivityId": str(uuid.uuid4()),
            **{name: after[name] for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")},
            "Description": f"Setting {words}",
            "Cause": cause,
            "StartTime": now,
            "EndTime": now,
            "StatusCode": "Successful",
            "StatusMessage": f"Successfully set {words}",
        }
        self._remember(scope, after, activity)
        self.keep_within_bounds(scope, after, cause)


def key_of(body: Mapping[str, Any]) -> str:
    """What makes a scalable target one."""
    return f"{body['ServiceNamespace']}|{body['ResourceId']}|{body['ScalableDimension']}"


def wanted_capacity(policy: Body, alarm: Body, measured: float, current: int, bounds: Bounds) -> int:
    """What a policy wants, given the newest measurement of the alarm that asked."""
    if policy["PolicyType"] == "TargetTrackingScaling":
        tracking = policy["TargetTrackingScalingPolicyConfiguration"]
        wanted = track(max(current, 1), measured, tracking["TargetValue"], bounds)
        high = alarm["ComparisonOperator"].startswith("Greater")
        return max(wanted, current) if high else min(wanted, current)
    found = policy["StepScalingPolicyConfiguration"]
    steps = [
        Step(step.get("MetricIntervalLowerBound"), step.get("MetricIntervalUpperBound"), step["ScalingAdjustment"])
        for step in found["StepAdjustments"]
    ]
    chosen = StepPolicy(found.get("AdjustmentType", "ChangeInCapacity"), steps, found.get("MinAdjustmentMagnitude", 0))
    return chosen.capacity(current, measured - alarm["Threshold"], bounds)


def cooldown_of(policy: Body, out: bool) -> float:
    """How long after a change a policy waits, in this direction."""
    if policy["PolicyType"] == "TargetTrackingScaling":
        tracking = policy["TargetTrackingScalingPolicyConfiguration"]
        return tracking.get("ScaleOutCooldown" if out else "ScaleInCooldown", COOLDOWN)
    return policy["StepScalingPolicyConfiguration"].get("Cooldown", COOLDOWN)
