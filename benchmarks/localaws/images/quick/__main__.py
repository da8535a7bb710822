"""The smallest server there can be, so that what is measured is the gateway: any request gets the same short answer."""

from __future__ import annotations

import asyncio
import os

from typing_extensions import override

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 4\r\n\r\n0.5\n"


class Quick(asyncio.Protocol):
    """Counts a request as read when its head and the body that the head announces are there."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._data = b""

    @override
    def data_received(self, data: bytes) -> None:
        self._data += data
        while (head := self._data.find(b"\r\n\r\n")) >= 0:
            length = 0
            for line in self._data[:head].lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line[15:])
            end = head + 4 + length
            if len(self._data) < end:
                return
            self._data = self._data[end:]
            self._transport.write(ANSWER)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Quick, "127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
