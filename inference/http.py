"""HTTP/1.1 on a connection: httptools parses, uvloop moves bytes, and what a request means the application says.

One connection answers its requests in order. Work that would hold up the event loop is handed to a thread, and
reading pauses meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from time import perf_counter
from typing import Protocol, TypeVar, cast

import httptools
import msgspec

LONGEST_HEAD = 65_536
LINGER_BYTES = 256 * 1024 * 1024  # how much of a refused body is read and thrown away, so that the refusal can be read
LINGER_SECONDS = 10.0
REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
Made = TypeVar("Made")


@dataclass(slots=True)
class Request:
    """One parsed request; header names are lower-case."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes
    since: float
    id: bytes = b""


class Response(msgspec.Struct):
    """One answer: its body whole, or in parts that follow each other while they are made."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    parts: Iterator[bytes] | None = None
    rows: int = 0
    said: Mapping[str, object] | None = None  # what the log tells beyond the usual


@dataclass(slots=True)
class Work:
    """An answer that takes long enough to be made in a thread."""

    make: Callable[[], Response]


class Application(Protocol):
    """What a connection asks of the program behind it."""

    max_body: int

    def handle(self, request: Request) -> Response | Work:
        """Answer, or say what to run in a thread to have the answer; never raises."""
        ...

    def refuse(self, status: int, code: str, sentence: str) -> Response:
        """The answer to what could not become a request."""
        ...

    def began(self) -> None:
        """A request starts to be answered."""
        ...

    def ended(self, request: Request | None, response: Response, sent: int, seconds: float) -> None:
        """An answer was handed to the network."""
        ...


@dataclass(slots=True)
class Room:
    """What the connections of one worker share."""

    application: Application
    loop: asyncio.AbstractEventLoop
    threads: ThreadPoolExecutor
    read_seconds: float
    idle_seconds: float
    most_connections: int = 2000
    connections: set[Connection] = field(default_factory=set)
    closing: bool = False

    def sweep(self, idle_seconds: float | None = None) -> None:
        """End connections that are too slow or idle for too long."""
        now = self.loop.time()
        for connection in list(self.connections):
            connection.check(now, self.idle_seconds if idle_seconds is None else idle_seconds)


class Connection:
    """One client's connection, an asyncio protocol to the network and httptools' callbacks to the parser."""

    __slots__ = (
        "_began", "_body", "_busy", "_chunks", "_head", "_headers", "_last", "_lingers", "_parser", "_read",
        "_refused", "_room", "_size", "_stuck", "_target", "_transport", "_waiting", "_writable",
    )  # fmt: skip

    _transport: asyncio.Transport

    def __init__(self, room: Room) -> None:
        self._room = room
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._busy = False
        self._chunks = True
        self._began: float | None = None
        self._last = 0.0
        self._lingers: float | None = None
        self._stuck: float | None = None
        self._writable: asyncio.Event | None = None
        self._read = 0
        self._refused: Response | None = None
        self.on_message_begin()
        self._began = None

    # What the network says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._last = self._room.loop.time()
        self._room.connections.add(self)
        if len(self._room.connections) > self._room.most_connections:
            sentence = f"this worker has {self._room.most_connections} connections open: try again later"
            self._refuse(503, "too_many_connections", sentence)

    def connection_lost(self, _problem: Exception | None) -> None:
        self._room.connections.discard(self)
        self._waiting.clear()
        if self._writable is not None:
            self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._read += len(data)
        if self._lingers is not None:
            if self._read > LINGER_BYTES:
                self._transport.abort()
            return
        in_head = self._began is not None and self._head >= 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # the request was answered as what it is, and the connection ends: no other protocol is spoken here
        except httptools.HttpParserCallbackError:
            self._refuse(500, "internal", "the request could not be taken in")
            raise
        except httptools.HttpParserError as problem:
            self._refuse(400, "bad_http", f"the request is not HTTP/1.1: {problem}")
            return
        if in_head and self._head >= 0:
            self._head += len(data)
            if self._head > LONGEST_HEAD:
                self._refuse(431, "head_too_large", f"the request's head is longer than {LONGEST_HEAD} bytes")
        if self._refused is not None and self._lingers is None:
            self._send_refusal(self._refused)

    def eof_received(self) -> bool:
        return self._busy or bool(self._waiting)  # a half-closed client still gets its answers

    def pause_writing(self) -> None:
        self._stuck = self._room.loop.time()
        self._writable = asyncio.Event()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._stuck = None
        if self._writable is not None:
            self._writable.set()
            self._writable = None
        if not self._busy:
            self._transport.resume_reading()

    # What the parser says.

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._head = 0
        self._began = self._room.loop.time()

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._head = -1
        length = self._headers.get(b"content-length", b"")
        if length.isdigit() and int(length[:20]) > self._room.application.max_body:
            self._too_large(int(length[:20]))
        elif self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._transport.write(CONTINUE)

    def on_body(self, part: bytes) -> None:
        self._size += len(part)
        if self._refused is not None:
            return
        if self._size > self._room.application.max_body:
            self._too_large(self._size)
        else:
            self._body.append(part)

    def on_message_complete(self) -> None:
        self._began = None
        if self._refused is not None:
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        request = Request(self._parser.get_method(), self._target, self._headers, body, perf_counter())
        keep = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        if self._busy:
            self._waiting.append((request, keep))
        else:
            self._answer(request, keep)

    # Answering.

    def _answer(self, request: Request, keep: bool) -> None:
        application = self._room.application
        application.began()
        answer = application.handle(request)
        if type(answer) is Response and answer.parts is None:
            self._send(request, answer, keep)
            return
        self._chunks = self._parser.get_http_version() != "1.0"
        self._busy = True
        self._transport.pause_reading()
        self._room.loop.create_task(self._answer_later(request, answer, keep))

    async def _answer_later(self, request: Request, answer: Response | Work, keep: bool) -> None:
        response = await self._in_thread(answer.make) if isinstance(answer, Work) else answer
        if response.parts is not None and not self._chunks:
            response.body, response.parts = await self._in_thread(partial(b"".join, response.parts)), None
        if response.parts is None:
            self._send(request, response, keep)
        else:
            await self._send_parts(request, response, keep)
        self._busy = False
        while self._waiting and not self._busy:
            self._answer(*self._waiting.popleft())
        if not self._busy and not self._transport.is_closing() and self._stuck is None:
            self._transport.resume_reading()

    async def _in_thread(self, make: Callable[[], Made]) -> Made:
        return await self._room.loop.run_in_executor(self._room.threads, make)

    def _send(self, request: Request | None, response: Response, keep: bool) -> None:
        keep = keep and not self._room.closing
        head = _head(response, keep, b"Content-Length: %d\r\n\r\n" % len(response.body))
        without_body = request is not None and request.method == b"HEAD"
        self._transport.write(head if without_body else head + response.body)
        self._room.application.ended(request, response, len(response.body), _seconds_since(request))
        self._sent(keep)

    async def _send_parts(self, request: Request, response: Response, keep: bool) -> None:
        """A long answer, chunk by chunk, no faster than the client takes it in."""
        assert response.parts is not None  # noqa: S101 - the caller looked
        keep = keep and not self._room.closing
        sent, whole = 0, False
        self._transport.write(_head(response, keep, b"Transfer-Encoding: chunked\r\n\r\n"))
        try:
            while part := await self._in_thread(partial(next, response.parts, b"")):
                sent += len(part)
                self._transport.write(b"%x\r\n%b\r\n" % (len(part), part))
                if self._writable is not None:
                    await self._writable.wait()
                if self._transport.is_closing():
                    break
            else:
                whole = True
                self._transport.write(LAST_CHUNK)
        finally:
            self._room.application.ended(request, response, sent, _seconds_since(request))
            self._sent(keep and whole)  # a client that gets no last chunk knows that the answer is not whole

    def _sent(self, keep: bool) -> None:
        self._last = self._room.loop.time()
        if not keep:
            self._waiting.clear()
            self._transport.close()

    # Refusing.

    def _too_large(self, size: int) -> None:
        limit = self._room.application.max_body
        sentence = (
            f"the body has {size} bytes or more, the limit is {limit}: "
            "send fewer rows per request, or use a batch transform job"
        )
        self._refused = self._room.application.refuse(413, "body_too_large", sentence)

    def _refuse(self, status: int, code: str, sentence: str) -> None:
        if self._lingers is None:
            self._send_refusal(self._room.application.refuse(status, code, sentence))

    def _send_refusal(self, response: Response) -> None:
        """Say no, and close only after the client had time to finish sending and read it."""
        self._lingers = self._room.loop.time()
        self._began = None
        self._body = []
        self._room.application.began()
        self._transport.write(
            _head(response, False, b"Content-Length: %d\r\n\r\n" % len(response.body)) + response.body
        )
        self._room.application.ended(None, response, len(response.body), 0.0)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    # Time.

    def check(self, now: float, idle_seconds: float) -> None:
        """End this connection if its time is up: a request arriving too slowly, an answer not taken, or silence."""
        room = self._room
        if self._lingers is not None:
            if now - self._lingers > LINGER_SECONDS:
                self._transport.abort()
        elif self._stuck is not None:
            if now - self._stuck > room.read_seconds:
                self._transport.abort()
        elif self._began is not None:
            if now - self._began > room.read_seconds:
                sentence = f"the whole request must arrive within {room.read_seconds:g} seconds"
                self._refuse(408, "too_slow", sentence)
        elif not self._busy and now - self._last > idle_seconds:
            self._transport.close()


def _head(response: Response, keep: bool, framing: bytes) -> bytes:
    status = response.status
    head = b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\n" % (status, REASONS.get(status, b""), response.content_type)
    for header in response.headers:
        head += b"%b: %b\r\n" % header
    return head + framing if keep else head + b"Connection: close\r\n" + framing


def _seconds_since(request: Request | None) -> float:
    return 0.0 if request is None else perf_counter() - request.since
