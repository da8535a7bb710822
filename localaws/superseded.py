"""Which changes in the journal nothing depends on any more, told as each new one is written down.

Only what is certain is dropped: an object that was written over or deleted, a bucket or a log group that is gone with
all that was in it, a session that has ended. Everything else stays. A dropped change leaves the others as they were,
because each draws its ids from a seed of its own.
"""

from __future__ import annotations

import html
import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from localaws.gateway import CREDENTIAL

SESSION = 12 * 3600.0  # seconds that an assumed role lasts at most
LOGS = "Logs_20140328."
KEY = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)
ASSUMES = re.compile(rb"(?:^|&)Action=AssumeRole(?:&|$)")
LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")  # elsewhere the bucket may stand in the host's name


@dataclass
class Bucket:
    """The changes that one bucket and its objects are made of."""

    everything: set[int] = field(default_factory=set)
    keys: dict[str, set[int]] = field(default_factory=dict)
    uploads: dict[str, int] = field(default_factory=dict)  # by key: begun and not yet ended
    needed: set[str] = field(default_factory=set)  # keys that a copy was made of, or that more than a write changed
    lent: bool = False  # something was copied to another bucket
    keeps_versions: bool = False


@dataclass
class LogGroup:
    everything: set[int] = field(default_factory=set)
    streams: dict[str, set[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One change as these rules look at it."""

    seed: int
    at: float
    head: Mapping[str, str]
    body: bytes

    @property
    def signed(self) -> tuple[str, ...]:
        """Key, region and service of its signature."""
        found = CREDENTIAL.search(self.head.get("HTTP_AUTHORIZATION") or self.head.get("QUERY_STRING", ""))
        return found.groups() if found else ("", "", "")

    @property
    def query(self) -> dict[str, str]:
        pairs = parse_qsl(self.head.get("QUERY_STRING", ""), keep_blank_values=True)
        return {name: value for name, value in pairs if name != "x-id" and not name.startswith("X-Amz-")}


class Superseded:
    """Fed with every change in order; answers with the seeds of those that are of no use any more."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._groups: dict[tuple[str, ...], LogGroup] = {}
        self._sessions: deque[tuple[float, int]] = deque()

    def by(self, change: Change) -> set[int]:
        """What the change makes useless: earlier ones, and itself when nothing of it remains."""
        ended = self._ended(change.at)
        target = change.head.get("HTTP_X_AMZ_TARGET", "")
        if target.startswith(LOGS):
            return ended | self._logs(change, target.removeprefix(LOGS))
        service = change.signed[2]
        if service == "s3" and LOOPBACK.fullmatch(change.head.get("HTTP_HOST", "")):
            return ended | self._s3(change)
        if service == "sts" and ASSUMES.search(change.body):
            self._sessions.append((change.at, change.seed))
        return ended

    def _ended(self, now: float) -> set[int]:
        ended = set()
        while self._sessions and self._sessions[0][0] < now - SESSION:
            ended.add(self._sessions.popleft()[1])
        return ended

    # --- log groups

    def _logs(self, change: Change, operation: str) -> set[int]:
        asked: dict[str, Any] = json.loads(change.body or b"{}")
        name, stream = asked.get("logGroupName"), asked.get("logStreamName")
        if not name:
            return set()
        place = (change.head.get("HTTP_X_MOTO_ACCOUNT_ID", ""), change.signed[1], name)
        group = self._groups.setdefault(place, LogGroup())
        if operation == "DeleteLogGroup":
            return self._groups.pop(place).everything | {change.seed}
        if operation == "DeleteLogStream":
            gone = group.streams.pop(stream or "", set())
            group.everything -= gone
            return gone | {change.seed}
        group.everything.add(change.seed)
        if stream:
            group.streams.setdefault(stream, set()).add(change.seed)
        return set()

    # --- buckets and objects

    def _s3(self, change: Change) -> set[int]:
        path = change.head.get("RAW_URI") or change.head.get("REQUEST_URI") or change.head.get("PATH_INFO", "/")
        name, _, key = unquote(path.partition("?")[0].lstrip("/")).partition("/")
        bucket = self._buckets.setdefault(name, Bucket())
        method, query = change.head["REQUEST_METHOD"], change.query
        self._copied(change.head.get("HTTP_X_AMZ_COPY_SOURCE", ""), name)
        if key:
            gone = self._object(bucket, key, method, query, change)
        elif method == "POST" and "delete" in query:
            gone = self._deleted(bucket, KEY.findall(change.body.decode(errors="replace")), change.seed)
        elif method == "DELETE" and not query and not bucket.lent:
            return self._buckets.pop(name).everything | {change.seed}
        else:
            bucket.keeps_versions |= "versioning" in query or "HTTP_X_AMZ_BUCKET_OBJECT_LOCK_ENABLED" in change.head
            gone = set()
        if change.seed not in gone:
            bucket.everything.add(change.seed)
        bucket.everything -= gone
        return gone

    def _copied(self, source: str, to: str) -> None:
        """What a copy was made of is needed to make it again."""
        if not source:
            return
        name, _, key = unquote(source.partition("?")[0].lstrip("/")).partition("/")
        bucket = self._buckets.setdefault(name, Bucket())
        bucket.lent |= name != to
        _fix(bucket, key)

    def _object(self, bucket: Bucket, key: str, method: str, query: Mapping[str, str], change: Change) -> set[int]:
        if method == "POST" and "uploads" in query:
            bucket.uploads[key] = bucket.uploads.get(key, 0) + 1
        elif "uploadId" in query and method in {"POST", "DELETE"}:
            bucket.uploads[key] = bucket.uploads.get(key, 1) - 1
        elif not query and "HTTP_IF_MATCH" not in change.head and self._can_forget(bucket, key):
            if method == "DELETE":
                return self._deleted(bucket, [key], change.seed)
            if method == "PUT":
                gone = bucket.keys.get(key, set())
                bucket.keys[key] = {change.seed}
                return gone
        bucket.keys.setdefault(key, set()).add(change.seed)
        if query.keys() - {"uploads", "uploadId", "partNumber"}:  # tags and their like belong to what was there
            _fix(bucket, key)
        return set()

    def _deleted(self, bucket: Bucket, keys: Iterable[str], seed: int) -> set[int]:
        gone: set[int] = set()
        remains = False
        for key in map(html.unescape, keys):
            if self._can_forget(bucket, key):
                gone |= bucket.keys.pop(key, set())
            else:
                remains = True
            remains |= key in bucket.needed
        return gone if remains else gone | {seed}

    def _can_forget(self, bucket: Bucket, key: str) -> bool:
        return not bucket.keeps_versions and not bucket.uploads.get(key)


def _fix(bucket: Bucket, key: str) -> None:
    """Keep what was done to a key so far."""
    bucket.needed.add(key)
    bucket.keys.pop(key, None)
