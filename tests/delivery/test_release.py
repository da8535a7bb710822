"""The release state machine: every path keeps the record honest, and what does not fit is refused with the reason."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.release import CHALLENGER, CHAMPION, Package, Release, Releases, Rollout
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


@settings(max_examples=200)
@given(st.lists(commands, max_size=20))
def test_a_failed_rollout_always_serves_what_served_before_it(sequence: list[Command]) -> None:
    release = None
    for command in sequence:
        before = release
        try:
            release = decide(release, command)
        except RefusedError:
            continue
        if before is not None and release.state == "rolling":
            assert decide(release, FailRollout("x")).champion.package == before.champion.package


def serving() -> Release:
    return decide(decide(None, Deploy(package(1), Rollout(), 2)), FinishRollout())


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


def test_promotion_makes_the_challenger_the_champion_and_remembers_the_old_one() -> None:
    trial = decide(serving(), StartExperiment("e1", package(2), 0.5))
    after = decide(trial, Promote(Rollout("canary", 10)))
    assert (after.state, after.champion.package, after.previous) == ("rolling", package(2), package(1))


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
        (StartShadow(package(2), 0), "expected more than 0"),
    ],
)
def test_a_command_that_does_not_fit_is_refused_with_the_reason(command: Command, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        decide(serving(), command)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({CHAMPION: 1.0}, "no weight given for challenger"),
        ({CHAMPION: 1.0, CHALLENGER: 0.0, "other": 1.0}, "no variant 'other'"),
        ({CHAMPION: 0.0, CHALLENGER: 0.0}, "at least one above 0"),
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
    assert drawn.count("-->") == sum(a != b for moves in TRANSITIONS.values() for a, b in moves.items())


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
