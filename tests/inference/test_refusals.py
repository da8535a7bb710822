"""What is the caller's fault is a 4xx whose sentence says where and what was expected."""

from __future__ import annotations

import io
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

if TYPE_CHECKING:
    from tests.inference.conftest import Server, Start

GOOD = b"33.5,2,1,basic,city-7"


def npy(array: np.ndarray, *, allow_pickle: bool = False) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=allow_pickle)
    return out.getvalue()


def parquet(**columns: list[object]) -> bytes:
    out = io.BytesIO()
    pl.DataFrame(columns, strict=False).write_parquet(out)
    return out.getvalue()


CASES: dict[str, tuple[str, bytes, int, list[str]]] = {
    "text for a number": ("text/csv", GOOD + b"\nold,2,1,basic,city-7", 400, ["row 2", "'age'", "a number", "'old'"]),
    "a fraction": ("text/csv", b"33,2.5,1,basic,x", 400, ["row 1", "'calls'", "a whole number", "'2.5'"]),
    "no truth": ("text/csv", b"33,2,perhaps,basic,x", 400, ["'active'", "true or false", "'perhaps'"]),
    "too large": ("text/csv", b"1e999,2,1,basic,x", 400, ["'age'", "finite"]),
    "ragged": ("text/csv", GOOD + b"\n1,2,3", 400, ["row 2", "3 cells", "expected 5"]),
    "open quote": ("text/csv", b'1,2,1,"basic,x', 400, ["row 1", "quote"]),
    "bad UTF-8": ("text/csv", b"1,2,1,\xff\xfe,x", 400, ["row 1", "not UTF-8"]),
    "a byte order mark": ("text/csv", b"\xef\xbb\xbf" + GOOD, 400, ["byte order mark"]),
    "an unknown column": ("text/csv", b"agee,calls,active,plan,city\n" + GOOD, 400, ["'agee'", "Did you mean 'age'?"]),
    "the target": ("text/csv", b"age,calls,active,plan,city,churned\n", 400, ["'churned' is what the model predicts"]),
    "a column twice": ("text/csv", b"age,age,calls,active,plan,city\n", 400, ["given twice: 'age'"]),
    "a strange header parameter": ("text/csv; header=maybe", GOOD, 400, ["header=present or header=absent"]),
    "only a header": ("text/csv", b"age,calls,active,plan,city", 400, ["no rows"]),
    "nothing": ("text/csv", b"", 400, ["empty"]),
    "not JSON": ("application/json", b"{", 400, ["not JSON"]),
    "deep JSON": ("application/json", b"[" * 100_000, 400, ["nested too deeply"]),
    "a JSON number": ("application/json", b"7", 400, ["JSON number", "instances"]),
    "a JSON NaN": ("application/json", b'[[NaN,2,1,"a","b"]]', 400, ["not JSON"]),
    "short rows": ("application/json", b'[[1,2,true,"a","b"],[1]]', 400, ["row 2", "1 values, expected 5"]),
    "an object first": ("application/json", b'[{"age":1},[1]]', 400, ["row 2", "JSON list", "as the first row is"]),
    "mixed rows": ("application/json", b'[[1,2,true,"a","b"],{}]', 400, ["row 2", "JSON object", "a list"]),
    "a list as a value": ("application/json", b'[[1,[2],true,"a","b"]]', 400, ["row 1", "'calls'", "whole number"]),
    "an object as a category": ("application/json", b'[[1,2,true,{},"b"]]', 400, ["'plan'", "a text"]),
    "a huge integer": ("application/json", b"[[1" + b"0" * 400 + b',2,true,"a","b"]]', 400, ["age"]),
    "a missing name": ("application/json", b'{"age": 1, "calls": 2}', 400, ["missing: 'active', 'plan', 'city'"]),
    "uneven columns": (
        "application/json",
        b'{"columns": {"age": [1], "calls": [1, 2], "active": [1, 2], "plan": ["a", "b"], "city": ["a", "b"]}}',
        400,
        ["'age' has 1"],
    ),
    "odd keys": ("application/json", b'{"instances": [], "more": 1}', 400, ["instances, more"]),
    "a bad line": ("application/jsonlines", b'[1,2,true,"a","b"]\n[1,', 400, ["line 2", "not JSON"]),
    "no npy": ("application/x-npy", b"hello", 400, [".npy"]),
    "a cut npy": ("application/x-npy", npy(np.zeros((3, 5)))[:-8], 400, ["cut off"]),
    "a lying npy": ("application/x-npy", npy(np.zeros((3, 5))).replace(b"(3, 5)", b"(9, 5)"), 400, ["cut off"]),
    "a pickled npy": (
        "application/x-npy",
        npy(np.array([[{}] * 5], dtype=object), allow_pickle=True),
        400,
        ["never loaded"],
    ),
    "a narrow npy": ("application/x-npy", npy(np.zeros((3, 4))), 400, ["(3, 4)", "(rows, 5)"]),
    "an infinite npy": ("application/x-npy", npy(np.full((2, 5), np.inf)), 400, ["row 1", "'age'", "finite"]),
    "no such level": ("application/x-npy", npy(np.array([[1, 2, 1, 7, 0.0]])), 400, ["'plan'", "0 to 2"]),
    "no parquet": ("application/x-parquet", b"PAR1nonsensePAR1", 400, ["Parquet"]),
    "a cut parquet": ("application/x-parquet", parquet(age=[1.0])[:-20], 400, ["cut off"]),
    "a parquet of other columns": ("application/x-parquet", parquet(age=[1.0]), 400, ["missing: 'calls'"]),
    "a parquet of other types": (
        "application/x-parquet",
        parquet(age=["old"], calls=[1], active=[True], plan=["a"], city=["b"]),
        400,
        ["row 1", "'age'", "'old'"],
    ),
    "another content type": ("image/png", b"x", 415, ["'image/png'", "text/csv", "application/x-parquet"]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_refusal_says_what_to_mend(server: Server, name: str) -> None:
    content_type, body, status, words = CASES[name]
    reply = server.invoke(body, content_type)
    message = reply.json["error"]["message"]
    assert reply.status == status, message
    assert [word for word in words if word not in message] == [], message
    assert "Traceback" not in message


def test_a_refusal_tells_programs_the_row_and_the_column(server: Server) -> None:
    error = server.invoke(GOOD + b"\n1,x,1,basic,y", X_Amzn_SageMaker_Inference_Id="me-7").json["error"]
    assert error == {
        "code": "wrong_type",
        "message": "row 2, column 'calls': expected a whole number, got 'x'",
        "request_id": "me-7",
        "row": 2,
        "column": "calls",
    }


def test_rows_are_counted_from_the_first_below_a_header(server: Server) -> None:
    reply = server.invoke(b"age,calls,active,plan,city\n" + GOOD + b"\nx,2,1,basic,y")
    assert reply.json["error"]["row"] == 2


def test_a_form_nobody_gives_is_not_acceptable(server: Server) -> None:
    reply = server.invoke(GOOD, accept="image/png")
    assert (reply.status, reply.json["error"]["code"]) == (406, "not_acceptable")
    assert "text/csv" in reply.json["error"]["message"]
    assert server.invoke(GOOD, accept="text/csv;output=all").status == 400


def test_paths_and_methods_that_are_not_served_are_named(server: Server) -> None:
    lost = server.ask("GET", "/invocation")
    assert (lost.status, lost.json["error"]["code"]) == (404, "not_found")
    assert "Did you mean '/invocations'?" in lost.json["error"]["message"]
    wrong = server.ask("GET", "/invocations")
    assert wrong.status == 405
    assert "use POST" in wrong.json["error"]["message"]
    assert server.ask("POST", "/models", b"{}").status == 404


def test_a_body_beyond_the_limit_is_refused_before_it_is_read_and_the_caller_can_read_why(server: Server) -> None:
    body = GOOD + b"\n"
    reply = server.invoke(body * (7 * 1024 * 1024 // len(body)))
    assert (reply.status, reply.json["error"]["code"]) == (413, "body_too_large")
    assert "6291456" in reply.json["error"]["message"]
    assert reply.headers["connection"] == "close"
    assert server.invoke(GOOD).status == 200


def exchange(server: Server, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(sent)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"POST /invocations HTTP/1.1\r\nContent-Length: nine\r\n\r\n", 400),
        (b"POST /invocations HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nX-Long: " + b"x" * 500_000, 431),
    ],
)
def test_what_is_not_http_is_answered_and_closed(server: Server, sent: bytes, status: int) -> None:
    answer = exchange(server, sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body)["error"]["message"]


def test_a_wish_for_another_protocol_is_passed_over(server: Server) -> None:
    sent = b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert exchange(server, sent).startswith(b"HTTP/1.1 200 ")


def test_a_request_that_arrives_too_slowly_is_given_up(start: Start, artifact: Path) -> None:
    server = start(artifact, SLIPWAY_SERVE_READ_SECONDS="0.3")
    for sent in (
        b"POST /invocations HTTP/1.1\r\nContent-",
        b"POST /invocations HTTP/1.1\r\nContent-Length: 99\r\n\r\n1",
    ):
        assert exchange(server, sent).startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed(start: Start, artifact: Path) -> None:
    server = start(artifact, SLIPWAY_SERVE_IDLE_SECONDS="0.2")
    assert exchange(server, b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_chunked_bodies_pipelined_requests_and_expectations_are_understood(server: Server) -> None:
    chunked = (
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\n33.5,\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD) - 5, GOOD[5:])
    )
    last = chunked.replace(b"Host: x", b"Host: x\r\nConnection: close\r\nExpect: 100-continue")
    answer = exchange(server, chunked * 3 + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 4
    assert b"HTTP/1.1 100 Continue" in answer


def test_pipelined_answers_keep_the_order_of_their_requests(server: Server) -> None:
    """The first takes a thread, the second does not, and yet it waits."""
    many = (GOOD + b"\n") * 5000
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nAccept: text/csv;output=labels\r\n"
    slow = head + b"Content-Length: %d\r\n\r\n" % len(many) + many
    answer = exchange(server, slow + b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.index(b"text/csv") < answer.index(b"healthy")
    assert answer.count(b"no\n") + answer.count(b"yes\n") == 5000
