"""What was sealed is relied on only while it still holds, by the gates and the time of whoever relies on it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.delivery.ground import GATES, MODEL, Cloud, Ground
from delivery import approval
from delivery.bundle import BundleError, stamp, unseal
from delivery.dossier import Stored, experiment, read_bundle, read_result, result_key, signed, write_result
from delivery.gates import Gates
from delivery.registry import Version
from delivery.release import RefusedError
from delivery.signing import Signer

DAY = 86_400.0
NUMBERS = itertools.count(1)


@pytest.fixture
def here(rehearsal: Cloud, tmp_path: Path) -> Iterator[Ground]:
    """An environment whose one version was approved with sealed evidence, and serves nowhere yet."""
    ground = Ground.open(rehearsal, f"a{next(NUMBERS):03d}", tmp_path).prepare()
    ground.version(1)
    yield ground
    ground.leave()


def gates(*given: dict[str, Any]) -> Gates:
    return Gates.model_validate({"gates": given})


def approved(ground: Ground) -> Version:
    return ground.environment.registry(MODEL).pick("approved")


def refusal(ground: Ground) -> str:
    with pytest.raises(RefusedError) as refused:
        approval.vouched(ground.environment, MODEL, approved(ground))
    return str(refused.value)


def test_evidence_that_holds_then_and_now_vouches(here: Ground) -> None:
    package = approval.vouched(here.environment, MODEL, approved(here))
    assert package.evidence == approved(here).fact("evidence")


def test_evidence_that_has_become_too_old_does_not_deploy_and_asks_for_a_new_version(here: Ground) -> None:
    here.gates(gates({"kind": "age", "days_at_most": 1}))
    approval.vouched(here.environment, MODEL, approved(here))
    here.cloud.advance(1.5 * DAY)
    said = refusal(here)
    assert "age: found 1.5 days, wanted 0 to 1 days" in said
    assert f"slipway retrain {MODEL}" in said
    assert "approve" not in said.partition("\n")[2]  # a yes would not make it younger


def test_gates_that_became_stricter_hold_for_what_was_approved_before(here: Ground) -> None:
    here.gates(gates({"kind": "threshold", "metric": "auc", "at_least": 0.95, "by": "estimate"}))
    said = refusal(here)
    assert "threshold auc: found 0.9, wanted at least 0.95 (estimate)" in said
    assert f"slipway models approve {MODEL} 1 --note WHY" in said
    assert f"gates/{MODEL}.yaml" in said
    with pytest.raises(RefusedError, match="by the gates of today"):
        here.platform().deploy(MODEL, "1")
    assert here.environment.releases.read().models == {}


def test_a_bundle_judged_again_later_says_what_it_said_then(here: Ground) -> None:
    named = approved(here).fact("evidence")
    before = read_bundle(here.environment, MODEL, named)
    here.gates(gates({"kind": "threshold", "metric": "auc", "at_least": 0.95, "by": "estimate"}))
    here.cloud.advance(1.5 * DAY)
    stored = Stored(here.client("s3")).read(f"s3://{here.bucket('evidence')}/evidence/{MODEL}/{named}.json")
    again = unseal(stored, named, here.environment.signer.public_key())
    assert (again, again.verdict.word, again.gates) == (before, "pass", GATES)


def test_a_model_whose_gates_are_gone_is_not_deployed(here: Ground) -> None:
    (here.environment.root / "gates" / f"{MODEL}.yaml").unlink()
    with pytest.raises(approval.GatesError, match="has no gates"):
        approval.vouched(here.environment, MODEL, approved(here))


# What an experiment found.

RESULT = {
    "name": "spring",
    "decision": "promote",
    "looks": 3,
    "difference": {"estimate": 0.1, "low": None, "high": 0.2},
}


def test_what_an_experiment_found_is_judged_and_sealed_with_the_evidence(here: Ground) -> None:
    environment, version = here.environment, approved(here)
    trial = approval.vouched(environment, MODEL, version)
    record = write_result(environment, MODEL, {"result": RESULT, "progress": {"looks": [1, 2, 3]}})
    package = approval.proven(environment, MODEL, trial, record)
    before, after = (read_bundle(environment, MODEL, each.evidence) for each in (trial, package))
    assert before.evidence.experiment is None
    assert after.evidence.experiment == {**RESULT, "record": record}
    assert after.evidence.model_copy(update={"experiment": None}) == before.evidence
    assert package.evidence == after.hash == approved(here).fact("evidence")
    decisions = signed(environment.ledger.events(MODEL), version.arn, environment.signer.public_key())
    assert [(each.what, each.why, each.inputs["experiment"]) for each in decisions] == [("gate", "pass", record)]
    assert experiment(environment, MODEL, decisions) == after.evidence.experiment  # evidence gathered anew has it too


def test_a_challenger_whose_evidence_no_longer_holds_is_not_promoted_whatever_its_experiment_found(
    here: Ground,
) -> None:
    trial = approval.vouched(here.environment, MODEL, approved(here))
    record = write_result(here.environment, MODEL, {"result": RESULT})
    here.gates(gates({"kind": "threshold", "metric": "auc", "at_least": 0.95, "by": "estimate"}))
    with pytest.raises(RefusedError, match="threshold auc: found"):
        approval.proven(here.environment, MODEL, trial, record)
    assert approved(here).fact("evidence") == trial.evidence


@pytest.mark.parametrize("forge", ["text", "signature", "notation", "garbage", "another key"])
def test_a_result_that_was_changed_is_refused(here: Ground, signer: Signer, forge: str) -> None:
    environment = here.environment
    named = write_result(environment, MODEL, {"result": RESULT})
    place = {"Bucket": here.bucket("evidence"), "Key": result_key(MODEL, named)}
    stored = here.client("s3").get_object(**place)["Body"].read()
    document = json.loads(stored)
    _, strangers = stamp({"result": RESULT}, type(signer)())
    forged = {
        "text": stored.replace(b"promote", b"stopped"),
        "signature": stored.replace(document["signature"].encode(), b"00" * 70),
        "notation": json.dumps(document, indent=1).encode(),
        "garbage": b"[]",
        "another key": strangers,
    }[forge]
    here.client("s3").put_object(**place, Body=forged)
    with pytest.raises(BundleError, match=f"{named} in the evidence bucket"):
        read_result(environment, MODEL, named)
