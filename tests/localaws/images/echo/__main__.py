"""A tiny container: `train` writes a model, `serve` answers what it is told to.

An invocation's body is a JSON object of wishes (status, sleep, until, crash, answer, stream); the answer tells who
gave it.
"""
# ruff: noqa: T201

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from typing_extensions import override

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
PORT = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
STARTED = time.monotonic()
LOADED: dict[str, str] = {}
BUSY = 0


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @override
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Only what matters is logged."""

    def do_GET(self) -> None:
        if self.path == "/ping":
            ready = time.monotonic() - STARTED >= float(os.environ.get("READY_AFTER", "0"))
            healthy = os.environ.get("HEALTHY", "yes") == "yes" and not (BASE / "unhealthy").exists()
            self._answer(200 if ready and healthy else 503, b"")
        elif self.path == "/models":
            self._answer(
                200, json.dumps({"models": [{"modelName": n, "modelUrl": u} for n, u in LOADED.items()]}).encode()
            )
        else:
            self._answer(404, b"")

    def do_DELETE(self) -> None:
        LOADED.pop(self.path.rpartition("/")[2], None)
        self._answer(200, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/models":
            self._load(json.loads(body))
        elif self.path.startswith("/models/"):
            name = self.path.split("/")[2]
            self._invoke(body, model=(Path(LOADED[name]) / "name").read_text() if name in LOADED else "not loaded")
        else:
            self._invoke(body)

    def _load(self, wish: dict[str, str]) -> None:
        if wish["model_name"] in LOADED:
            self._answer(409, b"already loaded")
        elif len(LOADED) >= int(os.environ.get("ROOM", "1000")):
            self._answer(507, b"no memory")
        else:
            LOADED[wish["model_name"]] = wish["url"]
            self._answer(200, b"")

    def _invoke(self, body: bytes, model: str = "") -> None:
        wishes = json.loads(body) if body.startswith(b"{") else {}
        if wishes.get("crash"):
            print("crashing as told", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(wishes.get("sleep", 0) + float(os.environ.get("SLEEP", "0")))
        while "until" in wishes and not Path(wishes["until"]).exists():
            time.sleep(0.01)
        if "stream" in wishes:
            return self._stream(wishes)
        status = int(wishes.get("status", os.environ.get("STATUS", "200")))
        said = {
            "version": os.environ.get("VERSION", ""),
            "pid": os.getpid(),
            "model": model,
            "received": body.decode("utf-8", "replace") if len(body) < 10_000 else len(body),
            "headers": {key.lower(): value for key, value in self.headers.items()},
        }
        headers = {}
        if "attributes" in wishes:
            headers["X-Amzn-SageMaker-Custom-Attributes"] = wishes["attributes"]
        session = self.headers.get("X-Amzn-SageMaker-Session-Id", "")
        if session == "NEW_SESSION":
            headers["X-Amzn-SageMaker-New-Session-Id"] = f"{uuid.uuid4()}; Expires=2030-01-01T00:00:00Z"
        if wishes.get("close"):
            headers["X-Amzn-SageMaker-Closed-Session-Id"] = session
        text = wishes["answer"].encode() if "answer" in wishes else json.dumps(said).encode()
        self._answer(status, text, wishes.get("type", "application/json"), headers)
        return None

    def _stream(self, wishes: dict[str, object]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in wishes["stream"]:  # type: ignore[union-attr]
            if part == "break":
                self.close_connection = True
                return
            data = str(part).encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _answer(
        self, status: int, body: bytes, kind: str = "text/plain", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


def serve() -> None:
    if "EXIT_AT_START" in os.environ:
        print("cannot start", flush=True)
        sys.exit(3)
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Answers)
    server.daemon_threads = False
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"serving {os.environ.get('VERSION', '')}", flush=True)
    server.serve_forever()
    print("stopped", flush=True)


def train() -> None:
    (BASE / "model").mkdir(parents=True, exist_ok=True)
    (BASE / "model" / "model.txt").write_text("a model")
    print("loss=0.5", flush=True)


if __name__ == "__main__":
    {"serve": serve, "train": train}[sys.argv[1]]()
