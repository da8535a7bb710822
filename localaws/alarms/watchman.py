"""Keeps every alarm's state true: looks at metrics on the clock, at other alarms when they change, and acts.

A metric alarm is looked at once a minute (every ten seconds when its period is shorter than a minute, once an hour when
it looks back over more than a day), over periods that end now.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localaws.alarms import events, reason
from localaws.alarms.composite import RuleError, parse_rule
from localaws.alarms.judge import Condition, Judgement, Missing, State, judge
from localaws.clock import Clock, Timer
from localaws.events.courier import Courier
from localaws.metrics.expression import ExpressionError
from localaws.metrics.query import MetricStat, Query, answer
from localaws.metrics.series import DAY, HOUR, MINUTE, Metrics, metric_key
from localaws.store import Body, Resource, Scope, Store
from localaws.watch import ALARM, Watch

log = logging.getLogger(__name__)

HISTORY = "alarm-history"
KEPT = 200  # history items of one alarm
TICK = 10
ACTIONS = {State.OK: "OKActions", State.ALARM: "AlarmActions", State.INSUFFICIENT_DATA: "InsufficientDataActions"}

Actor = Callable[[Scope, Body, str], None]


class ActionError(Exception):
    """An alarm's action could not be done; its text goes into the alarm's history."""


@dataclass(frozen=True)
class Seen:
    """What an alarm saw when it was looked at."""

    judgement: Judgement
    points: list[tuple[int, float | None]]


class Watchman:
    """Evaluates alarms, sets their states, writes their history, and runs their actions."""

    def __init__(self, clock: Clock, store: Store, watch: Watch, courier: Courier) -> None:
        self.clock, self.store, self.watch, self.courier = clock, store, watch, courier
        self.actors: dict[str, Actor] = {}  # by how the action's ARN begins
        self._lock = threading.RLock()
        self._quiet: dict[str, float] = {}  # alarms without news: the newest datum when they were looked at last
        self._hasty: set[str] = set()  # alarms looked at more than once a minute
        self._between: Timer | None = None
        self._waiting: dict[str, Timer] = {}

    def start(self) -> None:
        """Know the alarms that a restart found, and look at all of them from now on."""
        for scope in self.store.scopes():
            for row in scope.all(ALARM):
                self.note(row)
        self.clock.every(MINUTE, self.tick, "alarms")

    def note(self, row: Resource) -> None:
        """An alarm was put: look at it afresh, and as often as it asks for."""
        self._quiet.pop(row.arn, None)
        self._hasty.discard(row.arn)
        if "AlarmRule" not in row.body and interval(row.body) < MINUTE:
            self._hasty.add(row.arn)
        self._hurry()

    def _hurry(self) -> None:
        """Look between the minutes too, as long as an alarm asks for it."""
        if self._hasty and self._between is None:
            self._between = self.clock.every(TICK, self._tick_between, "hasty alarms")
        elif not self._hasty and self._between is not None:
            self._between.cancel()
            self._between = None

    def _tick_between(self) -> None:
        if int(self.clock.now()) % MINUTE:
            self.tick()

    # -- looking ----------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look at every metric alarm that is due at this instant."""
        now = int(self.clock.now())
        for scope in self.store.scopes():
            for row in scope.all(ALARM):
                if "AlarmRule" not in row.body and now % interval(row.body) == 0:
                    self.look(scope, row, now)

    def look(self, scope: Scope, row: Resource, now: int) -> None:
        """Look at one metric alarm as of now."""
        if self._nothing_new(scope, row, now):
            self._insist(scope, row.body)
            return
        body = row.body
        try:
            seen = self._see(self.watch.metrics(scope.account, scope.region), body, now)
        except ExpressionError as error:
            self._set(scope, row.name, State.INSUFFICIENT_DATA, f"Unable to evaluate: {error}", None)
            return
        state = seen.judgement.state
        if state is None or state == body["StateValue"]:
            self._insist(scope, body)
            return
        condition = condition_of(body)
        said = reason.reason(seen.judgement, condition, seen.points, body["StateValue"])
        data = reason.reason_data(
            seen.judgement,
            condition,
            seen.points,
            now=self.clock.now(),
            period=period_of(body),
            statistic=body.get("Statistic") or body.get("ExtendedStatistic"),
            unit=body.get("Unit"),
        )
        self._set(scope, row.name, state, said, data)

    def _nothing_new(self, scope: Scope, row: Resource, now: int) -> bool:
        """Whether all its metrics have been silent for longer than it looks back, and it was looked at since."""
        body = row.body
        metrics = self.watch.metrics(scope.account, scope.region)
        keys = [query.metric.key for query in queries_of(body) if query.metric]
        if not keys or any("SEARCH" in query.expression for query in queries_of(body)):
            return False
        newest = max((metrics.newest(key) or 0.0 for key in keys), default=0.0)
        silent = newest < now - period_of(body) * condition_of(body).looked_at
        known = silent and self._quiet.get(row.arn) == newest
        self._quiet.pop(row.arn, None)
        if silent:
            self._quiet[row.arn] = newest
        return known

    def _see(self, metrics: Metrics, body: Body, now: int) -> Seen:
        condition, period = condition_of(body), period_of(body)
        begin = now - period * condition.looked_at
        queries = queries_of(body)
        if _too_few_samples(metrics, body, queries, now - period, now):
            return Seen(Judgement(None), [])
        [lines] = answer(metrics, queries, begin, now, phase=now % period).values()
        if len(lines) != 1:
            raise ExpressionError(f"an alarm needs one time series, and its expression gives {len(lines)}")
        points = [(at, lines[0].points.get(at)) for at in range(begin, now, period)]
        return Seen(judge([value for _, value in points], condition), points)

    # -- states -----------------------------------------------------------------------------------------------------

    def set_state(self, scope: Scope, name: str, state: State, why: str, data: str | None) -> None:
        """What SetAlarmState does: the state holds until the alarm is looked at again."""
        row = scope.get(ALARM, name)
        if row:
            self._quiet.pop(row.arn, None)
        self._set(scope, name, state, why, data)

    def _set(self, scope: Scope, name: str, state: State, why: str, data: str | None) -> None:
        with self._lock:
            row = scope.get(ALARM, name)
            if row is None:
                return
            before, now = row.body, self.clock.now()
            change: dict[str, Any] = {"StateValue": str(state), "StateReason": why, "StateReasonData": data}
            change["StateUpdatedTimestamp"] = now
            if state == before["StateValue"]:
                scope.update(ALARM, name, change)
                return
            change |= {"StateTransitionedTimestamp": now, "_PreviousState": before["StateValue"]}
            after = scope.update(ALARM, name, change).body
            self._remember_change(scope, before, after)
            self.courier.emit(scope.account, scope.region, **events.state_change(before, after))
            if after.get("ActionsSuppressor"):
                self._suppressed_or_act(scope, after)
            else:
                self._act(scope, after)
            self._composites_of(scope, name)

    def check_composite(self, scope: Scope, row: Resource) -> None:
        """Set a composite alarm to what its rule says now."""
        try:
            rule = parse_rule(row.body["AlarmRule"])
        except RuleError:
            log.exception("the rule of %s cannot be read", row.name)
            return

        def state_of(name: str) -> str:
            found = scope.get(ALARM, name)
            return found.body["StateValue"] if found else State.INSUFFICIENT_DATA

        holds = rule.holds(state_of)
        known = any(state_of(name) != State.INSUFFICIENT_DATA for name in rule.names) or not rule.names
        state = State.ALARM if holds else State.OK if known else State.INSUFFICIENT_DATA
        if state == row.body["StateValue"]:
            return
        states = ", ".join(f"{name} is {state_of(name)}" for name in sorted(rule.names))
        causes = [{"arn": self._arn(scope, name), "state": {"value": state_of(name)}} for name in sorted(rule.names)]
        now = reason.instant(self.clock.now())
        why = f"AlarmRule '{row.body['AlarmRule']}' evaluates to {str(holds).upper()} at {now}: {states}"
        self._set(scope, row.name, state, why[:1023], json.dumps({"triggeringAlarms": causes}))

    def _arn(self, scope: Scope, name: str) -> str:
        return scope.arn(f"alarm:{name}", "cloudwatch")

    def _composites_of(self, scope: Scope, name: str) -> None:
        for row in scope.all(ALARM):
            rule = row.body.get("AlarmRule")
            if rule and name in parse_rule(rule).names:
                self.check_composite(scope, row)
            if row.body.get("ActionsSuppressor") in {name, self._arn(scope, name)}:
                self._suppressor_changed(scope, row.body)

    # -- actions ----------------------------------------------------------------------------------------------------

    def _act(self, scope: Scope, body: Body, only: str = "") -> None:
        if not body.get("ActionsEnabled", True):
            return
        for action in body.get(ACTIONS[State(body["StateValue"])], []):
            if only in action:
                name = f"the action {action} of the alarm {body['AlarmName']}"
                self.courier.carry(lambda action=action: self._run(scope, body, action), name)

    def _insist(self, scope: Scope, body: Body) -> None:
        """Scaling is asked for again every minute while its alarm lasts; other actions happen on a change only."""
        if body["StateValue"] == State.ALARM and int(self.clock.now()) % MINUTE == 0:
            self._act(scope, body, only=":scalingPolicy:")

    def _run(self, scope: Scope, body: Body, action: str) -> None:
        actor = next((actor for prefix, actor in self.actors.items() if action.startswith(prefix)), _no_actor)
        try:
            actor(scope, body, action)
        except Exception as error:  # noqa: BLE001  whatever an action does, the alarm goes on and says so
            data = {"actionState": "Failed", "error": str(error)}
            self.remember(scope, body, "Action", f"Failed to execute action {action}", data)
            return
        self.remember(scope, body, "Action", f"Successfully executed action {action}", {"actionState": "Succeeded"})

    def _suppressed_or_act(self, scope: Scope, body: Body) -> None:
        """A composite with a suppressor waits for it, and acts when it stays out of ALARM."""
        if self._suppressing(scope, body):
            self._mark(scope, body, "Alarm")
            return
        self._mark(scope, body, "WaitPeriod")
        self._after(scope, body, body.get("ActionsSuppressorWaitPeriod", 0))

    def _suppressor_changed(self, scope: Scope, body: Body) -> None:
        if body.get("ActionsSuppressedBy") == "Alarm" and not self._suppressing(scope, body):
            self._mark(scope, body, "ExtensionPeriod")
            self._after(scope, body, body.get("ActionsSuppressorExtensionPeriod", 0))

    def _after(self, scope: Scope, body: Body, seconds: float) -> None:
        def act_or_stay() -> None:
            row = scope.get(ALARM, body["AlarmName"])
            if row is None or row.body["StateTransitionedTimestamp"] != body["StateTransitionedTimestamp"]:
                return
            if self._suppressing(scope, row.body):
                self._mark(scope, row.body, "Alarm")
            else:
                self._mark(scope, row.body, None)
                self._act(scope, row.body)

        waiting = self._waiting.pop(body["AlarmArn"], None)
        if waiting:
            waiting.cancel()
        self._waiting[body["AlarmArn"]] = self.clock.call_later(
            seconds, act_or_stay, f"suppressor of {body['AlarmName']}"
        )

    def _suppressing(self, scope: Scope, body: Body) -> bool:
        name = body["ActionsSuppressor"].rpartition(":alarm:")[2]
        return self.watch.alarm_state(scope.account, scope.region, name) == State.ALARM

    def _mark(self, scope: Scope, body: Body, by: str | None) -> None:
        why = f"Actions suppressed by {body['ActionsSuppressor']}" if by else None
        scope.update(ALARM, body["AlarmName"], {"ActionsSuppressedBy": by, "ActionsSuppressedReason": why})

    # -- history ----------------------------------------------------------------------------------------------------

    def _remember_change(self, scope: Scope, before: Body, after: Body) -> None:
        data = {
            "version": "1.0",
            "oldState": events.state_data(before),
            "newState": events.state_data(after),
        }
        said = f"Alarm updated from {before['StateValue']} to {after['StateValue']}"
        self.remember(scope, after, "StateUpdate", said, data)

    def remember(self, scope: Scope, body: Body, kind: str, said: str, data: Mapping[str, Any]) -> None:
        """Add one item to an alarm's history."""
        name = body["AlarmName"]
        item = {
            "AlarmName": name,
            "AlarmType": "CompositeAlarm" if "AlarmRule" in body else "MetricAlarm",
            "Timestamp": self.clock.now(),
            "HistoryItemType": kind,
            "HistorySummary": said[:255],
            "HistoryData": json.dumps(data)[:4095],
        }
        with self._lock:
            if scope.get(HISTORY, name) is None:
                arn = f"{body['AlarmArn']}:history"
                scope.add(HISTORY, name, arn, {"Items": []}, created=self.clock.now())
            scope.update(HISTORY, name, lambda old: {"Items": [*old["Items"], item][-KEPT:]})

    def forget(self, body: Body) -> None:
        """An alarm was deleted."""
        self._quiet.pop(body["AlarmArn"], None)
        self._hasty.discard(body["AlarmArn"])
        self._hurry()
        waiting = self._waiting.pop(body["AlarmArn"], None)
        if waiting:
            waiting.cancel()


def _no_actor(_scope: Scope, _body: Body, action: str) -> None:
    raise ActionError(f"the embedded AWS runs no actions of this kind: {action}")


# --- an alarm's body, read ------------------------------------------------------------------------------------------


def condition_of(body: Body) -> Condition:
    return Condition(
        body["ComparisonOperator"],
        float(body["Threshold"]),
        body["EvaluationPeriods"],
        body.get("DatapointsToAlarm") or body["EvaluationPeriods"],
        Missing(body.get("TreatMissingData") or "missing"),
    )


def queries_of(body: Body) -> list[Query]:
    """The metric or the expressions of an alarm, one of them returned."""
    if "Metrics" in body:
        return [query_of(found) for found in body["Metrics"]]
    stat = body.get("Statistic") or body.get("ExtendedStatistic") or "Average"
    key = metric_key(body["Namespace"], body["MetricName"], dimensions_of(body))
    return [Query("m", MetricStat(key, body["Period"], stat, body.get("Unit")))]


def query_of(found: Mapping[str, Any]) -> Query:
    """A MetricDataQuery of the API."""
    metric = None
    if stat := found.get("MetricStat"):
        key = metric_key(
            stat["Metric"].get("Namespace", ""), stat["Metric"].get("MetricName", ""), dimensions_of(stat["Metric"])
        )
        metric = MetricStat(key, stat["Period"], stat["Stat"], stat.get("Unit"))
    return Query(
        found["Id"],
        metric,
        found.get("Expression", ""),
        found.get("Label", ""),
        found.get("Period", 0),
        found.get("ReturnData", True),
    )


def dimensions_of(found: Mapping[str, Any]) -> dict[str, str]:
    return {dimension["Name"]: dimension["Value"] for dimension in found.get("Dimensions", [])}


def period_of(body: Body) -> int:
    """The period of the alarm's metric, or the coarsest one of its expression."""
    if "Metrics" not in body:
        return body["Period"]
    periods = [found.get("Period") or found.get("MetricStat", {}).get("Period", 0) for found in body["Metrics"]]
    return max(periods) or MINUTE


def interval(body: Body) -> int:
    """How often an alarm is looked at."""
    if body.get("EvaluationInterval"):
        return max(TICK, body["EvaluationInterval"] // TICK * TICK)
    period = period_of(body)
    if period < MINUTE:
        return TICK
    return HOUR if period * body["EvaluationPeriods"] > DAY else MINUTE


def _too_few_samples(metrics: Metrics, body: Body, queries: list[Query], begin: int, end: int) -> bool:
    """Whether a percentile alarm that is told to ignore thin periods has one before it."""
    stat = body.get("ExtendedStatistic", "")
    if body.get("EvaluateLowSampleCountPercentile") != "ignore" or not stat.startswith("p"):
        return False
    share = float(stat[1:]) / 100
    needed = 10 / (1 - share) if share >= 0.5 else 10 / max(share, 1e-9)
    [query] = queries
    found = metrics.periods(query.metric.key, end - begin, begin, end, phase=begin) if query.metric else []
    return bool(found) and found[-1][1].count < needed
