"""Bad versions are rolled back by their guards and healthy ones are not, on real endpoints under traffic."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks.delivery import kills
from benchmarks.delivery.ground import MODEL, Ground, cloud, rollout
from benchmarks.delivery.rollouts import Callers, Field, Trial, beyond
from benchmarks.delivery.updates import artifact_hash
from contract.release import Rollout
from delivery.cli.exits import EXIT

pytestmark = pytest.mark.long
KINDS = ("errors", "latency", "wrong", "crash loop", "none")
KILLS = int(os.environ.get("SLIPWAY_KILLS", "2"))


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trial]:
    """One rollout of each kind, side by side."""
    work = tmp_path_factory.mktemp("field")
    with cloud(work) as where:
        field = Field.of(where, len(KINDS), work, seed=7)
        played = [field.trial(each, kind, rollout()) for each, kind in zip(field.grounds, KINDS, strict=True)]
        field.play(played)
    return {each.fault: each for each in played}


@pytest.mark.parametrize("kind", KINDS)
def test_a_version_ends_as_it_deserves_and_the_release_file_says_so(trials: dict[str, Trial], kind: str) -> None:
    trial = trials[kind]
    assert trial.as_expected, (trial.release, trial.problem)
    assert trial.release is not None
    assert trial.release.state == ("steady" if kind == "none" else "rolled_back")


def test_callers_met_no_more_of_a_bad_version_than_the_canarys_share(trials: dict[str, Trial]) -> None:
    assert beyond([each for each in trials.values() if each.fault != "none"], share=0.1) == 0


def test_an_auto_rollback_is_told_recorded_and_names_the_guard(trials: dict[str, Trial]) -> None:
    guards = {"errors": "rollback-errors", "latency": "rollback-latency", "wrong": "rollback-canary-drift"}
    for kind, guard in guards.items():
        release = trials[kind].release
        assert release is not None
        assert guard in release.reason
        assert any("rolled back by itself" in each for each in trials[kind].told)


def test_a_fleet_that_never_becomes_healthy_is_rolled_back_without_meeting_a_caller(
    ground: Callable[..., Ground],
) -> None:
    """As the new champion, or beside it; the minute that AWS gives a container at least is waited for in real time."""
    here, there = ground(), ground()
    for each in (here, there):
        each.version(2, "slow start")
    with ThreadPoolExecutor(1) as hand:
        tried = hand.submit(there.platform().start_experiment, MODEL, "spring", "2", 0.1)
        code, said = here.while_time_passes(lambda: kills.finished(here, "deploy", MODEL, "2", "--bake", "60"))
        there.while_time_passes(tried.result)
    assert code == EXIT["rolled_back"], said
    for each, state in ((here, "rolled_back"), (there, "steady")):
        release = each.release()
        assert (release.state, release.champion.package.version, release.challenger) == (state, 1, None)
        assert "ping health check" in release.reason
        assert each.environment.plan(MODEL, release).config_name == each.serving()


def test_a_rollback_serves_the_earlier_artifact_byte_for_byte_while_the_registry_fails(
    ground: Callable[..., Ground],
) -> None:
    here = ground()
    before = here.release().champion.package
    here.version(2)
    here.while_time_passes(lambda: here.platform().deploy(MODEL, "2", rollout=Rollout("all-at-once", bake_seconds=0)))
    assert artifact_hash(here) != before.artifact_hash
    here.cloud.fault(effect="fail", operation="*ModelPackage*")
    try:
        release = here.while_time_passes(lambda: here.platform().rollback(MODEL, reason="a rehearsal"))
    finally:
        here.cloud.heal()
    assert (release.state, release.champion.package) == ("rolled_back", before)
    assert artifact_hash(here) == before.artifact_hash
    callers = Callers(here, np.random.default_rng(0))
    callers.ask(5)
    assert callers.seen == {"1": 5}


def test_killed_at_random_moments_of_a_release_the_next_command_explains_and_finishes_or_undoes_it(
    tmp_path: Path,
) -> None:
    """As often as SLIPWAY_KILLS says."""
    with cloud(tmp_path, clock="real") as where:
        found = kills.campaign(where, tmp_path, KILLS, seed=int(hashlib.sha256(b"kills").hexdigest(), 16) % 2**31)
    assert [each for each in found if each.problems] == []
