"""What serves in one environment is released in another: the same bytes, judged anew, by the other's own yes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contract.release import Package, Release, Variant
from delivery import promotion
from delivery.bundle import BundleError
from delivery.dossier import read_bundle
from delivery.environment import Environment
from delivery.platform import Platform
from delivery.promotion import Offer
from delivery.release import RefusedError

DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@pytest.fixture
def source(checkout: Any) -> Environment:
    return Environment.open("local", checkout.root)


@pytest.fixture
def target(checkout: Any) -> Environment:
    return Environment.open("rehearsal", checkout.root)


@pytest.fixture
def wide_margin(checkout: Any) -> Iterator[None]:
    """Versions that other tests made may be worse than what serves: how much worse is not what is tried here."""
    gates = checkout.root / "gates" / "churn.yaml"
    text = gates.read_text()
    gates.write_text(text.replace("margin: 0.02", "margin: 0.5"))
    yield
    gates.write_text(text)


def other_than_served(source: Environment, target: Environment) -> str:
    """An approved version of the source that the target does not serve."""
    serving = target.releases.read().models.get("churn")
    served = serving.champion.package.artifact_hash if serving else ""
    approved = [each for each in source.registry("churn").versions() if each.approval == "Approved"]
    return str(next(each.version for each in approved if each.metadata["artifact_hash"] != served))


@pytest.mark.usefixtures("wide_margin")
def test_what_serves_in_one_account_serves_in_the_next_with_evidence_of_its_own(
    checkout: Any, source: Environment, target: Environment
) -> None:
    wanted, before = other_than_served(source, target), target.releases.read()
    there = Platform("rehearsal", root=checkout.root)
    sample = next((checkout.root / ".slipway" / "sample").iterdir())

    seen: list[str] = []
    with pytest.raises(RefusedError, match="not agreed; rehearsal serves what it served"):
        there.promote(
            "local", "churn", note="tried", version=wanted, data=sample, agree=lambda asked: bool(seen.append(asked))
        )
    assert seen != []
    assert target.releases.read() == before

    line = f'slipway promote local rehearsal --version {wanted} --note "a quiet week" --strategy all-at-once --yes'
    assert checkout.ask(line)["churn"]["state"] == "steady"
    offer = promotion.offered(source, "churn", wanted)
    package = target.releases.release("churn").champion.package
    assert package.artifact_hash == offer.package.artifact_hash
    assert package.image.rpartition("@")[2] == offer.package.image.rpartition("@")[2]
    assert (":123456789012:" in offer.package.arn, ":210987654321:" in package.arn) == (True, True)

    judged = read_bundle(target, "churn", package.evidence)
    assert (judged.verdict.word, judged.evidence.author) == ("pass", offer.bundle.evidence.author)
    decided = [each.decision for each in target.ledger.events()]
    assert {"promote", "approve", "gate", "deploy"} <= {each.what for each in decided}
    assert "tried" in {each.why for each in decided if each.what == "approve"}
    assert any(each.inputs.get("evidence") == offer.bundle.hash for each in decided if each.what == "promote")
    assert checkout.ask("slipway preview rehearsal")["changes"] == []
    assert "already" in checkout.type(line).err


def test_the_sources_seal_does_not_vouch_in_the_target(source: Environment, target: Environment) -> None:
    offer = promotion.offered(source, "churn", "1")
    promotion.carry(source, target, "churn", offer)
    with pytest.raises(BundleError, match="not signed by this environment's key"):
        read_bundle(target, "churn", offer.bundle.hash)


def test_an_artifact_that_was_changed_on_the_way_is_refused(source: Environment, target: Environment) -> None:
    offer = promotion.offered(source, "churn", "1")
    bucket = source.bucket("artifacts")
    source.s3.put_object(Bucket=bucket, Key="runs/changed.tar.gz", Body=b"something else")
    changed = dataclasses.replace(offer.package, artifact=f"s3://{bucket}/runs/changed.tar.gz")
    with pytest.raises(RefusedError, match="was changed"):
        promotion.carry(source, target, "churn", dataclasses.replace(offer, package=changed))


def test_a_target_without_data_of_its_own_says_how_to_hand_some_over(target: Environment, monkeypatch: Any) -> None:
    monkeypatch.setattr(promotion.DataStore, "versions", lambda _: [])
    with pytest.raises(RefusedError, match="--data PLACE"):
        promotion.data_of(target, "churn", None)


# Decided without a cloud.


def package(image: str = f"a/inference@{DIGEST}", artifact_hash: str = "a") -> Package:
    return Package(1, "arn:1", image, "s3://b/1", artifact_hash, "e")


def offer(**given: Any) -> Offer:
    bundle: Any = None
    return Offer("local", package(**given), bundle)


def test_another_image_than_the_one_that_was_tried_is_refused() -> None:
    target: Any = SimpleNamespace(name="prod", outputs=SimpleNamespace(images={"inference": f"b/inference@{OTHER}"}))
    with pytest.raises(RefusedError, match=r"Set images\.inference in Pulumi\.prod\.yaml"):
        promotion.same_image(target, offer())
    promotion.same_image(target, offer(image=f"elsewhere/inference@{OTHER}"))


def test_a_champion_that_is_still_rolling_out_is_not_promoted(tmp_path: Path) -> None:
    release = Release("rolling", (Variant("champion", package()),))
    source: Any = SimpleNamespace(name="dev", releases=SimpleNamespace(release=lambda _: release))
    with pytest.raises(RefusedError, match="nothing has proved itself there yet"):
        promotion.offered(source, "churn", None)


@pytest.mark.parametrize(
    ("state", "artifact_hash", "image", "already"),
    [
        ("steady", "a", f"x/inference@{DIGEST}", True),
        ("steady", "b", f"x/inference@{DIGEST}", False),
        ("steady", "a", f"x/inference@{OTHER}", False),
        ("rolling", "a", f"x/inference@{DIGEST}", False),
    ],
)
def test_the_same_model_in_the_same_image_serves_already(
    state: Any, artifact_hash: str, image: str, already: bool
) -> None:
    release = Release(state, (Variant("champion", package(image, artifact_hash)),))
    assert promotion.serves_already(release, offer()) is already
