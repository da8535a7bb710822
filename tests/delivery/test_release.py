"""The release state machine: every path keeps the record honest, and what does not fit is refused with the reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.release import CHALLENGER, CHAMPION, SHADOW, Package, Release, Releases, Rollout, Variant
from delivery.release import (
    TRANSITIONS,
    Command,
    Deploy,
    FailRollout,
    FinishRollout,
    MoveTraffic,
    Promote,
    RefusedError,
    Rollback,
    Scale,
    StartExperiment,
    StartShadow,
    StopExperiment,
    StopShadow,
    decide,
    diagram,
)


def package(version: int) -> Package:
    return Package(version, f"arn:{version}", f"image@{version}", f"s3://b/{version}", f"hash{version}", f"ev{version}")


packages = st.integers(1, 6).map(package)
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(Deploy, packages, st.just(Rollout()), st.integers(1, 3)),
    st.just(FinishRollout()),
    st.builds(FailRollout, st.just("alarm")),
    st.builds(Rollback, st.just("on call")),
    st.builds(StartExperiment, st.just("e1"), packages, st.floats(-0.1, 1.1)),
    st.builds(MoveTraffic, st.fixed_dictionaries({CHAMPION: st.floats(0, 1), CHALLENGER: st.floats(0, 1)})),
    st.builds(Promote, st.just(Rollout("linear", 20))),
    st.builds(StopExperiment, st.just("harm")),
    st.builds(Scale, st.sampled_from([CHAMPION, CHALLENGER]), st.integers(0, 4)),
    st.builds(StartShadow, packages, st.floats(0, 1)),
    st.just(StopShadow()),
)


def run(sequence: list[Command]) -> list[Release]:
    """Every release on the way; a refused command leaves the release as it was."""
    release: Release | None = None
    seen: list[Release] = []
    for command in sequence:
        try:
            release = decide(release, command)
        except RefusedError:
            continue
        seen.append(release)
    return seen


@settings(max_examples=400)
@given(st.lists(commands, max_size=25))
def test_any_sequence_of_commands_keeps_the_record_honest_and_writable(sequence: list[Command]) -> None:
    for release in run(sequence):
        assert Releases.from_json(Releases({"m": release}).to_json()).models["m"] == release
        assert sum(each.weight for each in release.variants) > 0
        assert all(each.instances >= 1 for each in release.variants)
        assert release.previous != release.champion.package or release.state == "steady"


@settings(max_examples=200)
@given(st.lists(commands, max_size=25))
def test_a_command_outside_the_table_is_always_refused(sequence: list[Command]) -> None:
    release = None
    for command in sequence:
        state = "none" if release is None else release.state
        try:
            after = decide(release, command)
        except RefusedError:
            continue
        assert TRANSITIONS[type(command)][state] == after.state or (release is None and after.state == "rolling")
        release = after


def steps(sequence: list[Command]) -> Iterator[tuple[Release | None, Command, Release]]:
    """The release before each command that is not refused, the command, and the release after it."""
    release = None
    for command in sequence:
        before = release
        try:
            release = decide(release, command)
        except RefusedError:
            continue
        yield before, command, release


@settings(max_examples=200)
@given(st.lists(commands, max_size=20))
def test_a_failed_rollout_always_serves_what_served_before_it(sequence: list[Command]) -> None:
    for before, _, release in steps(sequence):
        if before is not None and before.state != "rolling" and release.state == "rolling":
            assert decide(release, FailRollout("x")).champion.package == before.champion.package


@settings(max_examples=200)
@given(st.lists(commands, max_size=20))
def test_a_deployment_during_a_rollout_is_a_first_one_in_place_of_a_first_one(sequence: list[Command]) -> None:
    for before, command, release in steps(sequence):
        if before is not None and before.state == "rolling" and isinstance(command, Deploy):
            assert before.previous is None
            assert release == decide(None, command)


def serving() -> Release:
    return decide(decide(None, Deploy(package(1), Rollout(), 2)), FinishRollout())


CANARY, LINEAR = Rollout("canary", 10), Rollout("linear", 20)
ONE, TWO, THREE = package(1), package(2), package(3)
# Each command, and what it changes in the release that the one before left; everything else stays as it was.
LIFE: list[tuple[Command, dict[str, Any]]] = [
    (FinishRollout(), {"state": "steady", "reason": ""}),
    (StartShadow(TWO, 1.0), {"shadow": Variant(SHADOW, TWO, 1.0, 1)}),
    (StopShadow(), {"shadow": None}),
    (StartShadow(TWO, 0.5), {"shadow": Variant(SHADOW, TWO, 0.5, 1)}),
    (Scale(CHAMPION, 1), {"variants": (Variant(CHAMPION, ONE, 1.0, 1),)}),
    (
        Deploy(TWO, LINEAR),
        {
            "state": "rolling", "variants": (Variant(CHAMPION, TWO, 1.0, 1),), "rollout": LINEAR, "previous": ONE,
            "shadow": None, "reason": "version 1 -> 2",
        },
    ),
    (
        FailRollout("an alarm"),
        {
            "state": "rolled_back", "variants": (Variant(CHAMPION, ONE, 1.0, 1),), "previous": None, "rejected": TWO,
            "reason": "an alarm",
        },
    ),
    (
        StartExperiment("spring", THREE, 0.25, 2),
        {
            "state": "experiment", "experiment": "spring", "reason": "experiment spring",
            "variants": (Variant(CHAMPION, ONE, 0.75, 1), Variant(CHALLENGER, THREE, 0.25, 2)),
        },
    ),
    (
        MoveTraffic({CHAMPION: 0.2, CHALLENGER: 0.6}),
        {"variants": (Variant(CHAMPION, ONE, 0.2, 1), Variant(CHALLENGER, THREE, 0.6, 2))},
    ),
    (
        Scale(CHALLENGER, 3),
        {"variants": (Variant(CHAMPION, ONE, 0.2, 1), Variant(CHALLENGER, THREE, 0.6, 3))},
    ),
    (
        Promote(CANARY),
        {
            "state": "rolling", "variants": (Variant(CHAMPION, THREE, 1.0, 1),), "rollout": CANARY, "previous": ONE,
            "rejected": None, "experiment": None, "reason": "promoted by experiment spring",
        },
    ),
    (FinishRollout(), {"state": "steady", "reason": ""}),
    (
        StartExperiment("summer", TWO, 1 / 3),
        {
            "state": "experiment", "experiment": "summer", "reason": "experiment summer",
            "variants": (Variant(CHAMPION, THREE, 0.666667, 1), Variant(CHALLENGER, TWO, 1 / 3, 1)),
        },
    ),
    (
        StopExperiment("no difference"),
        {
            "state": "steady", "variants": (Variant(CHAMPION, THREE, 1.0, 1),), "experiment": None,
            "reason": "no difference",
        },
    ),
    (StartShadow(TWO, 0.1), {"shadow": Variant(SHADOW, TWO, 0.1, 1)}),
    (
        Rollback("on call"),
        {
            "state": "rolled_back", "variants": (Variant(CHAMPION, ONE, 1.0, 1),), "previous": None, "rejected": THREE,
            "shadow": None, "reason": "on call",
        },
    ),
    (
        StartExperiment("autumn", TWO, 0.5),
        {
            "state": "experiment", "experiment": "autumn", "reason": "experiment autumn",
            "variants": (Variant(CHAMPION, ONE, 0.5, 1), Variant(CHALLENGER, TWO, 0.5, 1)),
        },
    ),
    (
        Rollback("harm"),
        {"state": "steady", "variants": (Variant(CHAMPION, ONE, 1.0, 1),), "experiment": None, "reason": "harm"},
    ),
]  # fmt: skip


def test_each_command_of_a_long_life_changes_what_it_says_and_nothing_else() -> None:
    release = decide(None, Deploy(ONE, CANARY, 2))
    assert release == Release("rolling", (Variant(CHAMPION, ONE, 1.0, 2),), CANARY, reason="first deployment")
    for command, changes in LIFE:
        after = decide(release, command)
        assert after == dataclasses.replace(release, **changes), command
        release = after


def test_a_second_rollback_is_refused_because_nothing_is_left_to_go_back_to() -> None:
    once = decide(decide(decide(serving(), Deploy(package(2), Rollout())), FinishRollout()), Rollback("bad"))
    assert once.champion.package == package(1)
    with pytest.raises(RefusedError, match=r"rollback.*rolled_back.*deploy another version"):
        decide(once, Rollback("again"))


def test_a_first_deployment_has_nothing_to_roll_back_to_and_says_so() -> None:
    with pytest.raises(RefusedError, match="nothing to go back to before version 1"):
        decide(serving(), Rollback("bad"))


def test_a_new_champion_keeps_the_instances_the_old_one_had() -> None:
    assert decide(serving(), Deploy(package(2), Rollout())).champion.instances == 2


def test_rolling_back_during_an_experiment_ends_it_with_the_champion_alone() -> None:
    trial = decide(serving(), StartExperiment("e1", package(2), 0.1))
    assert [each.weight for each in trial.variants] == [0.9, 0.1]
    after = decide(trial, Rollback("errors"))
    assert (after.state, after.challenger, after.champion.package, after.champion.weight) == (
        "steady",
        None,
        package(1),
        1.0,
    )


def test_a_trial_that_fails_while_it_starts_leaves_what_served_before_it() -> None:
    for before in (serving(), decide(decide(serving(), Deploy(TWO, CANARY)), FailRollout("alarm"))):
        for command in (StartExperiment("e1", THREE, 0.1), StartShadow(THREE, 0.5)):
            after = decide(decide(before, command), FailRollout("an alarm"))
            assert after == dataclasses.replace(before, state=after.state, reason="an alarm")
            assert after.state == ("steady" if isinstance(command, StartExperiment) else before.state)


def test_promotion_makes_the_challenger_the_champion_and_remembers_the_old_one() -> None:
    trial = decide(serving(), StartExperiment("e1", package(2), 0.5))
    after = decide(trial, Promote(Rollout("canary", 10)))
    assert (after.state, after.champion.package, after.previous) == ("rolling", package(2), package(1))


def test_a_promotion_by_new_evidence_leaves_the_rest_of_the_package_as_it_was_tried() -> None:
    trial = decide(serving(), StartExperiment("e1", package(2), 0.5))
    after = decide(trial, Promote(Rollout("canary", 10), evidence="with the experiment"))
    assert after.champion.package == dataclasses.replace(package(2), evidence="with the experiment")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Deploy(package(1), Rollout()), "serves already"),
        (StartExperiment("e", package(1), 0.1), "champion itself"),
        (StartExperiment("e", package(2), 1.5), "given a challenger share of 1.5; expected more than 0"),
        (Scale("chmapion", 2), "Did you mean 'champion'"),
        (Scale(CHAMPION, 0), "expected 1 or more"),
        (MoveTraffic({CHAMPION: 1}), "'move traffic' does not fit state 'steady'"),
        (FinishRollout(), "'finish rollout' does not fit"),
        (FailRollout("x"), r"neither a rollout nor a shadow is there to fail\. Nothing was changed"),
        (StartShadow(package(2), 0), "given a shadow share of 0; expected more than 0, at most 1"),
        (StartShadow(package(2), 1.5), "given a shadow share of 1.5; expected more than 0, at most 1"),
        (StartExperiment("e", package(2), 0.0), "given a challenger share of 0.0; expected more than 0"),
        (StartExperiment("e", package(2), 1.0), "given a challenger share of 1.0; expected more than 0"),
        (MoveTraffic({CHAMPION: 1}), r"\(it fits: experiment\); the champion serves alone\. Nothing was changed"),
        (Scale(CHAMPION, 0), "given 0 instances; expected 1 or more. Nothing was changed"),
        (
            Deploy(package(2), Rollout(alarms=("errors", "latency"))),
            "given rollback alarms errors, latency; this endpoint was made with .* Give the same. Nothing",
        ),
    ],
)
def test_a_command_that_does_not_fit_is_refused_with_the_reason(command: Command, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        decide(serving(), command)


def test_an_experiment_waits_until_a_shadow_is_stopped() -> None:
    shadowed = decide(serving(), StartShadow(package(2)))
    with pytest.raises(RefusedError, match=r"^a shadow runs: AWS allows it beside one variant only\. Stop it first"):
        decide(shadowed, StartExperiment("e", package(2), 0.1))


def test_scaling_to_one_instance_and_very_small_weights_are_allowed() -> None:
    trial = decide(serving(), StartExperiment("e", package(2), 0.5))
    weights = {CHAMPION: 0.01, CHALLENGER: 0.002}
    moved = decide(decide(trial, Scale(CHAMPION, 1)), MoveTraffic(weights))
    assert {each.name: each.weight for each in moved.variants} == weights
    assert moved.champion.instances == 1


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({CHAMPION: 1.0}, "no weight given for challenger"),
        ({CHAMPION: 1.0, CHALLENGER: 0.0, "other": 1.0}, "no variant 'other'.* Variants: champion, challenger"),
        ({CHAMPION: 0.0, CHALLENGER: 0.0}, "given weights that are all 0; expected at least one above 0"),
        ({CHAMPION: -1.0, CHALLENGER: 1.0}, "expected 0 or more"),
        ({CHAMPION: float("nan"), CHALLENGER: 1.0}, "expected 0 or more"),
        ({CHAMPION: float("inf"), CHALLENGER: 1.0}, "expected 0 or more"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights: dict[str, float], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        decide(decide(serving(), StartExperiment("e", package(2), 0.5)), MoveTraffic(weights))


def test_the_diagram_shows_every_change_of_state() -> None:
    drawn = diagram()
    assert "[*] --> rolling: deploy" in drawn
    assert "experiment --> rolling: promote" in drawn
    assert "rolling --> rolling: deploy" in drawn
    assert "steady --> steady: fail rollout, scale, start shadow, stop shadow" in drawn
    assert drawn.count("-->") == len({arrow for moves in TRANSITIONS.values() for arrow in moves.items()})


def test_a_first_deployment_gives_way_to_another_and_keeps_nothing_of_it() -> None:
    begun = decide(None, Deploy(ONE, CANARY, 2))
    other = Deploy(TWO, Rollout(alarms=("errors",)), 3)
    assert decide(begun, other) == decide(None, other)
    assert decide(begun, Deploy(ONE, CANARY, 2)) == begun


def test_a_rollout_with_something_to_go_back_to_does_not_give_way() -> None:
    rolling = decide(serving(), Deploy(TWO, CANARY))
    with pytest.raises(RefusedError, match=r"only while nothing served before, and version 1 did; a rollout is under"):
        decide(rolling, Deploy(THREE, CANARY))


def test_what_was_rolled_back_is_named_until_the_next_version_is_released() -> None:
    bad = run([Deploy(package(1), Rollout()), FinishRollout(), Deploy(package(2), Rollout()), FailRollout("alarm")])[-1]
    assert (bad.champion.package, bad.rejected, bad.previous) == (package(1), package(2), None)
    assert decide(bad, Deploy(package(3), Rollout())).rejected is None
    trial = decide(bad, StartExperiment("e1", package(3), 0.1))
    assert trial.rejected == package(2)
    assert decide(trial, Promote(Rollout())).rejected is None
    assert decide(trial, StopExperiment("enough")).rejected == package(2)


def test_a_release_that_names_what_was_rejected_reads_back_as_written() -> None:
    bad = run([Deploy(package(1), Rollout()), FinishRollout(), Deploy(package(2), Rollout()), Rollback("on call")])[-1]
    assert Release.from_json(bad.to_json()) == bad
