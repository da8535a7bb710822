"""The ledger: every decision, with who, what, why, inputs and outputs, in a chain that shows any edit.

An event is one object in the evidence bucket (versioned, under object lock), written only if its number is free. It
carries the hash of the event before it and a signature of its own, so that neither the middle nor the end can be
rewritten. Every `FOLD` events are stored once more as one object, a segment, and every `FOLD` segments as a larger one:
reading ten thousand events takes about twenty requests. Segments only repeat what the events say, and are checked
against them; losing one loses nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from contract.places import ledger_prefix
from delivery.signing import Signer, signed_by

FOLD, FOLDS = 16, 3  # segments of 16, 256 and 4096 events
READERS = 8
LOOK_BACK = 64
PLACE = re.compile(r"/(?:events|segments/(?P<size>\d{6}))/(?P<first>\d{12})\.jsonl?$")
GENESIS = "0" * 64
TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")


class LedgerError(Exception):
    """The ledger cannot be read; the text says where it breaks and what to do."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is written down: who did what to which model, why, from what inputs and with what outputs."""

    at: str
    who: str
    what: str
    why: str
    model: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    caller: str = ""
    """The ARN that AWS knew the writer by; empty where everybody is one caller, and in events of before it was kept."""


@dataclass(frozen=True, slots=True)
class Event:
    """A decision in its place in the chain."""

    number: int
    decision: Decision
    before: str
    signature: str = ""

    @property
    def digest(self) -> bytes:
        """What the signature is over: all but the signature."""
        return hashlib.sha256(dataclasses.replace(self, signature="").text.encode()).digest()

    @property
    def text(self) -> str:
        document = dataclasses.asdict(self)
        if not self.decision.caller:
            del document["decision"]["caller"]  # events of before it was kept stay as they were signed
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def is_signed(self, public_key: bytes) -> bool:
        """Whether this very decision, in this place, was signed with the environment's key."""
        try:
            signature = bytes.fromhex(self.signature)
        except (ValueError, TypeError):
            return False
        return signed_by(public_key, self.digest, signature)


@dataclass(frozen=True, slots=True)
class Break:
    """Where the ledger was edited, and how it shows."""

    number: int
    says: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of an environment in its evidence bucket; `s3` is a boto3 client."""

    s3: Any
    bucket: str
    environment: str
    fold: int = FOLD

    @property
    def sizes(self) -> list[int]:
        """How many events each kind of segment holds, smallest first."""
        return [self.fold**power for power in range(1, FOLDS + 1)]

    def event_key(self, number: int) -> str:
        return f"{ledger_prefix(self.environment)}events/{number:012d}.json"

    def segment_key(self, size: int, first: int) -> str:
        return f"{ledger_prefix(self.environment)}segments/{size:06d}/{first:012d}.jsonl"

    def append(self, decision: Decision, signer: Signer) -> Event:
        """Write the next event; when somebody else was quicker, go behind theirs."""
        while True:
            last = self.last()
            event = Event(last.number + 1 if last else 0, decision, last.hash if last else GENESIS)
            event = dataclasses.replace(event, signature=signer.sign(event.digest).hex())
            if self.write(self.event_key(event.number), event.text):
                break
        for size in self.sizes:
            if (event.number + 1) % size == 0:
                self.close_segment(size, event.number + 1 - size)
        return event

    def write(self, key: str, text: str) -> bool:
        """Store under a key that must be free; false when somebody else's text took it.

        Where the answer to a put is lost, the client puts again and finds the key taken by its own first put.
        """
        try:
            self.s3.put_object(
                Bucket=self.bucket, Key=key, Body=text.encode(), IfNoneMatch="*", ChecksumAlgorithm="SHA256"
            )
        except ClientError as problem:
            if problem.response["Error"]["Code"] in TAKEN:
                return self.holds(key, text)
            raise
        return True

    def holds(self, key: str, text: str) -> bool:
        """Whether that very text stands there; a signature is never made twice, so an event's text is one writer's."""
        try:
            return self.get(key) == text
        except self.s3.exceptions.NoSuchKey:  # what was in the way was taken away again, or never came to be
            return False

    def close_segment(self, size: int, first: int) -> None:
        """Repeat so many events as one object; put together from smaller segments where they are."""
        self.write(self.segment_key(size, first), "\n".join(self.texts(first, size)))

    def texts(self, first: int, size: int) -> list[str]:
        """So many events, from the segments that a segment of this size is made of, or one by one."""
        part = size // self.fold
        if part == 1:
            return self.get_all([self.event_key(number) for number in range(first, first + size)])
        found = []
        for start in range(first, first + size, part):
            try:
                found.append(self.get(self.segment_key(part, start)))
            except self.s3.exceptions.NoSuchKey:  # whoever wrote its last event was killed before closing it
                found.extend(self.texts(start, part))
        return found

    def pieces(self) -> list[str]:
        """The keys that together hold every event once, in order: large segments, smaller ones, single events."""
        pieces: list[str] = []
        covered = 0
        for size in reversed(self.sizes):
            before = self.segment_key(size, covered - size) if covered else ""
            for key in self.keys(f"segments/{size:06d}/", before):
                if key != self.segment_key(size, covered):  # one was never closed; smaller ones hold what it would
                    break
                pieces.append(key)
                covered += size
        return pieces + self.keys("events/", self.event_key(covered - 1) if covered else "")

    def last(self) -> Event | None:
        """The newest event."""
        pieces = self.pieces()
        if not pieces:
            return None
        first, size = self.place_of(pieces[-1])
        return read(self.get(self.event_key(first + size - 1)))

    def newest(self, most: int = LOOK_BACK) -> Iterator[Event]:
        """The newest events, newest first, read one by one as they are asked for."""
        last = self.last()
        if last is not None:
            yield last
            for number in range(last.number - 1, max(-1, last.number - most), -1):
                yield read(self.get(self.event_key(number)))

    def events(self, model: str | None = None) -> list[Event]:
        """Every event in order, from segments where they are closed; of one model alone, the others are not parsed."""
        texts = self.get_all(self.pieces())
        about = "" if model is None else f'"model":{json.dumps(model)}'
        found = [read(line) for text in texts for line in text.splitlines() if about in line]
        return [each for each in found if model is None or each.decision.model == model]

    def verify(self, public_key: bytes) -> list[Break]:
        """Every place where an event was edited, removed, added, reordered or signed by another key."""
        keys = self.keys("events/")
        texts = self.get_all(keys)
        breaks = [*self.rewritten(), *chain_breaks(texts, public_key)]
        for number, key in enumerate(keys):
            if key != self.event_key(number):
                breaks.append(Break(number, f"event {number} is missing: {key} stands in its place"))
                break
        segments = self.keys("segments/")
        for key, text in zip(segments, self.get_all(segments), strict=True):
            first, size = self.place_of(key)
            if text != "\n".join(texts[first : first + size]):
                breaks.append(Break(first, f"the segment {key} does not repeat its events"))
        return sorted(breaks, key=lambda each: each.number)

    def rewritten(self) -> Iterator[Break]:
        """Objects written over or deleted: the bucket keeps every version, and nobody writes an event twice."""
        prefix = ledger_prefix(self.environment)
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix):
            old = [each["Key"] for each in page.get("Versions", ()) if not each["IsLatest"]]
            deleted = [each["Key"] for each in page.get("DeleteMarkers", ())]
            for key in sorted({*old, *deleted}):
                yield Break(
                    self.place_of(key)[0],
                    f"{key} was written over or deleted; its first version is still in the bucket",
                )

    def place_of(self, key: str) -> tuple[int, int]:
        """The number of an object's first event, and how many it holds; none for what is no part of a ledger."""
        found = PLACE.search(key)
        return (int(found["first"]), int(found["size"] or 1)) if found else (0, 0)

    def keys(self, below: str, after: str = "") -> list[str]:
        start = {"StartAfter": after} if after else {}
        prefix = ledger_prefix(self.environment) + below
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, **start)
        return [each["Key"] for page in pages for each in page.get("Contents", ())]

    def get(self, key: str) -> str:
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode(errors="replace")

    def get_all(self, keys: Sequence[str]) -> list[str]:
        with ThreadPoolExecutor(READERS) as readers:
            return list(readers.map(self.get, keys))


def read(text: str) -> Event:
    try:
        document = json.loads(text)
        return Event(**document | {"decision": Decision(**document["decision"])})
    except (ValueError, TypeError, KeyError) as problem:
        raise LedgerError(
            f"a ledger event cannot be read ({problem}); run `slipway ledger verify` to find where"
        ) from None


def chain_breaks(texts: Sequence[str], public_key: bytes) -> Iterator[Break]:
    """Walk the chain: each event readable, canonical, signed, in its place, and carrying the hash of the one before."""
    before = GENESIS
    for number, text in enumerate(texts):
        problem = event_problem(number, text, before, public_key)
        if problem is not None:
            yield Break(number, problem)
        before = hashlib.sha256(text.encode()).hexdigest()


def event_problem(number: int, text: str, before: str, public_key: bytes) -> str | None:
    try:
        event = read(text)
    except (LedgerError, ValueError, TypeError, AttributeError) as problem:
        return f"event {number} cannot be read: {problem}"
    if event.number != number:
        return f"event {number} says it is number {event.number}"
    if event.before != before:
        return f"event {number} does not follow the event before it: one of the two was changed"
    if event.text != text or not event.is_signed(public_key):
        return f"event {number} is not as it was signed"
    return None


def explain(events: Sequence[Event], model: str) -> list[Event]:
    """What led to what serves a model now, newest first: its newest release, and back to the data it came from.

    An event belongs to the answer when something it produced is something a later one in the answer started from.
    """
    told: list[Event] = []
    wanted: set[str] = set()
    for event in reversed(events):
        if event.decision.model != model:
            continue
        made = {str(each) for each in event.decision.outputs.values()}
        if made & wanted or (not told and "release" in event.decision.outputs):
            told.append(event)
            wanted |= {str(each) for each in event.decision.inputs.values()}
    return told
