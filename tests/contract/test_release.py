"""A release record is always in one honest state."""

from __future__ import annotations

import pytest

from contract.records import RecordError
from contract.release import CHALLENGER, CHAMPION, Package, Release, Releases, Rollout, Variant

PACKAGE = Package(3, "arn:p/3", "image@sha256:1", "s3://a/model.tar.gz", "h", "e")


def variant(name: str) -> Variant:
    return Variant(name, PACKAGE, weight=0.25, instances=2)


def test_releases_come_back_equal_from_their_json() -> None:
    steady = Release("steady", (variant(CHAMPION),), Rollout("linear", 20), previous=PACKAGE, shadow=variant("shadow"))
    trial = Release("experiment", (variant(CHAMPION), variant(CHALLENGER)), experiment="e1")
    releases = Releases({"churn": steady, "iris": trial})
    assert Releases.from_json(releases.to_json()) == releases


def test_an_empty_file_means_that_nothing_serves() -> None:
    assert Releases.from_json(None) == Releases()


def test_a_challenger_outside_an_experiment_is_refused() -> None:
    with pytest.raises(RecordError, match="expected \\['champion'\\]"):
        Release("steady", (variant(CHAMPION), variant(CHALLENGER)))


def test_a_canary_of_more_than_half_is_refused_with_the_reason() -> None:
    with pytest.raises(RecordError, match="at most half"):
        Rollout("canary", 60)


@pytest.mark.parametrize("seconds", [-5, 3601])
@pytest.mark.parametrize("name", ["bake_seconds", "termination_wait_seconds"])
def test_a_wait_that_sagemaker_does_not_make_is_refused_with_its_bounds(name: str, seconds: int) -> None:
    with pytest.raises(RecordError, match=f"{name} is {seconds}, expected 0 to 3600"):
        Rollout.from_json({name: seconds})


@pytest.mark.parametrize("seconds", [0, 3600])
def test_the_shortest_and_the_longest_wait_are_allowed(seconds: int) -> None:
    assert Rollout(bake_seconds=seconds, termination_wait_seconds=seconds).bake_seconds == seconds


def test_a_misspelt_key_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecordError, match="did you mean 'weight'"):
        Variant.from_json({"name": CHAMPION, "package": PACKAGE.to_json(), "wieght": 1})
