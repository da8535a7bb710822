"""Five hundred requests made to break the server: each is refused with a sentence, and it serves on as before."""

from __future__ import annotations

import http.client
import io
import json
import socket
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import psutil
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.inference.conftest import Server, Start

GOOD = b"33.5,2,1,basic,city-7"
EXAMPLES = 500
SEVEN_MEGABYTES = 7_000_000
GROWTH_BYTES = (
    24_000_000  # a first body of 6 MB and its rows may stay in the allocator; a leak of 500 requests is far more
)
Sent = tuple[str, bytes]


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=array.dtype.hasobject)
    return out.getvalue()


def parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def of_type(content_type: str, bodies: st.SearchStrategy[bytes]) -> st.SearchStrategy[Sent]:
    return st.tuples(st.just(content_type), bodies)


def cut(whole: bytes) -> st.SearchStrategy[bytes]:
    return st.integers(0, len(whole) - 1).map(lambda end: whole[:end])


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


NPY, PARQUET = npy(np.ones((50, 5))), parquet(pl.DataFrame({"age": [1.0] * 50, "calls": [2] * 50}))
ragged = st.lists(st.sampled_from([b"1", b"", b"a", b"1,2,3", b"1,2,1,a,b,c"]), min_size=1, max_size=20).map(
    lambda lines: b"\n".join(lines) + b"\n1"
)
wrong_values: st.SearchStrategy[Any] = st.one_of(
    st.text(min_size=1, alphabet="xyz{}\"'\\\0☃"),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(), st.none()),
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
).map(lambda document: {"instances": document, "more": 1})

malformed: st.SearchStrategy[Sent] = st.one_of(
    of_type("text/csv", st.binary(min_size=1, max_size=200).map(lambda body: b"\xff" + body)),
    of_type("text/csv", ragged),
    of_type("text/csv", st.integers(310, 5000).map(lambda exponent: b"1e%d,2,1,a,b" % exponent)),
    of_type(
        "text/csv",
        st.sampled_from([b"inf,2,1,a,b", b"-Infinity,2,1,a,b", b"0x1p3,2,1,a,b", b"1,2,NaN1,a,b", b'1,2,1,"a']),
    ),
    of_type("text/csv", st.text(min_size=1, alphabet='abc,;"\t').map(lambda text: text.encode() + b"\n1,2")),
    of_type("application/json", st.binary(max_size=100).map(lambda body: b"{" + body)),
    of_type("application/json", wrong_values.map(lambda value: json.dumps([[value, 2, True, "a", "b"]]).encode())),
    of_type(
        "application/json",
        st.sampled_from([b"NaN", b"[[NaN,1,true,1,1]]", b'[[1e999,1,true,"a","b"]]', b"null", b'""']),
    ),
    of_type("application/json", st.integers(500, 300_000).map(nested)),
    of_type("application/json", documents.map(lambda document: json.dumps(document).encode())),
    of_type("application/jsonlines", st.binary(min_size=1, max_size=100).map(lambda body: b"[1,\n" + body)),
    of_type("application/x-npy", cut(NPY)),
    of_type("application/x-npy", st.binary(max_size=200).map(lambda body: b"\x93NUMPY\x01\x00" + body)),
    of_type("application/x-npy", st.just(npy(np.array([[{}] * 5], dtype=object)))),
    of_type("application/x-npy", st.just(npy(np.full((2, 5), np.inf)))),
    of_type(
        "application/x-npy", st.integers(1, 2**60).map(lambda rows: NPY.replace(b"(50, 5)", b"(%d, 5)" % (rows + 50)))
    ),
    of_type("application/x-parquet", cut(PARQUET)),
    of_type("application/x-parquet", st.binary(max_size=300).map(lambda body: b"PAR1" + body + b"PAR1")),
    of_type("application/x-parquet", st.just(PARQUET)),
    of_type("text/csv", st.integers(1, 50).map(lambda pad: GOOD * ((SEVEN_MEGABYTES + pad) // len(GOOD)))),
    of_type("application/octet-stream", st.binary(max_size=50)),
)


def test_five_hundred_malformed_requests_are_refused_and_change_nothing(start: Start, artifact: Path) -> None:
    server = start(artifact, SLIPWAY_SERVE_READ_SECONDS="2", SLIPWAY_SERVE_LOG="none")
    before = answers(server)
    bodies_of_all_kinds(server)
    memory = resident(server)
    slow = [slow_sender(server, sent) for sent in SLOW]
    refused, connection = count(1), http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(malformed)
    def refuse(sent: Sent) -> None:
        content_type, body = sent
        connection.request("POST", "/invocations", body, {"Content-Type": content_type})
        response = connection.getresponse()
        answer = response.read()
        assert 400 <= response.status < 500, (sent[0], body[:200], answer)
        assert len(json.loads(answer)["error"]["message"]) > 10
        assert b"Traceback" not in answer
        next(refused)

    refuse()
    connection.close()
    assert next(refused) > EXAMPLES * 0.9
    for sender in slow:
        assert sender().startswith(b"HTTP/1.1 408 ")
    assert answers(server) == before
    assert resident(server) - memory < GROWTH_BYTES
    assert server.ask("GET", "/ping?detail").json["workers_well"] == 1
    assert not server.events("worker_died")


SLOW = (
    b"POST",
    b"POST /invocations HTTP/1.1\r\nHost: x\r\nX-",
    b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 5000000\r\n\r\n33.5",
    b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n33.5",
)


def slow_sender(server: Server, sent: bytes) -> Callable[[], bytes]:
    """Begin a request and never end it; call the answer to learn how the server ended it."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(sent)

    def ended() -> bytes:
        with connection:
            return connection.recv(65536)

    return ended


def answers(server: Server) -> list[bytes]:
    many = [GOOD, b"61,0,0,pro,city-1\n" * 3]
    return [server.invoke(body, accept=form).body for body in many for form in ("text/csv", "application/json")]


def bodies_of_all_kinds(server: Server) -> None:
    """Let the worker load what it loads once, and grow to what the largest body needs."""
    server.invoke(PARQUET, "application/x-parquet")
    server.invoke(NPY, "application/x-npy")
    server.invoke((GOOD + b"\n") * (6_000_000 // (len(GOOD) + 1)))
    server.invoke(b"[" * 6_000_000, "application/json")


def resident(server: Server) -> int:
    top = psutil.Process(server.process.pid)
    return sum(each.memory_info().rss for each in [top, *top.children(recursive=True)])
