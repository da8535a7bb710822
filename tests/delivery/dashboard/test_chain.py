"""The page checks each decision once, and sees what was written since."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from delivery.dashboard.chain import Chain, Chains, looked_at
from delivery.dashboard.looking import Look
from delivery.dashboard.parts import ledger as part
from delivery.ledger import Decision, Event, Ledger
from delivery.signing import Signer

FOLD, EVENTS = 2, 11
DECISION = Decision("2026-03-01T12:00:00Z", "ana", "deploy", "because", "churn")


@pytest.fixture
def ledger(s3: Any, signer: Signer) -> Ledger:
    made = Ledger(s3, "evidence", "dev", fold=FOLD)
    for _ in range(EVENTS):
        made.append(DECISION, signer)
    return made


@contextmanager
def reading(s3: Any) -> Iterator[list[str]]:
    """The keys that are fetched for as long as the block lasts."""
    fetched: list[str] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        fetched.append(params["Key"])

    s3.meta.events.register("provide-client-params.s3.GetObject", note)
    yield fetched
    s3.meta.events.unregister("provide-client-params.s3.GetObject", note)


def test_the_first_look_reads_every_decision_in_few_objects(ledger: Ledger, signer: Signer) -> None:
    with reading(ledger.s3) as fetched:
        chain = looked_at(ledger, Chain(), signer.public_key())
    assert (chain.count, len(chain.events), chain.breaks) == (EVENTS, EVENTS, ())
    assert len(fetched) < EVENTS / 2


def test_another_look_fetches_nothing_that_was_checked(ledger: Ledger, signer: Signer) -> None:
    chain = looked_at(ledger, Chain(), signer.public_key())
    with reading(ledger.s3) as fetched:
        assert looked_at(ledger, chain, signer.public_key()) == chain
    assert fetched == []


def test_what_was_decided_since_is_read_and_checked(ledger: Ledger, signer: Signer) -> None:
    chain = looked_at(ledger, Chain(), signer.public_key())
    event = ledger.append(DECISION, signer)
    with reading(ledger.s3) as fetched:
        later = looked_at(ledger, chain, signer.public_key())
    assert fetched == [ledger.event_key(event.number)]
    assert (later.count, later.events[-1], later.breaks) == (EVENTS + 1, event, ())


def test_a_decision_that_does_not_follow_is_found_when_it_comes(ledger: Ledger, signer: Signer) -> None:
    chain = looked_at(ledger, Chain(), signer.public_key())
    forged = Event(EVENTS, DECISION, "0" * 64)
    forged = dataclasses.replace(forged, signature=signer.sign(forged.digest).hex())
    ledger.write(ledger.event_key(EVENTS), forged.text)
    later = looked_at(ledger, chain, signer.public_key())
    assert [each.number for each in later.breaks] == [EVENTS]
    assert "does not follow" in later.breaks[0].says
    ledger.write(ledger.event_key(EVENTS + 1), "{")
    latest = looked_at(ledger, later, signer.public_key())
    assert [each.number for each in latest.breaks] == [EVENTS, EVENTS + 1]


def test_a_ledger_that_was_begun_anew_is_read_anew(ledger: Ledger, signer: Signer) -> None:
    chain = looked_at(ledger, Chain(), signer.public_key())
    other = Ledger(ledger.s3, ledger.bucket, "other", fold=FOLD)
    other.append(DECISION, signer)
    ledger.s3.put_object(Bucket=ledger.bucket, Key=ledger.event_key(EVENTS - 1), Body=b"another")
    assert looked_at(ledger, chain, signer.public_key()).last != chain.last
    gone = dataclasses.replace(chain, last=(other.event_key(5), chain.last[1] if chain.last else ""))
    assert looked_at(other, gone, signer.public_key()).count == 1


def test_without_the_key_decisions_are_read_and_nothing_is_said_of_the_chain(ledger: Ledger) -> None:
    chain = looked_at(ledger, Chain(), None)
    assert (chain.count, chain.breaks) == (EVENTS, ())
    assert "was not checked" in part.whole(part.Found(chain.events, EVENTS, EVENTS, None))


def test_nothing_decided_is_no_chain(s3: Any, signer: Signer) -> None:
    assert looked_at(Ledger(s3, "evidence", "empty"), Chain(), signer.public_key()) == Chain()


def test_each_ledger_has_a_chain_of_its_own() -> None:
    chains = Chains()
    assert chains.look("a", lambda known: dataclasses.replace(known, count=known.count + 1)).count == 1
    assert chains.look("a", lambda known: dataclasses.replace(known, count=known.count + 1)).count == 2
    assert chains.look("b", lambda known: known) == Chain()


def test_the_page_says_where_the_full_check_is(filled: Any) -> None:
    look = Look(filled.environment, "churn")
    part.read(look)
    with reading(look.client("s3")) as fetched:
        shown = part.show(part.read(look))
    assert "slipway ledger verify" in shown
    assert [key for key in fetched if "ledger/" in key] == []
