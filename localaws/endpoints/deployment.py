"""One endpoint update as a state machine: pure, so that every path of it can be tried without a process or a clock.

A deployment moves traffic from the old fleet (blue) to the new one (green) in shifts, bakes after each, and goes back
as soon as one of its alarms is in ALARM, the new fleet does not come up, or the time limit is passed. `Policy` is what
AWS's DeploymentConfig asks for, `Deployment` is how far it is, `advance` is what comes next. Whoever drives it starts
and ends processes as `green_capacity` and `blue_capacity` say, and routes as `green_share` says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

DEFAULT_LIMIT = 14_400.0  # seconds; AWS allows 600 to 28800 and documents no default


class PolicyError(ValueError):
    """A DeploymentConfig asks for something the endpoint cannot do."""


class Phase(StrEnum):
    PREPARING = "preparing"  # the capacity for the next shift is being started
    BAKING = "baking"  # traffic was shifted; alarms are watched
    TERMINATING = "terminating"  # all traffic is on green; blue is kept a little longer
    ROLLING_BACK = "rolling back"  # all traffic is on blue; its full capacity is being restored
    DONE = "done"
    ROLLED_BACK = "rolled back"
    ROLLBACK_FAILED = "rollback failed"


ENDED = frozenset({Phase.DONE, Phase.ROLLED_BACK, Phase.ROLLBACK_FAILED})


@dataclass(frozen=True)
class Policy:
    """How an update shifts traffic.

    Attributes:
        shares: green's share of traffic after each shift; rises, and the last is 1.
        bake: seconds of watching after each shift.
        termination_wait: seconds that blue is kept after the last bake.
        limit: seconds after which an update that has not finished its last bake goes back.
        rolling: green grows and blue shrinks batch by batch, instead of green being whole from the start.
        rollback_batch: the fraction of blue that is restored at a time when a rolling update goes back.
    """

    shares: tuple[float, ...] = (1.0,)
    bake: float = 0.0
    termination_wait: float = 0.0
    limit: float = DEFAULT_LIMIT
    rolling: bool = False
    rollback_batch: float = 1.0


@dataclass(frozen=True)
class Facts:
    """What `advance` is told: the time, whether the wanted capacity is there, and what went wrong."""

    now: float
    ready: bool = True
    failure: str = ""
    alarms: tuple[str, ...] = ()  # names of those in ALARM


@dataclass(frozen=True)
class Deployment:
    """How far an update is."""

    policy: Policy
    began: float
    since: float
    phase: Phase = Phase.PREPARING
    shifts: int = 0
    reason: str = ""

    @property
    def ended(self) -> bool:
        return self.phase in ENDED

    @property
    def going_back(self) -> bool:
        return self.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.ROLLBACK_FAILED}

    @property
    def green_share(self) -> float:
        """The share of traffic that green gets now."""
        if self.going_back or self.shifts == 0:
            return 0.0
        return self.policy.shares[self.shifts - 1]

    @property
    def green_capacity(self) -> float:
        """The fraction of green's instances that must be ready in this phase."""
        if self.going_back:
            return 0.0
        if not self.policy.rolling or self.phase in {Phase.TERMINATING, Phase.DONE}:
            return 1.0
        return (
            self.policy.shares[min(self.shifts, len(self.policy.shares) - 1)] if self._preparing else self.green_share
        )

    @property
    def blue_capacity(self) -> float:
        """The fraction of blue's instances that must be ready in this phase."""
        if self.phase is Phase.DONE:
            return 0.0
        if self.going_back or not self.policy.rolling:
            return 1.0
        done = self.shifts if self._preparing or self.phase is Phase.TERMINATING else self.shifts - 1
        return 1.0 - (self.policy.shares[done - 1] if done > 0 else 0.0)

    @property
    def due(self) -> float | None:
        """When time alone changes something; None when only an event does."""
        match self.phase:
            case Phase.BAKING:
                return min(self.since + self.policy.bake, self.began + self.policy.limit)
            case Phase.TERMINATING:
                return self.since + self.policy.termination_wait
            case Phase.PREPARING:
                return self.began + self.policy.limit
            case _:
                return None

    @property
    def _preparing(self) -> bool:
        return self.phase is Phase.PREPARING


def begin(policy: Policy, now: float) -> Deployment:
    return Deployment(policy, began=now, since=now)


def advance(deployment: Deployment, facts: Facts) -> Deployment:
    """The next state, or the same one when nothing changed."""
    match deployment.phase:
        case Phase.PREPARING | Phase.BAKING:
            trouble = _trouble(deployment, facts)
            if trouble:
                return _to(Phase.ROLLING_BACK, deployment, facts, reason=trouble)
            return _forward(deployment, facts)
        case Phase.TERMINATING:
            over = facts.now >= deployment.since + deployment.policy.termination_wait
            return _to(Phase.DONE, deployment, facts) if over else deployment
        case Phase.ROLLING_BACK:
            if facts.failure:
                reason = f"{deployment.reason} The rollback failed: {facts.failure}"
                return _to(Phase.ROLLBACK_FAILED, deployment, facts, reason=reason)
            return _to(Phase.ROLLED_BACK, deployment, facts) if facts.ready else deployment
        case _:
            return deployment


def _forward(deployment: Deployment, facts: Facts) -> Deployment:
    if deployment.phase is Phase.PREPARING:
        shifted = replace(deployment, shifts=deployment.shifts + 1)
        return _to(Phase.BAKING, shifted, facts) if facts.ready else deployment
    if facts.now < deployment.since + deployment.policy.bake:
        return deployment
    last = deployment.shifts == len(deployment.policy.shares)
    return _to(Phase.TERMINATING if last else Phase.PREPARING, deployment, facts)


def _trouble(deployment: Deployment, facts: Facts) -> str:
    if facts.failure:
        return facts.failure
    if facts.alarms:
        named = ", ".join(facts.alarms)
        return f"One or more configured alarms are in ALARM state: [{named}]. The deployment was rolled back."
    # A bake that ends exactly at the limit is in time.
    if facts.now > deployment.began + deployment.policy.limit:
        return f"The deployment did not finish within its limit of {deployment.policy.limit:g} seconds."
    return ""


def _to(phase: Phase, deployment: Deployment, facts: Facts, *, reason: str | None = None) -> Deployment:
    said = deployment.reason if reason is None else reason
    return replace(deployment, phase=phase, since=facts.now, reason=said)


# --- from AWS's DeploymentConfig --------------------------------------------------------------------------------------


def policy_from(config: Mapping[str, Any] | None, instances: int) -> Policy:
    """The policy that a DeploymentConfig means for a fleet of so many instances."""
    if not config:
        return Policy()
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue_green and rolling:
        raise PolicyError("Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy can be given.")
    if rolling:
        return _rolling(rolling, instances)
    return _blue_green(blue_green or {}, instances)


def alarms_of(config: Mapping[str, Any] | None) -> tuple[str, ...]:
    alarms = ((config or {}).get("AutoRollbackConfiguration") or {}).get("Alarms", ())
    return tuple(alarm["AlarmName"] for alarm in alarms)


def _blue_green(config: Mapping[str, Any], instances: int) -> Policy:
    traffic = config.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE"})
    kind = traffic["Type"]
    for needed, member in (("CANARY", "CanarySize"), ("LINEAR", "LinearStepSize")):
        if (kind == needed) != (member in traffic):
            raise PolicyError(f"{member} must be given for traffic routing of type {needed}, and only then.")
    shares: tuple[float, ...] = (1.0,)
    if kind == "CANARY":
        shares = (_fraction("CanarySize", traffic["CanarySize"], instances, lowest=0.0), 1.0)
    elif kind == "LINEAR":
        shares = equal_steps(_fraction("LinearStepSize", traffic["LinearStepSize"], instances, lowest=0.1))
    return Policy(
        shares,
        bake=traffic.get("WaitIntervalInSeconds", 0),
        termination_wait=config.get("TerminationWaitInSeconds", 0),
        limit=config.get("MaximumExecutionTimeoutInSeconds", DEFAULT_LIMIT),
    )


def _rolling(config: Mapping[str, Any], instances: int) -> Policy:
    size = config["MaximumBatchSize"]
    # One instance is the smallest batch there is, whatever percentage of the fleet it makes.
    asked = _fraction("MaximumBatchSize", size, instances, lowest=0.05) if instances > 1 else 1.0
    batch = max(math.floor(asked * instances + 1e-9), 1) / max(instances, 1)
    back = config.get("RollbackMaximumBatchSize")
    return Policy(
        equal_steps(batch),
        bake=config["WaitIntervalInSeconds"],
        limit=config.get("MaximumExecutionTimeoutInSeconds", DEFAULT_LIMIT),
        rolling=True,
        rollback_batch=_size(back, instances) if back else 1.0,
    )


def equal_steps(size: float) -> tuple[float, ...]:
    """Equal shifts up to the whole: 0.3 gives 0.3, 0.6, 0.9, 1."""
    count = math.ceil(1 / size - 1e-9)
    return (*(round(size * step, 9) for step in range(1, count)), 1.0)


def _size(size: Mapping[str, Any], instances: int) -> float:
    if size["Type"] == "INSTANCE_COUNT":
        return size["Value"] / max(instances, 1)
    return size["Value"] / 100


def _fraction(member: str, size: Mapping[str, Any], instances: int, *, lowest: float) -> float:
    fraction = _size(size, instances)
    if not lowest <= fraction <= 0.5 or fraction == 0:
        least = f"at least {lowest:.0%} and " if lowest else ""
        raise PolicyError(
            f"{member} of {size['Value']} ({size['Type']}) is {fraction:.0%} of the {instances} instance(s) of the "
            f"endpoint; it must be {least}at most 50%."
        )
    return fraction
