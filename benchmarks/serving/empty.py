"""Slipway's HTTP with nothing behind it: what a request costs before anything is done for it."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import uvloop

from inference.http import Connection, Request, Response, Room

ANSWER = Response(200, b"")


class Nothing:
    max_body = 6 * 1024 * 1024

    def handle(self, request: Request) -> Response:
        del request
        return ANSWER

    def refuse(self, status: int, code: str, sentence: str) -> Response:
        return Response(status, f"{code}: {sentence}".encode())

    def began(self) -> None:
        pass

    def ended(self, request: Request | None, response: Response, sent: int, seconds: float) -> None:
        pass


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    room = Room(Nothing(), loop, ThreadPoolExecutor(1), 30, 300)
    server = await loop.create_server(lambda: cast(asyncio.Protocol, Connection(room)), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
