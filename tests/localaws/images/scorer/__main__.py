"""A tiny container for jobs: `serve` answers each line with the sum of its numbers, anything else counts inputs."""
# ruff: noqa: T201

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/ping" else 404, b"", "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        lines = [line for line in body.split("\n") if line.strip()]
        if "json" in self.headers["Content-Type"]:
            self._answer(200, b"\n".join(self._json(line) for line in lines), "application/jsonlines")
        elif any("bad" in line for line in lines):
            self._answer(400, b"cannot add words", "text/plain")
        else:
            sums = [f"{sum(float(cell) for cell in line.split(',')):g}" for line in lines]
            self._answer(200, "\n".join(sums).encode(), "text/csv")

    @staticmethod
    def _json(line: str) -> bytes:
        return json.dumps({"score": sum(json.loads(line)["features"])}).encode()

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Answers)
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()


def watch(output: Path) -> None:
    """What a monitoring container leaves: violations, and metrics for the platform to publish."""
    captured = sorted(p for p in (BASE / "processing" / "endpointdata").rglob("*.jsonl"))
    found = [
        {"feature_name": "age", "constraint_check_type": "baseline_drift_check", "description": f"{len(captured)}"}
    ]
    (output / "constraint_violations.json").write_text(json.dumps({"violations": found}))
    folder = BASE / "output" / "metrics" / "cloudwatch"
    folder.mkdir(parents=True, exist_ok=True)
    line = {"MetricName": "feature_baseline_drift_age", "Value": 0.4, "Unit": "None"}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")


def process() -> None:
    """Count the inputs; every wish comes through the environment."""
    config = json.loads((BASE / "config" / "processingjobconfig.json").read_text())
    host = json.loads((BASE / "config" / "resourceconfig.json").read_text())["current_host"]
    inputs = sorted(p.name for p in (BASE / "processing" / "input").rglob("*") if p.is_file())
    output = BASE / "processing" / "output"
    output.mkdir(parents=True, exist_ok=True)
    accuracy = float(os.environ.get("ACCURACY", "0.9"))
    told = {
        "inputs": inputs,
        "argv": sys.argv[1:],
        "name": config["ProcessingJobName"],
        "metrics": {"accuracy": accuracy},
    }
    (output / f"report-{host}.json").write_text(json.dumps(told))
    if "dataset_source" in os.environ:
        watch(output)
    (BASE / "output").mkdir(exist_ok=True)
    (BASE / "output" / "message").write_text(f"saw {len(inputs)}")
    print("processed", flush=True)
    sys.exit(int(os.environ.get("EXIT", "0")))


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else process()
