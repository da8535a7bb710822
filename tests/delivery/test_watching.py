"""A rollout is shown as the live API tells it, and the monitor is started in turns while it bakes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.release import LONGEST_BAKE_SECONDS, Rollout
from delivery.cli.releasing import clock, drawn, one_line
from delivery.watching import bakes, seconds, turn, view

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
CANARY = Rollout("canary", 10, 600, termination_wait_seconds=60)


def side(config: str, stage: str = "", instances: int = 2) -> dict[str, Any]:
    status = {"VariantStatus": [{"Status": stage}]} if stage else {}
    return {
        "EndpointConfigName": config,
        "ProductionVariants": [{"VariantName": "champion", "CurrentInstanceCount": instances, **status}],
    }


def during(minutes: float) -> Any:
    pending = side("new", "Baking", 1) | {"StartTime": BEGAN}
    seen = {**side("old"), "EndpointStatus": "Updating", "PendingDeploymentSummary": pending}
    alarms = [
        {"AlarmName": "rollback-errors", "StateValue": "ALARM", "StateReason": "too many"},
        {"AlarmName": "rollback-latency", "StateValue": "OK"},
    ]
    return view(seen, alarms, {"old": 90, "new": 10}, CANARY, BEGAN + timedelta(minutes=minutes))


def test_a_rollout_shows_both_fleets_with_what_each_answered_and_the_time_left() -> None:
    found = during(5)
    assert found.under_way
    assert [(each.config, each.stage, each.instances, each.share) for each in found.fleets] == [
        ("old", "", 2, 0.9),
        ("new", "Baking", 1, 0.1),
    ]
    assert found.seconds_left == 2 * 600 + 60 - 300
    assert [(each.name, each.state) for each in found.guards] == [
        ("rollback-errors", "ALARM"),
        ("rollback-latency", "OK"),
    ]


def test_the_time_left_is_never_less_than_none() -> None:
    assert during(500).seconds_left == 0


def test_without_a_rollout_there_is_one_fleet_and_no_time() -> None:
    found = view({**side("old"), "EndpointStatus": "InService"}, [], {}, CANARY, BEGAN)
    assert not found.under_way
    assert found.seconds_left is None
    assert found.fleets[0].share == 0.0


def test_a_line_says_stages_and_alarms_and_a_picture_can_be_drawn() -> None:
    assert one_line(during(5)) == "Updating: old serves, new Baking; in alarm: rollback-errors"
    assert len(drawn(during(5)).renderables) == 3
    assert clock(125) == "2:05"


@pytest.mark.parametrize(
    ("rollout", "expected"),
    [
        (Rollout("all-at-once", bake_seconds=600), 0),
        (Rollout("blue-green", bake_seconds=600), 600),
        (Rollout("canary", 10, 600), 1200),
        (Rollout("linear", 30, 600), 2400),
    ],
)
def test_a_rollout_takes_a_bake_for_every_shift(rollout: Rollout, expected: int) -> None:
    assert seconds(rollout) == bakes(rollout) * 600 == expected


def test_the_monitor_is_started_twice_in_a_bake_and_not_before() -> None:
    assert [turn(Rollout("canary", 10, 600), elapsed) for elapsed in (0, 299, 300, 600, 1199)] == [0, 0, 1, 2, 3]


def test_a_short_bake_starts_no_monitor() -> None:
    assert turn(Rollout("canary", 10, 5), 3600) == 0


@given(st.integers(1, LONGEST_BAKE_SECONDS), st.floats(0, 1e6), st.floats(0, 1e4))
def test_turns_never_go_back_and_end_with_the_rollout(bake: int, elapsed: float, more: float) -> None:
    rollout = Rollout("canary", 10, bake)
    assert 0 <= turn(rollout, elapsed) <= turn(rollout, elapsed + more) <= 4 + 60 * 2 // bake
