"""HTTP to one container on loopback, over connections that are kept alive between requests."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

HOST = "127.0.0.1"
CHUNK = 64 << 10


class BrokenError(Exception):
    """The container did not answer: it refused, crashed, or did not speak HTTP."""


class TimedOutError(Exception):
    """The container did not answer in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a container said."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class Connections:
    """A pool of connections to one port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._closed = False

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        connection, response = self._send(method, path, body, headers, timeout)
        try:
            data = response.read()
        except TimeoutError as error:
            connection.close()
            raise TimedOutError from error
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            raise BrokenError(f"{type(error).__name__}: {error}") from error
        self._keep(connection, response)
        return Answer(response.status, _headers(response), data)

    def stream(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> tuple[Answer, Iterator[bytes]]:
        """The beginning of an answer, and its body as it comes."""
        connection, response = self._send(method, path, body, headers, timeout)
        return Answer(response.status, _headers(response), b""), self._parts(connection, response)

    def _parts(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Iterator[bytes]:
        whole = False
        try:
            while part := response.read1(CHUNK):
                yield part
            whole = True
            self._keep(connection, response)
        except TimeoutError as error:
            raise TimedOutError from error
        except (http.client.HTTPException, OSError) as error:
            raise BrokenError(f"{type(error).__name__}: {error}") from error
        finally:
            if not whole:  # broken, or left by the client in the middle
                response.close()
                connection.close()

    def _send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        while True:
            connection, used = self._take(timeout)
            try:
                connection.request(method, path, body, dict(headers))
                return connection, connection.getresponse()
            except TimeoutError as error:
                connection.close()
                raise TimedOutError from error
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                # A kept connection may have been closed by the container in the same moment; a new one may not.
                if not (used and isinstance(error, ConnectionError)):
                    raise BrokenError(f"{type(error).__name__}: {error}") from error

    def _take(self, timeout: float) -> tuple[http.client.HTTPConnection, bool]:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return http.client.HTTPConnection(HOST, self.port, timeout=timeout), False
            if connection.sock is not None and not _readable(connection.sock):  # readable while idle means closed
                connection.sock.settimeout(timeout)
                return connection, True
            connection.close()

    def _keep(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        if response.will_close or connection.sock is None:
            connection.close()
        else:
            self._idle.append(connection)
            if self._closed:  # a health check may end after the pool did
                self.close()

    def close(self) -> None:
        """Close what is idle, and whatever is given back from now on."""
        self._closed = True
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()


def _readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}
