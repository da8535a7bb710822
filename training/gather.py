"""Bring the rows of a sharded channel together: every host sends its share to the one that leads.

With `ShardedByS3Key` each host holds some of the objects. Our families fit on one machine, so the others read, send
what they hold, and are done. The leader is reached by its host name, as SageMaker's hosts reach each other; where that
name means nothing (processes on one machine) on the loopback address.
"""

from __future__ import annotations

import io
import json
import socket
import struct
import time
import zlib
from collections.abc import Mapping
from contextlib import closing

import polars as pl

from training.channels import ChannelError, Hosts

FIRST_PORT, PORTS = 20_000, 20_000
PATIENCE = 600.0  # seconds for the slowest host to start and read
PAUSE = 0.2
HEAD = struct.Struct("!Q")
LARGEST_HEAD = 65_536

Channels = Mapping[str, pl.DataFrame]


def gather(channels: Channels, hosts: Hosts, run: str, *, patience: float = PATIENCE) -> dict[str, pl.DataFrame] | None:
    """On the leader all rows, each host's after those of the hosts before it in order; None on every other host."""
    if len(hosts.all) == 1:
        return dict(channels)
    address = address_of(hosts.all[0], run)
    if not hosts.leads:
        _send(channels, hosts.current, address, patience)
        return None
    parts = {hosts.current: dict(channels)} | _receive(hosts, address, patience)
    return _joined([parts[host] for host in hosts.all])


def address_of(leader: str, run: str) -> tuple[str, int]:
    """Where the leader listens: its own address, at a port that the run's name decides."""
    port = FIRST_PORT + zlib.crc32(run.encode()) % PORTS
    try:
        return socket.gethostbyname(leader), port
    except OSError:
        return "127.0.0.1", port


def _joined(parts: list[dict[str, pl.DataFrame]]) -> dict[str, pl.DataFrame]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: pl.concat([part[name] for part in parts if name in part], how="vertical_relaxed") for name in names}


def _send(channels: Channels, host: str, address: tuple[str, int], patience: float) -> None:
    with closing(_connect(address, patience)) as link:
        tables = {name: _packed(frame) for name, frame in channels.items()}
        head = json.dumps({"host": host, "tables": {name: len(body) for name, body in tables.items()}}).encode()
        link.sendall(HEAD.pack(len(head)) + head)
        for body in tables.values():
            link.sendall(body)
        link.shutdown(socket.SHUT_WR)
        if link.recv(1) != b"+":
            raise ChannelError(f"the leader at {address[0]} did not take the rows of '{host}'; its log says why")


def _connect(address: tuple[str, int], patience: float) -> socket.socket:
    until = time.monotonic() + patience
    while True:
        try:
            return socket.create_connection(address, timeout=patience)
        except OSError as problem:
            if time.monotonic() > until:
                raise ChannelError(
                    f"the leading host at {address[0]}:{address[1]} was not reached within {patience:g} s ({problem}): "
                    "are hosts of one job allowed to talk to each other by their security group?"
                ) from problem
            time.sleep(PAUSE)


def _receive(hosts: Hosts, address: tuple[str, int], patience: float) -> dict[str, dict[str, pl.DataFrame]]:
    awaited = set(hosts.all) - {hosts.current}
    until = time.monotonic() + patience
    received: dict[str, dict[str, pl.DataFrame]] = {}
    with closing(socket.create_server(address)) as server:
        while awaited:
            server.settimeout(max(0.01, until - time.monotonic()))
            try:
                link, _ = server.accept()
            except TimeoutError:
                raise ChannelError(
                    f"no rows came from {', '.join(sorted(awaited))} within {patience:g} s: see the logs of those hosts"
                ) from None
            with closing(link):
                link.settimeout(patience)
                host, tables = _read(link)
                if host in awaited:
                    received[host] = tables
                    awaited.remove(host)
                    link.sendall(b"+")
    return received


def _read(link: socket.socket) -> tuple[str, dict[str, pl.DataFrame]]:
    size = HEAD.unpack(_exactly(link, HEAD.size))[0]
    if size > LARGEST_HEAD:
        return "", {}
    head = json.loads(_exactly(link, size))
    tables = {name: pl.read_ipc_stream(io.BytesIO(_exactly(link, length))) for name, length in head["tables"].items()}
    return str(head["host"]), tables


def _exactly(link: socket.socket, count: int) -> bytes:
    pieces, left = bytearray(), count
    while left:
        piece = link.recv(min(left, 1 << 20))
        if not piece:
            raise ChannelError("a host closed the connection before all its rows were here")
        pieces += piece
        left -= len(piece)
    return bytes(pieces)


def _packed(frame: pl.DataFrame) -> bytes:
    written = io.BytesIO()
    frame.write_ipc_stream(written)
    return written.getvalue()
