"""Lets what stands behind survive a restart: every change is written down before it is acknowledged, and done again.

moto keeps everything in memory. With a state folder each request that changes something is kept in SQLite with its time
and the seed that its ids came from, and replayed in order at the next start, so that ids, ARNs and object times are the
same as before. What is in transit is not kept: messages in queues and the publishing of them.
"""

from __future__ import annotations

import json
import logging
import random
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from typing_extensions import override
from werkzeug.test import create_environ, run_wsgi_app
from werkzeug.wrappers import Response as WsgiResponse

from localaws.gateway import Application, Environ, StartResponse, read_body

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
ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
KEPT = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "RAW_URI", "REQUEST_URI", "SCRIPT_NAME")


@dataclass(frozen=True)
class Entry:
    """One change: the request as it came, when, and the seed of what moto draws for it."""

    seed: int
    at: float
    head: Mapping[str, str]
    body: bytes


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
        self._lock = threading.Lock()

    def entries(self) -> Iterable[Entry]:
        for seed, at, head, body in self._file.execute("SELECT seed, at, head, body FROM changes ORDER BY seed"):
            yield Entry(seed, at, json.loads(head), body)

    def next_seed(self) -> int:
        (last,) = self._file.execute("SELECT coalesce(max(seed), 0) FROM changes").fetchone()
        return last + 1

    def add(self, entry: Entry) -> None:
        with self._lock:
            values = (entry.seed, entry.at, json.dumps(entry.head), entry.body)
            self._file.execute("INSERT INTO changes VALUES (?,?,?,?)", values)

    def close(self) -> None:
        self._file.close()


def keep(application: Application, journal: Journal, now: Callable[[], float]) -> Application:
    """`application`, whose changes are in the journal before anybody is told of them."""
    draw_by_thread()
    lock = threading.Lock()
    seeds = iter(range(journal.next_seed(), 1 << 62))

    def keeping(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = read_body(environ)
        environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        if not changes(environ, body):
            return application(environ, start_response)
        head = head_of(environ)
        with lock:  # in the journal changes stand in the order they were made
            seed, at = next(seeds), now()
            _drawing.generator = random.Random(seed)  # noqa: S311  ids, not secrets
            chunks, status, headers = run_wsgi_app(application, environ, buffered=True)
            if int(status.split()[0]) < 400:
                journal.add(Entry(seed, at, head, body))
        return WsgiResponse(chunks, status, headers)(environ, start_response)

    return keeping


def replay(application: Application, journal: Journal, at: Callable[[float], None]) -> int:
    """Do every change again; tells how many."""
    draw_by_thread()
    count = 0
    for entry in journal.entries():
        at(entry.at)
        _drawing.generator = random.Random(entry.seed)  # noqa: S311
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
    return action not in IN_TRANSIT and not READS.match(action)


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


# --- moto's randomness, per thread ----------------------------------------------------------------------------------

_drawing = threading.local()


def draw_by_thread() -> None:
    """Let each thread draw from a generator of its own, so that a change's ids depend on its seed alone."""
    from moto.moto_api._internal import mock_random
    from moto.moto_api._internal.moto_random import MotoRandom

    class ByThread(MotoRandom):
        @override
        def random(self) -> float:
            return _generator().random()

        @override
        def getrandbits(self, k: int, /) -> int:
            return _generator().getrandbits(k)

    if type(mock_random) is MotoRandom:
        mock_random.__class__ = ByThread


def _generator() -> random.Random:
    found: random.Random | None = getattr(_drawing, "generator", None)
    if found is None:
        found = _drawing.generator = random.Random()  # noqa: S311
    return found
