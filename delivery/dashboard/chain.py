"""What of a ledger was read and checked already, so that another look fetches only what was decided since.

The first look reads every event from where it is stored in the fewest objects. That each of them is still stored as it
was first written, one by one and in every copy, is what `slipway ledger verify` asks.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace

from delivery.ledger import GENESIS, Break, Event, Ledger, LedgerError, event_problem, read

Stored = tuple[str, str]  # an object's key and the tag of its content


@dataclass(frozen=True, slots=True)
class Chain:
    """The events so far, what breaks their chain, and the hash that the next one has to carry."""

    count: int = 0
    events: tuple[Event, ...] = ()
    breaks: tuple[Break, ...] = ()
    before: str = GENESIS
    last: Stored | None = None

    def extended(self, texts: Sequence[str], public_key: bytes | None) -> Chain:
        """With further events, each checked against the one before it; without a key they are only read."""
        events, breaks, before = list(self.events), list(self.breaks), self.before
        for number, text in enumerate(texts, self.count):
            problem = event_problem(number, text, before, public_key) if public_key is not None else None
            breaks += [Break(number, problem)] if problem is not None else []
            events += readable(text)
            before = hashlib.sha256(text.encode()).hexdigest()
        return replace(self, count=self.count + len(texts), events=tuple(events), breaks=tuple(breaks), before=before)


def readable(text: str) -> list[Event]:
    try:
        return [read(text)]
    except LedgerError:
        return []


def looked_at(ledger: Ledger, chain: Chain, public_key: bytes | None) -> Chain:
    """The chain with what was written since; from the beginning when its last event is not there as it was."""
    if chain.last is None:
        return whole(ledger, public_key)
    found = stored(ledger, chain.last[0])
    if found[:1] != [chain.last]:  # another ledger stands there now, as after a reset
        return whole(ledger, public_key)
    texts = ledger.get_all([key for key, _ in found[1:]])
    return replace(chain.extended(texts, public_key), last=found[-1])


def whole(ledger: Ledger, public_key: bytes | None) -> Chain:
    pieces = ledger.pieces()
    if not pieces:
        return Chain()
    first, size = ledger.place_of(pieces[-1])
    last = stored(ledger, ledger.event_key(first + size - 1))
    lines = [line for text in ledger.get_all(pieces) for line in text.splitlines()]
    return replace(Chain().extended(lines, public_key), last=last[0] if last else None)


def stored(ledger: Ledger, key: str) -> list[Stored]:
    """The event under a key and all behind it."""
    pages = ledger.s3.get_paginator("list_objects_v2").paginate(
        Bucket=ledger.bucket, Prefix=f"{key.rpartition('/')[0]}/", StartAfter=key.removesuffix(".json")
    )
    return [(each["Key"], each["ETag"]) for page in pages for each in page.get("Contents", ())]


@dataclass(frozen=True, slots=True)
class Chains:
    """The chains that this process knows; one look at a time, so that none is fetched twice."""

    known: dict[Hashable, Chain] = field(default_factory=dict)
    alone: threading.Lock = field(default_factory=threading.Lock)

    def look(self, of: Hashable, at: Callable[[Chain], Chain]) -> Chain:
        with self.alone:
            self.known[of] = at(self.known.get(of, Chain()))
            return self.known[of]
