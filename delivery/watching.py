"""Watching a rollout: what each fleet answers, how its guards stand, what time is left; and prompting the monitor.

All of it is read from the live API, so anybody may watch, from anywhere, any time. While a rollout bakes, whoever
watches also starts the monitor's job now and then: the guards on the canary's predictions and outcomes are fed by it,
and its hourly schedule may be too slow. Two who watch start one job, because the starts are named by their turn.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from contract import signals
from contract.release import CHAMPION, Release, Rollout
from delivery.environment import Environment, NotUpError
from infra.serving import guard_names

LOOK_SECONDS = {"aws": 10.0, "embedded": 1.0}
RECENT = timedelta(minutes=5)
TURNS_PER_BAKE = 2
LEAST_TURN = 60.0  # seconds between two jobs of the monitor


@dataclass(frozen=True, slots=True)
class Fleet:
    """One configuration behind the endpoint: its stage, its instances, and what it answered lately."""

    config: str
    stage: str
    instances: int
    answered: int
    share: float


@dataclass(frozen=True, slots=True)
class Guard:
    """One alarm of the rollout."""

    name: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class View:
    """One look at a rollout, or at the endpoint when none is under way."""

    status: str
    fleets: tuple[Fleet, ...]
    guards: tuple[Guard, ...]
    seconds_left: float | None
    reason: str

    @property
    def under_way(self) -> bool:
        return len(self.fleets) > 1


def bakes(rollout: Rollout) -> int:
    """How often the alarms are watched for a bake's length."""
    match rollout.strategy:
        case "all-at-once":
            return 0
        case "blue-green":
            return 1
        case "canary":
            return 2
        case "linear":
            return -(-100 // rollout.percent)


def seconds(rollout: Rollout) -> float:
    """How long a rollout takes once its fleet is there."""
    return bakes(rollout) * rollout.bake_seconds + rollout.termination_wait_seconds


def turn(rollout: Rollout, elapsed: float) -> int:
    """How many times the monitor should have been started by now: never in a rollout that does not bake that long."""
    if elapsed >= seconds(rollout) + LEAST_TURN:
        elapsed = seconds(rollout)
    return int(elapsed // max(LEAST_TURN, rollout.bake_seconds / TURNS_PER_BAKE))


def view(
    seen: Mapping[str, Any],
    alarms: Sequence[Mapping[str, Any]],
    answered: Mapping[str, int],
    rollout: Rollout,
    now: datetime,
) -> View:
    """What DescribeEndpoint, DescribeAlarms and the counts per configuration say together; pure."""
    pending = seen.get("PendingDeploymentSummary")
    sides = [seen, pending] if pending else [seen]
    total = sum(answered.get(each["EndpointConfigName"], 0) for each in sides)
    left = None
    if pending:
        left = max(0.0, seconds(rollout) - (now - pending["StartTime"]).total_seconds())
    return View(
        status=seen["EndpointStatus"],
        fleets=tuple(fleet(each, answered, total) for each in sides),
        guards=tuple(Guard(each["AlarmName"], each["StateValue"], each.get("StateReason", "")) for each in alarms),
        seconds_left=left,
        reason=seen.get("FailureReason", ""),
    )


def fleet(side: Mapping[str, Any], answered: Mapping[str, int], total: int) -> Fleet:
    variants = side.get("ProductionVariants", ())
    stages = [each["Status"] for variant in variants for each in variant.get("VariantStatus", ())]
    config, count = side["EndpointConfigName"], answered.get(side["EndpointConfigName"], 0)
    instances = sum(each.get("CurrentInstanceCount", 0) for each in variants)
    return Fleet(config, stages[0] if stages else "", instances, count, count / total if total else 0.0)


@dataclass(frozen=True, slots=True)
class Watch:
    """The live view of one model's endpoint."""

    environment: Environment
    model: str

    @property
    def endpoint(self) -> str:
        return self.environment.settings.names.endpoint(self.model)

    def look(self) -> View | None:
        """What there is to see now; nothing while there is no endpoint or no release."""
        release = self.environment.releases.read().models.get(self.model)
        if release is None:
            return None
        try:
            seen = self.environment.sagemaker.describe_endpoint(EndpointName=self.endpoint)
        except ClientError:
            return None
        now = self.environment.now()
        pending = seen.get("PendingDeploymentSummary")
        configs = [seen["EndpointConfigName"], *([pending["EndpointConfigName"]] if pending else [])]
        found = view(
            seen, self.alarms(release), {each: self.answered(each, now) for each in configs}, release.rollout, now
        )
        if pending and found.guards:
            self.prompt(release.rollout, pending["EndpointConfigName"], (now - pending["StartTime"]).total_seconds())
        return found

    def alarms(self, release: Release) -> list[Mapping[str, Any]]:
        names = guard_names(self.environment.settings.names, self.model, release.rollout)
        found = self.environment.client("cloudwatch").describe_alarms(AlarmNames=names) if names else {}
        return list(found.get("MetricAlarms", ()))

    def answered(self, config: str, now: datetime) -> int:
        known = signals.signal("invocations")
        found = self.environment.client("cloudwatch").get_metric_statistics(
            Namespace=known.namespace,
            MetricName=known.name,
            Dimensions=[
                {"Name": name, "Value": value}
                for name, value in zip(signals.SLICE, (self.endpoint, CHAMPION, config), strict=True)
            ],
            StartTime=now - RECENT,
            EndTime=now + timedelta(minutes=1),
            Period=60,
            Statistics=["Sum"],
        )
        return round(sum(each["Sum"] for each in found["Datapoints"]))

    def prompt(self, rollout: Rollout, config: str, elapsed: float) -> None:
        """Have the canary judged when its turn has come; asking for the same turn again starts nothing."""
        pipeline, now = self.environment.model(self.model).monitor_pipeline, turn(rollout, elapsed)
        if pipeline is None or now == 0:
            return
        token = hashlib.sha256(f"{pipeline}\n{config}\n{now}".encode()).hexdigest()
        self.environment.sagemaker.start_pipeline_execution(PipelineName=pipeline, ClientRequestToken=token)


@contextmanager
def watching(watch: Watch, show: Callable[[View], None]) -> Iterator[None]:
    """Look again and again, beside what is done inside the block; a look that fails disturbs nothing."""
    over = threading.Event()
    pause = LOOK_SECONDS[watch.environment.settings.cloud]

    def run() -> None:
        while not over.wait(pause):
            try:
                found = watch.look()
            except (ClientError, BotoCoreError, NotUpError):
                continue
            if found is not None and found.under_way:
                show(found)

    thread = threading.Thread(target=run, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=30)
