"""Endpoint updates shift, bake, go on or go back, whatever happens and in whatever order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.endpoints.deployment import (
    Deployment,
    Facts,
    Phase,
    Policy,
    PolicyError,
    advance,
    alarms_of,
    begin,
    equal_steps,
    policy_from,
)

fractions = st.floats(0.01, 0.5)
policies = st.builds(
    Policy,
    shares=st.one_of(st.just((1.0,)), fractions.map(lambda f: (f, 1.0)), st.floats(0.05, 0.5).map(equal_steps)),
    bake=st.integers(0, 3600),
    termination_wait=st.integers(0, 3600),
    limit=st.integers(600, 28_800),
    rolling=st.booleans(),
)
moments = st.lists(
    st.tuples(
        st.floats(0, 4000),
        st.booleans(),
        st.sampled_from(["", "", "", "it did not come up"]),
        st.sampled_from([(), (), (), ("errors",)]),
    ),
    max_size=60,
)


def play(policy: Policy, steps: list[tuple[float, bool, str, tuple[str, ...]]]) -> list[tuple[Deployment, Facts]]:
    now = 1000.0
    deployment, seen = begin(policy, now), list[tuple[Deployment, Facts]]()
    for wait, ready, failure, alarms in steps:
        now += wait
        facts = Facts(now, ready, failure, alarms)
        deployment = advance(deployment, facts)
        seen.append((deployment, facts))
    return seen


@given(policies, moments)
def test_traffic_only_grows_on_green_until_it_goes_back_and_then_stays_at_nothing(policy: Policy, steps: Any) -> None:
    share, back = 0.0, False
    for deployment, _ in play(policy, steps):
        assert not (back and not deployment.going_back)
        back = deployment.going_back
        assert deployment.green_share == 0 if back else deployment.green_share >= share
        share = deployment.green_share


@given(policies, moments)
def test_there_is_always_capacity_for_the_traffic(policy: Policy, steps: Any) -> None:
    for deployment, _ in play(policy, steps):
        green, blue = deployment.green_capacity, deployment.blue_capacity
        assert green >= deployment.green_share
        assert blue >= 1 - deployment.green_share - 1e-9
        if not deployment.ended:
            assert green + blue >= 1 - 1e-9


@given(policies, moments)
def test_it_is_done_only_after_every_shift_baked_in_full_without_an_alarm(policy: Policy, steps: Any) -> None:
    baked, began = 0, 0.0
    before = begin(policy, 1000.0)
    for deployment, facts in play(policy, steps):
        if deployment.phase is Phase.BAKING and before.phase is not Phase.BAKING:
            began = facts.now
        if before.phase is Phase.BAKING and deployment.phase in {Phase.PREPARING, Phase.TERMINATING}:
            assert facts.now - began >= policy.bake
            assert not facts.alarms
            baked += 1
        if deployment.phase is Phase.DONE:
            assert baked == len(policy.shares)
        before = deployment


@given(policies, moments)
def test_an_alarm_before_the_last_bake_is_over_always_sends_it_back(policy: Policy, steps: Any) -> None:
    before = begin(policy, 1000.0)
    for deployment, facts in play(policy, steps):
        if facts.alarms and before.phase in {Phase.PREPARING, Phase.BAKING}:
            assert deployment.phase is Phase.ROLLING_BACK
            assert deployment.reason
        before = deployment


@given(policies)
def test_left_alone_it_ends_in_the_time_its_policy_adds_up_to(policy: Policy) -> None:
    now = 0.0
    deployment = begin(policy, now)
    for _ in range(10 * len(policy.shares) + 10):
        deployment = advance(deployment, Facts(now))
        if deployment.ended:
            break
        if deployment.phase is not Phase.PREPARING:
            now = max(now, deployment.due or now)
    total = policy.bake * len(policy.shares)
    if total <= policy.limit:
        assert deployment.phase is Phase.DONE
        assert now == pytest.approx(total + policy.termination_wait)
    else:
        assert deployment.going_back or now == pytest.approx(policy.limit)


@given(policies, moments)
def test_an_ended_deployment_never_changes(policy: Policy, steps: Any) -> None:
    ended: Deployment | None = None
    for deployment, _ in play(policy, steps):
        assert ended is None or deployment == ended
        ended = deployment if deployment.ended else None


def test_a_canary_is_two_shifts_with_a_bake_after_each() -> None:
    policy = Policy((0.1, 1.0), bake=300, termination_wait=60)
    deployment = advance(begin(policy, 0), Facts(5))
    assert (deployment.phase, deployment.green_share) == (Phase.BAKING, 0.1)
    assert advance(deployment, Facts(304)) == deployment
    deployment = advance(advance(deployment, Facts(305)), Facts(305))
    assert (deployment.phase, deployment.green_share) == (Phase.BAKING, 1.0)
    deployment = advance(deployment, Facts(605))
    assert (deployment.phase, deployment.blue_capacity) == (Phase.TERMINATING, 1.0)
    assert advance(deployment, Facts(665)).phase is Phase.DONE


def test_a_rolling_update_takes_from_blue_only_what_green_has_baked() -> None:
    policy = Policy((0.5, 1.0), bake=10, rolling=True)
    deployment = begin(policy, 0)
    seen = [(deployment.green_capacity, deployment.blue_capacity, deployment.green_share)]
    for now in (0, 10, 10, 20, 20):
        deployment = advance(deployment, Facts(now))
        seen.append((deployment.green_capacity, deployment.blue_capacity, deployment.green_share))
    assert seen == [(0.5, 1, 0), (0.5, 1, 0.5), (1, 0.5, 0.5), (1, 0.5, 1), (1, 0, 1), (1, 0, 1)]


def test_a_failed_rollback_says_both_reasons() -> None:
    deployment = advance(begin(Policy(), 0), Facts(1, alarms=("errors",)))
    deployment = advance(deployment, Facts(2, ready=False, failure="blue is gone"))
    assert deployment.phase is Phase.ROLLBACK_FAILED
    assert "[errors]" in deployment.reason
    assert "blue is gone" in deployment.reason


def blue_green(kind: str, **more: Any) -> dict[str, Any]:
    traffic = {"Type": kind, "WaitIntervalInSeconds": 300, **more}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": traffic, "TerminationWaitInSeconds": 60}}


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def count(value: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": value}


@pytest.mark.parametrize(
    ("config", "shares"),
    [
        (None, (1.0,)),
        (blue_green("ALL_AT_ONCE"), (1.0,)),
        (blue_green("CANARY", CanarySize=percent(10)), (0.1, 1.0)),
        (blue_green("CANARY", CanarySize=count(1)), (0.25, 1.0)),
        (blue_green("LINEAR", LinearStepSize=percent(30)), (0.3, 0.6, 0.9, 1.0)),
        (blue_green("LINEAR", LinearStepSize=count(2)), (0.5, 1.0)),
        ({"RollingUpdatePolicy": {"MaximumBatchSize": percent(30), "WaitIntervalInSeconds": 0}}, (0.25, 0.5, 0.75, 1)),
        ({"RollingUpdatePolicy": {"MaximumBatchSize": count(2), "WaitIntervalInSeconds": 0}}, (0.5, 1)),
    ],
)
def test_shares_follow_the_deployment_config(config: Any, shares: tuple[float, ...]) -> None:
    assert policy_from(config, instances=4).shares == shares


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (blue_green("CANARY", CanarySize=percent(60)), "CanarySize of 60"),
        (blue_green("CANARY"), "CanarySize must be given"),
        (blue_green("ALL_AT_ONCE", CanarySize=percent(10)), "CanarySize must be given"),
        (blue_green("LINEAR", LinearStepSize=percent(5)), "at least 10% and at most 50%"),
        (blue_green("LINEAR", LinearStepSize=count(3)), "75% of the 4"),
        ({"RollingUpdatePolicy": {"MaximumBatchSize": percent(4), "WaitIntervalInSeconds": 0}}, "at least 5%"),
        ({**blue_green("ALL_AT_ONCE"), "RollingUpdatePolicy": {"MaximumBatchSize": count(1)}}, "Only one of"),
    ],
)
def test_a_policy_aws_would_refuse_is_refused(config: Any, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        policy_from(config, instances=4)


def test_alarm_names_are_read_from_the_rollback_configuration() -> None:
    config = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}, {"AlarmName": "b"}]}}
    assert alarms_of(config) == ("a", "b")
    assert alarms_of(None) == ()
