"""The ledger is continued by everybody and rewritten by nobody."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from delivery.ledger import Decision, Event, Ledger, LedgerError, chain_breaks, explain, read
from delivery.signing import KmsSigner, Signer, signed_by

EVENTS = 20
FOLD = 2


def decision(number: int, **given: Any) -> Decision:
    facts: dict[str, Any] = {"inputs": {"n": number}} | given
    return Decision("2026-03-01T12:00:00Z", "ana", "deploy", "because", "churn", **facts)


@pytest.fixture
def ledger(s3: Any) -> Ledger:
    return Ledger(s3, "evidence", "dev", fold=FOLD)


def chain(signer: Signer, count: int = EVENTS) -> list[str]:
    before, texts = "0" * 64, []
    for number in range(count):
        event = Event(number, decision(number), before)
        event = dataclasses.replace(event, signature=signer.sign(event.digest).hex())
        texts.append(event.text)
        before = event.hash
    return texts


def edited(texts: list[str], rng: random.Random) -> list[str]:
    """One dishonest change of a kind and place drawn at random."""
    at = rng.randrange(len(texts))
    copy = list(texts)
    document = json.loads(copy[at])
    kind = rng.choice(["field", "drop", "swap", "insert", "spaces", "signature", "flip"])
    if kind == "drop":
        del copy[at if at < len(texts) - 1 else 0]  # a dropped end shows in the bucket's versions, not in the chain
    elif kind == "swap":
        other = (at + 1) % len(copy)
        copy[at], copy[other] = copy[other], copy[at]
    elif kind == "insert":
        copy.insert(at, copy[at])
    elif kind == "spaces":
        copy[at] = json.dumps(document, sort_keys=True)
    elif kind == "signature":
        document["signature"] = "00" * 70
        copy[at] = json.dumps(document, sort_keys=True, separators=(",", ":"))
    elif kind == "field":
        document["decision"][rng.choice(["who", "why", "at", "model"])] = "somebody else"
        copy[at] = json.dumps(document, sort_keys=True, separators=(",", ":"))
    else:
        place = rng.randrange(len(copy[at]))
        copy[at] = copy[at][:place] + chr(ord(copy[at][place]) ^ 1) + copy[at][place + 1 :]
    return copy


def test_an_honest_chain_has_no_breaks(signer: Signer) -> None:
    assert list(chain_breaks(chain(signer), signer.public_key())) == []


def test_every_one_of_a_hundred_edits_is_found(signer: Signer) -> None:
    texts, rng = chain(signer), random.Random(7)
    unseen = [n for n in range(100) if not list(chain_breaks(edited(texts, rng), signer.public_key()))]
    assert unseen == []


def test_a_ledger_signed_by_another_key_is_found(signer: Signer, s3: Any) -> None:
    other = type(signer)()
    assert len(list(chain_breaks(chain(other), signer.public_key()))) == EVENTS


def test_events_come_back_in_order_through_closed_segments(ledger: Ledger, signer: Signer) -> None:
    for number in range(FOLD**3 + FOLD + 1):
        ledger.append(decision(number), signer)
    assert [ledger.place_of(key) for key in ledger.pieces()] == [(0, FOLD**3), (FOLD**3, FOLD), (FOLD**3 + FOLD, 1)]
    assert numbers(ledger) == list(range(FOLD**3 + FOLD + 1))
    assert ledger.verify(signer.public_key()) == []


def numbers(ledger: Ledger) -> list[int]:
    return [event.decision.inputs["n"] for event in ledger.events()]


def test_two_writers_at_once_lose_nothing(ledger: Ledger, signer: Signer) -> None:
    with ThreadPoolExecutor(4) as writers:
        list(writers.map(lambda number: ledger.append(decision(number), signer), range(12)))
    assert sorted(event.decision.inputs["n"] for event in ledger.events()) == list(range(12))
    assert ledger.verify(signer.public_key()) == []


def test_a_decision_whose_answer_was_lost_is_written_once(ledger: Ledger, signer: Signer) -> None:
    """The put is stored, its answer never arrives, and botocore's own second try meets the key that the first took."""
    ledger.append(decision(0), signer)
    lost = ["the answer"]

    def lose(**answer: Any) -> float | None:
        put = answer["operation"].name == "PutObject" and answer["response"] is not None
        return 0.0 if put and lost and lost.pop() else None  # seconds until botocore sends it again

    ledger.s3.meta.events.register_first("needs-retry.s3.PutObject", lose)
    event = ledger.append(decision(1), signer)
    assert lost == []
    assert event.number == 1
    assert numbers(ledger) == [0, 1]
    assert ledger.verify(signer.public_key()) == []


def test_somebody_elses_event_in_the_place_of_ours_is_left_there(ledger: Ledger, signer: Signer) -> None:
    first = ledger.append(decision(0), signer)
    assert ledger.write(ledger.event_key(0), first.text)
    assert not ledger.write(ledger.event_key(0), first.text.replace("ana", "ben"))
    assert ledger.get(ledger.event_key(0)) == first.text


def test_an_event_written_over_or_deleted_is_found(ledger: Ledger, signer: Signer, s3: Any) -> None:
    for number in range(4):
        ledger.append(decision(number), signer)
    s3.delete_object(Bucket="evidence", Key=ledger.event_key(3))
    assert {each.number for each in ledger.verify(signer.public_key())} == {0, 2, 3}  # and what repeats it
    s3.put_object(Bucket="evidence", Key=ledger.event_key(1), Body=b"{}")
    assert {each.number for each in ledger.verify(signer.public_key())} >= {1, 2, 3}


@pytest.mark.parametrize("size", [FOLD, FOLD**2, FOLD**3])
def test_a_segment_that_nobody_closed_loses_nothing_and_larger_ones_make_up_for_it(
    ledger: Ledger, signer: Signer, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    close = Ledger.close_segment

    def killed(ledger: Ledger, of: int, first: int) -> None:
        if (of, first) != (size, 0):
            close(ledger, of, first)

    monkeypatch.setattr(Ledger, "close_segment", killed)
    for number in range(FOLD**3 + FOLD + 1):
        ledger.append(decision(number), signer)
        assert numbers(ledger) == list(range(number + 1))
    assert len(ledger.pieces()) <= FOLD**2
    assert ledger.verify(signer.public_key()) == []


def test_a_segment_that_says_something_else_than_its_events_is_found(ledger: Ledger, signer: Signer, s3: Any) -> None:
    for number in range(FOLD**2):
        ledger.append(decision(number), signer)
    for size, first in ((FOLD, FOLD), (FOLD**2, 0)):
        key = ledger.segment_key(size, first)
        s3.put_object(Bucket="evidence", Key=key, Body=ledger.get(key).replace("ana", "eve").encode())
    assert {each.number for each in ledger.verify(signer.public_key())} == {0, FOLD}


def test_what_is_no_part_of_a_ledger_is_found_in_it(ledger: Ledger, signer: Signer, s3: Any) -> None:
    ledger.append(decision(0), signer)
    s3.put_object(Bucket="evidence", Key=ledger.segment_key(FOLD, 0).replace("jsonl", "txt"), Body=b"{}")
    assert ledger.verify(signer.public_key()) != []


def test_an_event_of_before_callers_were_kept_reads_and_verifies_beside_new_ones(signer: Signer) -> None:
    texts = chain(signer, 2)
    assert "caller" not in texts[0]
    caller = "arn:aws:iam::123456789012:user/ana"
    new = Event(2, dataclasses.replace(decision(2), caller=caller), hashlib.sha256(texts[1].encode()).hexdigest())
    new = dataclasses.replace(new, signature=signer.sign(new.digest).hex())
    texts.append(new.text)
    assert list(chain_breaks(texts, signer.public_key())) == []
    assert [read(each).decision.caller for each in texts] == ["", "", caller]
    texts[2] = texts[2].replace("user/ana", "user/ben")
    assert [each.number for each in chain_breaks(texts, signer.public_key())] == [2]


def test_an_unreadable_event_says_what_to_run() -> None:
    with pytest.raises(LedgerError, match="slipway ledger verify"):
        read('{"number": 1}')


def test_the_explanation_walks_from_the_release_back_to_the_data() -> None:
    story = [
        ("snapshot", {}, {"data": "d1"}),
        ("snapshot", {}, {"data": "d2"}),
        ("train", {"data": "d1"}, {"artifact": "a1"}),
        ("gate", {"artifact": "a1"}, {"evidence": "e1"}),
        ("drift", {}, {"alarm": "x"}),
        ("deploy", {"evidence": "e1"}, {"release": "r1"}),
    ]
    events = [
        Event(n, dataclasses.replace(decision(n, inputs=i, outputs=o), what=what), "")
        for n, (what, i, o) in enumerate(story)
    ]
    assert [event.decision.what for event in explain(events, "churn")] == ["deploy", "gate", "train", "snapshot"]
    assert explain(events, "other") == []


def test_what_kms_signs_the_public_key_alone_can_check(s3: Any) -> None:
    kms = boto3.client("kms", region_name="eu-west-1")
    key = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["KeyId"]
    signer = KmsSigner(kms, key)
    digest = bytes(32)
    assert signed_by(signer.public_key(), digest, signer.sign(digest))
    assert not signed_by(signer.public_key(), bytes(31) + b"x", signer.sign(digest))
