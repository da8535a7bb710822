"""Traffic follows the verdict: away from harm at once, never towards a promotion, in between as was agreed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.records import RecordError
from contract.release import CHALLENGER, CHAMPION
from monitoring.experiment.judge import NOTHING_YET, Verdict
from monitoring.experiment.steering import Move, Steering, steer
from monitoring.experiment.verdict import Decision

BEGAN = "2026-03-01T12:00:00+00:00"
CLIMB = Steering(BEGAN, 0.1, "climb", most=0.4, looks_per_step=10)


def verdict(decision: Decision = Decision.KEEP_RUNNING, **more: Any) -> Verdict:
    usual: dict[str, Any] = {"reason": "why", "looks": 1, "proposed_weights": {CHAMPION: 0.5, CHALLENGER: 0.5}}
    return dataclasses.replace(NOTHING_YET, decision=decision, **{**usual, **more})


def live(challenger: float) -> dict[str, float]:
    return {CHAMPION: 1 - challenger, CHALLENGER: challenger}


@pytest.mark.parametrize("decision", [Decision.STOP_FOR_HARM, Decision.NO_DIFFERENCE])
@pytest.mark.parametrize("broken", [False, True])
def test_a_challenger_that_should_not_go_on_loses_its_traffic_once(decision: Decision, broken: bool) -> None:
    """Whatever the split says: the way out is always open."""
    found = verdict(decision, sample_ratio_alarm=broken)
    assert steer(CLIMB, found, live(0.2)) == Move({CHAMPION: 1.0, CHALLENGER: 0.0}, "why")
    assert steer(CLIMB, found, live(0.0)) is None


def test_a_promotion_is_a_rollout_of_its_own_and_moves_nothing_here() -> None:
    assert steer(CLIMB, verdict(Decision.PROMOTE, looks=50), live(0.1)) is None


def test_while_the_split_is_broken_no_share_grows() -> None:
    assert steer(CLIMB, verdict(looks=50, sample_ratio_alarm=True), live(0.1)) is None


def test_a_challenger_without_traffic_stays_without() -> None:
    assert steer(CLIMB, verdict(looks=50), live(0.0)) is None


@pytest.mark.parametrize(
    ("looks", "share", "wanted"),
    [(9, 0.1, None), (10, 0.1, 0.2), (10, 0.2, None), (19, 0.1, 0.2), (20, 0.2, 0.4), (99, 0.2, 0.4), (99, 0.4, None)],
)
def test_a_climb_doubles_after_every_so_many_looks_up_to_its_most(
    looks: int, share: float, wanted: float | None
) -> None:
    found = steer(CLIMB, verdict(looks=looks), live(share))
    assert (found.weights[CHALLENGER] if found else None) == wanted


def test_a_climb_that_was_moved_by_hand_never_goes_down() -> None:
    assert steer(CLIMB, verdict(looks=10), live(0.35)) is None


def test_a_proposal_is_followed_when_it_is_worth_a_look() -> None:
    steering = dataclasses.replace(CLIMB, mode="proposed")
    proposed = {"proposed_weights": {CHAMPION: 0.7, CHALLENGER: 0.3}}
    assert steer(steering, verdict(**proposed), live(0.26)) is None
    found = steer(steering, verdict(**proposed), live(0.1))
    assert found is not None
    assert found.weights == {CHAMPION: 0.7, CHALLENGER: 0.3}
    assert steer(dataclasses.replace(steering, mode="fixed"), verdict(**proposed), live(0.1)) is None


def test_a_proposal_is_followed_no_further_than_the_most() -> None:
    found = steer(dataclasses.replace(CLIMB, mode="proposed"), verdict(), live(0.1))
    assert found is not None
    assert found.weights[CHALLENGER] == 0.4


verdicts = st.builds(
    lambda decision, looks, broken, share: verdict(
        decision, looks=looks, sample_ratio_alarm=broken, proposed_weights=live(share)
    ),
    st.sampled_from(list(Decision)),
    st.integers(0, 500),
    st.booleans(),
    st.floats(0, 1),
)


@given(verdicts, st.sampled_from(["fixed", "climb", "proposed"]), st.floats(0, 1))
def test_a_move_leaves_the_champion_its_part_says_why_and_is_made_once(found: Verdict, mode: Any, share: float) -> None:
    steering = dataclasses.replace(CLIMB, mode=mode)
    move = steer(steering, found, live(share))
    if move is not None:
        assert sum(move.weights.values()) == pytest.approx(1)
        assert move.weights[CHAMPION] >= 1 - steering.most
        assert move.reason
        assert steer(steering, found, move.weights) is None  # a tick that runs twice changes nothing


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"mode": "climbs"}, "mode is 'climbs'"),
        ({"share": 0.0}, "share is 0.0"),
        ({"share": 0.5}, "expected 0 < share <= most < 1"),
        ({"most": 1.0}, "most 1.0"),
        ({"step": 1.0}, "step is 1.0"),
        ({"looks_per_step": 0}, "every 0 looks"),
    ],
)
def test_terms_that_cannot_be_steered_by_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(RecordError, match=says):
        Steering.from_json(CLIMB.to_json() | wrong)


def test_terms_are_read_as_they_were_written() -> None:
    assert Steering.from_json(CLIMB.to_json()) == CLIMB
