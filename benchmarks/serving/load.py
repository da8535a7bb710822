"""Ask a running server as fast as it answers, and read from the kernel what that cost it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.serving.servers import PEERS, ROOT, Server, UnavailableError

PATIENCE_SECONDS = 120
WARM_UP_REQUESTS = 30
SCRIPT = """
wrk.method = "POST"; wrk.headers["Content-Type"] = "{content_type}"
local file = io.open("{body}", "rb"); wrk.body = file:read("*a"); file:close()
done = function(summary, latency)
  local errors = 0
  for _, count in pairs(summary.errors) do errors = errors + count end
  local middle, slow = latency:percentile(50), latency:percentile(99)
  print(string.format("result %d %d %d %.1f %.1f", summary.requests, summary.duration, errors, middle, slow))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of the load generator saw: requests a second, percentiles and processor time in microseconds."""

    rate: float
    p50: float
    p99: float
    processor: float


@dataclass(slots=True)
class Running:
    """A server that answers, what its start took, and its processes."""

    server: Server
    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    start_seconds: float

    def processes(self) -> list[psutil.Process]:
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def processor_seconds(self) -> float:
        times = (each.cpu_times() for each in self.processes())
        return sum(each.user + each.system for each in times)

    def megabytes(self) -> float:
        """Memory resident, pages shared between its processes counted once."""
        return sum(each.memory_full_info().pss for each in self.processes()) / 1e6

    def ask(self, body: bytes | memoryview, accept: str = "*/*") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        connection.request("POST", "/invocations", body, {"Content-Type": self.server.content_type, "Accept": accept})
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        if response.status != 200:
            raise UnavailableError(f"it answers {response.status}: {answer[:200]!r}")
        return answer


@contextlib.contextmanager
def running(server: Server, folder: Path, cores: Sequence[int], **environment: str) -> Iterator[Running]:
    """Start a server held to some cores; end it and everything it started."""
    programs = server.install()
    port = free_port()
    given = os.environ | {"PYTHONPATH": str(ROOT if server.is_ours else PEERS), "BENCHMARK_FOLDER": str(folder)}
    given |= {"SAGEMAKER_BASE_DIR": str(folder), "SAGEMAKER_BIND_TO_PORT": str(port)}
    given |= {"PATH": f"{programs}:{os.environ['PATH']}", "OMP_NUM_THREADS": str(len(cores)), **environment}
    held = ["taskset", "-c", ",".join(map(str, cores))]
    command = [*held, *server.command(programs, folder, port)]
    with (folder / f"{port}.log").open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=PEERS, env=given, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_for_ping(server, process, port, folder / f"{port}.log")
        yield Running(server, process, port, folder, time.perf_counter() - started)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """A port with two more free behind it, as MLServer wants three."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_ping(server: Server, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", server.ping)
            status = connection.getresponse().status
            connection.close()
            if status == 200:
                return
        time.sleep(0.005)
    raise UnavailableError(f"it did not become healthy: {log.read_text()[-400:]}")


def load(target: Running, rows: int, connections: int, seconds: int, core: int) -> Load:
    """Closed loop on a core of its own, by wrk."""
    body = target.folder / f"{rows}.csv"
    if target.server.header:
        body = with_header(target.folder, rows)
    script = target.folder / "load.lua"
    script.write_text(SCRIPT.format(content_type=target.server.content_type, body=body))
    before = target.processor_seconds()
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
    url = f"http://127.0.0.1:{target.port}/invocations"
    told = subprocess.run([*command, "-s", str(script), url], capture_output=True, text=True, check=True).stdout
    spent = target.processor_seconds() - before
    found = re.search(r"^result (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+)", told, re.MULTILINE)
    if found is None or int(found[1]) == 0 or int(found[3]):
        raise UnavailableError(f"it failed under load: {told[-300:]}")
    requests, microseconds = int(found[1]), int(found[2])
    return Load(requests / microseconds * 1e6, float(found[4]), float(found[5]), spent / requests * 1e6)


def with_header(folder: Path, rows: int) -> Path:
    path = folder / f"{rows}-header.csv"
    names = ",".join(json.loads((folder / "columns.json").read_text()))
    path.write_bytes(names.encode() + b"\n" + (folder / f"{rows}.csv").read_bytes())
    return path
