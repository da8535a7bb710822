"""Lets what stands behind survive a restart: every change is written down before it is acknowledged, and done again.

moto keeps everything in memory. With a state folder each request that changes something is kept in SQLite with its time
and the seed that its ids came from, and replayed in order at the next start, so that ids, ARNs and object times are the
same as before. What is in transit is not kept: messages in queues and the publishing of them. What a later change makes
useless is dropped with it, in one transaction.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from werkzeug.datastructures import Headers
from werkzeug.test import create_environ, run_wsgi_app
from werkzeug.wrappers import Response as WsgiResponse

from localaws import drawn
from localaws.gateway import Application, Environ, StartResponse, read_body
from localaws.superseded import Change, Superseded

Answer = tuple[Iterable[bytes], str, Headers]
log = logging.getLogger(__name__)

READS = re.compile(
    r"^(Describe|List|Get|Head|BatchGet|Lookup|Search|Filter|Test|Simulate|Select|Scan|Query|Check|Validate|Estimate)"
)
IN_TRANSIT = {
    "SendMessage",
    "SendMessageBatch",
    "ReceiveMessage",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "Publish",
    "PublishBatch",
    "Invoke",
}
WITHOUT_EFFECT = {  # keys are used, nothing is changed
    "Encrypt",
    "Decrypt",
    "ReEncrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "GenerateRandom",
    "VerifyMac",
    "Sign",
    "Verify",
}
ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
KEPT = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "RAW_URI", "REQUEST_URI", "SCRIPT_NAME")


WHOLE = "SELECT seed, at, head, body FROM changes ORDER BY seed"
# Objects may be large, and what they hold does not matter to what is superseded.
PUTS = """'%"REQUEST_METHOD": "PUT"%'"""
SMALL = WHOLE.replace("body", f"CASE WHEN length(body) > 4000000 OR head LIKE {PUTS} THEN x'' ELSE body END")
WORTH_PAGES = 1000  # fewer free pages than this are left for what comes next


@dataclass(frozen=True)
class Entry:
    """One change: the request as it came, when, and the seed of what moto draws for it."""

    seed: int
    at: float
    head: Mapping[str, str]
    body: bytes
    keys: tuple[bytes, ...] = ()  # made for it, where they cannot be drawn


class Journal:
    """The changes of one state folder, in order."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=NORMAL")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS changes (seed INTEGER PRIMARY KEY, at REAL, head TEXT, body BLOB)"
        )
        self._file.execute("CREATE TABLE IF NOT EXISTS keys (seed INTEGER, place INTEGER, key BLOB)")
        self._lock = threading.Lock()
        self._superseded = Superseded()
        self._compact()

    def _compact(self) -> None:
        """Drop what is of no use any more, and give the room back when most of the file is empty."""
        gone: set[int] = set()
        for entry in self.entries(SMALL):
            gone |= self._superseded.by(Change(entry.seed, entry.at, entry.head, entry.body))
        with self._file:
            self._file.execute("BEGIN")
            self._drop(gone)
        (pages,) = self._file.execute("PRAGMA page_count").fetchone()
        (free,) = self._file.execute("PRAGMA freelist_count").fetchone()
        if free > max(pages // 2, WORTH_PAGES):
            self._file.execute("VACUUM")  # whole or not at all, like any transaction

    def entries(self, select: str = WHOLE) -> Iterable[Entry]:
        keys: dict[int, list[bytes]] = {}
        for seed, key in self._file.execute("SELECT seed, key FROM keys ORDER BY seed, place"):
            keys.setdefault(seed, []).append(key)
        for seed, at, head, body in self._file.execute(select):
            yield Entry(seed, at, json.loads(head), body, tuple(keys.get(seed, ())))

    def next_seed(self) -> int:
        (last,) = self._file.execute("SELECT coalesce(max(seed), 0) FROM changes").fetchone()
        return last + 1

    def add(self, entry: Entry) -> None:
        gone = self._superseded.by(Change(entry.seed, entry.at, entry.head, entry.body))
        with self._lock, self._file:
            self._file.execute("BEGIN")
            if entry.seed not in gone:
                values = (entry.seed, entry.at, json.dumps(entry.head), entry.body)
                self._file.execute("INSERT INTO changes VALUES (?,?,?,?)", values)
                keys = [(entry.seed, place, key) for place, key in enumerate(entry.keys)]
                self._file.executemany("INSERT INTO keys VALUES (?,?,?)", keys)
            self._drop(gone)

    def _drop(self, seeds: Iterable[int]) -> None:
        self._file.executemany("DELETE FROM changes WHERE seed=?", [(seed,) for seed in seeds])

    def close(self) -> None:
        self._file.close()


def in_turn(application: Application, change: Callable[[Environ, bytes], Answer]) -> Application:
    """`application`, whose changes are made one after the other.

    A put that depends on what is there is one step in S3; moto looks first, and another may come between.
    """
    lock = threading.Lock()

    def serving(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = read_body(environ)
        environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        if not changes(environ, body):
            return application(environ, start_response)
        with lock:
            chunks, status, headers = change(environ, body)
        return WsgiResponse(chunks, status, headers)(environ, start_response)

    return serving


def keep(application: Application, journal: Journal, now: Callable[[], float]) -> Application:
    """`application`, whose changes are in the journal, in the order they were made, before anybody is told of them."""
    drawn.install()
    seeds = iter(range(journal.next_seed(), 1 << 62))

    def change(environ: Environ, body: bytes) -> Answer:
        head, seed, at = head_of(environ), next(seeds), now()
        keys = drawn.begin(seed)
        answer = run_wsgi_app(application, environ, buffered=True)
        if int(answer[1].split()[0]) < 400:
            journal.add(Entry(seed, at, head, body, tuple(keys)))
        return answer

    return in_turn(application, change)


def replay(application: Application, journal: Journal, at: Callable[[float], None]) -> int:
    """Do every change again; tells how many."""
    drawn.install()
    count = 0
    for entry in journal.entries():
        at(entry.at)
        drawn.begin(entry.seed, entry.keys)
        environ = environ_of(entry)
        try:
            run_wsgi_app(application, environ, buffered=True)
        except Exception:
            log.exception("a change could not be replayed: %s", entry.head.get("PATH_INFO"))
        count += 1
    return count


def changes(environ: Environ, body: bytes) -> bool:
    """Whether a request changes something that is to be kept."""
    method = environ["REQUEST_METHOD"]
    if method in {"GET", "HEAD", "OPTIONS"}:
        return False
    action = action_of(environ, body)
    return action not in IN_TRANSIT | WITHOUT_EFFECT and not READS.match(action)


def action_of(environ: Environ, body: bytes) -> str:
    """The operation's name where the request carries one; REST requests do not."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return str(target).rpartition(".")[2]
    found = ACTION.search(body[:2000]) or ACTION.search(environ.get("QUERY_STRING", "").encode())
    if found:
        return found[1].decode()
    return "Invoke" if environ.get("PATH_INFO", "").endswith("/invocations") else ""


def head_of(environ: Environ) -> dict[str, str]:
    return {
        key: value
        for key, value in environ.items()
        if isinstance(value, str) and (key in KEPT or key.startswith("HTTP_"))
    }


def environ_of(entry: Entry) -> Environ:
    environ = create_environ()
    host = entry.head.get("HTTP_HOST", "localhost")
    environ |= {
        **entry.head,
        "SERVER_NAME": host.split(":")[0],
        "SERVER_PORT": host.partition(":")[2] or "80",
        "wsgi.input": BytesIO(entry.body),
        "CONTENT_LENGTH": str(len(entry.body)),
    }
    return environ
