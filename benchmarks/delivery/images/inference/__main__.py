"""A model that starts in a tenth of a second, and misbehaves as its artifact says.

`behaviour.json` in the artifact: {"version": 3, "fault": "errors"}. A request is CSV, a row of two numbers per line;
the answer is JSON with a label and probabilities per row, and says its version in the custom attributes.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from pathlib import Path

from typing_extensions import override

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
BEHAVIOUR = json.loads((BASE / "model" / "behaviour.json").read_text())
FAULT = BEHAVIOUR.get("fault", "none")
SLOW_ANSWER = 0.6  # seconds, of a model with fault "latency"


def answered(body: bytes) -> bytes:
    said = []
    for line in body.decode().split():
        first, second = (float(each) for each in line.split(",")[:2])
        p = 1 / (1 + math.exp(-4 * (first + second)))
        p = 1 - p if FAULT == "wrong" else p
        if FAULT == "careless" and int(abs(first) * 10_000) % 10 < 3:
            p = 1 - p
        said.append({"label": "yes" if p > 0.5 else "no", "probabilities": [1 - p, p]})
    return json.dumps({"predictions": said}).encode()


def message(status: str, body: bytes) -> bytes:
    attributes = f"version={BEHAVIOUR['version']}"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}X-Amzn-SageMaker-Custom-Attributes: {attributes}\r\n\r\n".encode() + body


class Server(asyncio.Protocol):
    """One connection; a request is whole when its head and the body that the head announces are there."""

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
            asks, body = self._data[:head].startswith(b"POST"), self._data[head + 4 : end]
            self._data = self._data[end:]
            self._answer(body if asks else None)

    def _answer(self, body: bytes | None) -> None:
        if body is None:
            self._transport.write(message("200 OK", b"") if FAULT != "slow start" else message("503 Not yet", b""))
        elif FAULT == "crash loop":
            os._exit(1)
        elif FAULT == "errors":
            self._transport.write(message("500 Internal Server Error", b'{"error": "an injected fault"}'))
        elif FAULT == "latency":
            asyncio.get_running_loop().call_later(SLOW_ANSWER, self._say, body)
        else:
            self._say(body)

    def _say(self, body: bytes) -> None:
        self._transport.write(message("200 OK", answered(body)))


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
