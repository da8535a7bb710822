"""A sealed bundle is read back equal, judged again to the same verdict, and refused after any change."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from delivery.bundle import Bundle, BundleError, canonical, seal, unseal
from delivery.evidence import Approval, Evidence, Measure
from delivery.gates import Gates
from delivery.signing import Signer

GATES = Gates.model_validate(
    {"gates": [{"kind": "threshold", "metric": "auc", "at_least": 0.7}, {"kind": "age", "days_at_most": 3}]}
)


def evidence(now: datetime, auc: float = 0.8) -> Evidence:
    return Evidence(
        model="churn", version=3, author="ana", made_at=now - timedelta(days=1), artifact_hash="a", artifact_bytes=10,
        data_hash="d", code_hash="c", images={"training": "t"}, metrics={"auc": Measure(value=auc, low=auc, high=auc)},
        approvals=(Approval(who="ben", when=now),),
    )  # fmt: skip


@pytest.fixture
def sealed(now: datetime, signer: Signer) -> Bundle:
    return seal(evidence(now), GATES, now, signer)


def test_a_bundle_read_back_is_equal_and_judged_the_same(sealed: Bundle, signer: Signer) -> None:
    assert unseal(sealed.to_json(), sealed.hash, signer.public_key()) == sealed
    assert sealed.verdict.word == "pass"


def test_a_bundle_of_before_callers_were_kept_keeps_its_text(sealed: Bundle) -> None:
    assert b"caller" not in sealed.to_json()


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every leaf of a JSON document."""
    if isinstance(document, dict):
        return [leaf for key in document for leaf in places(document[key], (*path, key))]
    if isinstance(document, list):
        return [leaf for index, each in enumerate(document) for leaf in places(each, (*path, index))]
    return [path]


def tampered(document: Any, path: tuple[Any, ...], rng: random.Random) -> Any:
    copy = json.loads(json.dumps(document))
    holder = copy
    for step in path[:-1]:
        holder = holder[step]
    old = holder[path[-1]]
    holder[path[-1]] = (
        old + rng.choice([1, -1]) if isinstance(old, int | float) and not isinstance(old, bool) else f"{old}x"
    )
    return copy


def test_every_one_of_fifty_tampered_bundles_is_refused(sealed: Bundle, signer: Signer) -> None:
    rng, document = random.Random(3), json.loads(sealed.to_json())
    for _ in range(50):
        changed = tampered(document, rng.choice(places(document)), rng)
        with pytest.raises(BundleError):
            unseal(canonical(changed), sealed.hash, signer.public_key())


def test_a_bundle_renamed_after_tampering_fails_its_signature(sealed: Bundle, now: datetime, signer: Signer) -> None:
    better = seal(evidence(now, auc=0.99), GATES, now, type(signer)())
    with pytest.raises(BundleError, match="not signed by this environment's key"):
        unseal(better.to_json(), better.hash, signer.public_key())


def test_a_bundle_in_another_notation_is_refused(sealed: Bundle, signer: Signer) -> None:
    spaced = json.dumps(json.loads(sealed.to_json()), indent=1).encode()
    with pytest.raises(BundleError, match="was changed"):
        unseal(spaced, sealed.hash, signer.public_key())


@pytest.mark.parametrize("stored", [b"", b"\xff", b"[]", b"{}", b"[" * 9000, b'{"evidence": 1}'])
def test_garbage_is_refused_with_what_to_do(stored: bytes, signer: Signer) -> None:
    with pytest.raises(BundleError, match="slipway gates"):
        unseal(stored, "name", signer.public_key())


def test_a_verdict_that_the_gates_no_longer_give_is_refused(now: datetime, signer: Signer, monkeypatch: Any) -> None:
    with monkeypatch.context() as patch:
        real = judge_that_passes_everything(now)
        patch.setattr("delivery.bundle.judge", lambda *_: real)
        lenient = seal(evidence(now, auc=0.1), GATES, now, signer)
    with pytest.raises(BundleError, match="says 'pass', judging it again says 'fail'"):
        unseal(lenient.to_json(), lenient.hash, signer.public_key())


def judge_that_passes_everything(now: datetime) -> Any:
    from delivery.gates import judge

    return judge(GATES, evidence(now), now)
