"""Drives one update of an endpoint: starts and ends processes and moves traffic as the deployment's state says."""

from __future__ import annotations

from localaws.endpoints.deployment import Deployment, Facts, Phase, Policy, advance, begin
from localaws.endpoints.fleet import Fleet
from localaws.endpoints.instance import NotHealthyError
from localaws.endpoints.live import LiveEndpoint
from localaws.endpoints.model import ModelDataError

WATCH_EVERY = 5.0  # seconds of the clock between two looks at the alarms
STAGES = {Phase.PREPARING: "Creating", Phase.BAKING: "Baking", Phase.TERMINATING: "Deleting"}


def roll_out(live: LiveEndpoint, blue: Fleet, green: Fleet, policy: Policy, alarms: tuple[str, ...]) -> Deployment:
    """Bring traffic from blue to green, or back to blue; returns how it ended, with one fleet left."""
    clock = live.plane.clock
    live.fleets = [blue, green]
    deployment = begin(policy, clock.now())
    _show(live, green, deployment)
    while True:
        failure = _apply(live, blue, green, deployment)
        if deployment.ended:
            break
        facts = Facts(clock.now(), ready=not failure, failure=failure, alarms=_in_alarm(live, alarms))
        following = advance(deployment, facts)
        if following == deployment:
            _wait(live, deployment)
        else:
            deployment = following
            _show(live, green, deployment)
    gone, kept = (green, blue) if deployment.going_back else (blue, green)
    live.fleets = [kept]
    live.share(1.0)
    gone.end()
    return deployment


def _apply(live: LiveEndpoint, blue: Fleet, green: Fleet, deployment: Deployment) -> str:
    """Capacity first, then traffic, then the surplus goes: there is never traffic without somebody to take it."""
    share = deployment.green_share
    if deployment.going_back:  # away from green at once; what blue lacks comes back behind it
        live.share(1.0, 0.0)
    try:
        green.grow(deployment.green_capacity)
        _restore(blue, deployment)
    except (NotHealthyError, ModelDataError) as error:
        return str(error)
    live.share(1.0 - share, share)
    green.shrink(deployment.green_capacity)
    blue.shrink(deployment.blue_capacity)
    return ""


def _restore(blue: Fleet, deployment: Deployment) -> None:
    """Blue as large as it must be; a rolling update that goes back brings it up in batches."""
    if deployment.phase is Phase.ROLLING_BACK and deployment.policy.rolling:
        have = min((v.count / v.wanted for v in blue.variants.values() if v.wanted), default=1.0)
        while have < 1.0:
            have = min(have + max(deployment.policy.rollback_batch, 0.05), 1.0)
            blue.grow(have)
    blue.grow(deployment.blue_capacity)


def _in_alarm(live: LiveEndpoint, alarms: tuple[str, ...]) -> tuple[str, ...]:
    watch, scope = live.plane.watch, live.scope
    return tuple(name for name in alarms if watch.alarm_state(scope.account, scope.region, name) == "ALARM")


def _wait(live: LiveEndpoint, deployment: Deployment) -> None:
    now = live.plane.clock.now()
    due = deployment.due
    live.nudge.wait(max(min(WATCH_EVERY, (due - now) if due is not None else WATCH_EVERY), 0.001))
    live.nudge.clear()


def _show(live: LiveEndpoint, green: Fleet, deployment: Deployment) -> None:
    if deployment.ended:
        return
    stage = "ActivatingTraffic" if deployment.phase is Phase.PREPARING and deployment.shifts else None
    stage = stage or STAGES.get(deployment.phase, "Deleting")
    pending = {
        "EndpointConfigName": green.config_name,
        "ProductionVariants": [live.summary(variant, stage) for variant in green.variants.values()],
        "StartTime": deployment.began,
    }
    if green.shadows:
        pending["ShadowProductionVariants"] = [live.summary(variant, stage) for variant in green.shadows]
    status = "RollingBack" if deployment.going_back else "Updating"
    live.note(EndpointStatus=status, PendingDeploymentSummary=pending, **live.show(live.fleet))
    live.tell("SageMaker Endpoint Deployment State Change")
