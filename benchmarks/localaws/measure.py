"""What the embedded AWS costs: start, one invocation, many, the split of traffic, S3 beside plain moto, memory.

    python -m benchmarks.localaws.measure [--requests 100000] [--write]

Everything runs on loopback; the container is the smallest server there can be, so the figures are the gateway's own.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parent.parent.parent
IMAGES = Path(__file__).resolve().parent / "images"
BODY = b"41,3,0.25,yes,2\n"
SIGNED = "AWS4-HMAC-SHA256 Credential=123456789012/20260101/eu-west-1/sagemaker/aws4_request, Signature=0"
THREADS = 8
DOCS = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- localaws: begin -->", "<!-- localaws: end -->"
BOUNDS = (  # part, figure, bound, how it is told
    ("start", "start to ready s", "<=", 1.5),
    ("one connection", "overhead p50 ms", "<=", 3.0),
    ("eight connections, two variants", "requests per s", ">=", 500.0),
    ("eight connections, two variants", "split off by points", "<=", 0.5),
    ("S3 beside plain moto", "ratio", "<=", 1.2),
    ("memory", "memory MB", "<=", 400.0),
)


class Server:
    """A server of its own: the embedded AWS, or plain moto."""

    def __init__(self, program: list[str]) -> None:
        began = time.perf_counter()
        self.process = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])
        _answers(self.port)
        self.started_in = time.perf_counter() - began

    @property
    def memory(self) -> float:
        """Resident megabytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def client(self, service: str) -> Any:
        build: Callable[..., Any] = boto3.client
        return build(
            service,
            endpoint_url=self.url,
            region_name="eu-west-1",
            aws_access_key_id="123456789012",
            aws_secret_access_key="local",  # noqa: S106  nothing is checked
            config=Config(s3={"addressing_style": "path"}),
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=60)


def _answers(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/")
    connection.getresponse().read()
    connection.close()


@contextlib.contextmanager
def embedded() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as work:
        program = [sys.executable, "-m", "localaws", "--containers", str(IMAGES), "--interpreter", sys.executable]
        server = Server([*program, "--backend", "process", "--work", work])
        try:
            yield server
        finally:
            server.stop()


MOTO = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
print(f"http://{host}:{port}", flush=True)
import sys; sys.stdin.read()
"""


@contextlib.contextmanager
def plain_moto() -> Iterator[Server]:
    server = Server([sys.executable, "-c", MOTO])
    try:
        yield server
    finally:
        server.stop()


def endpoint(server: Server, weights: dict[str, float]) -> None:
    """An endpoint with capture of everything, that serves."""
    sagemaker = server.client("sagemaker")
    server.client("s3").create_bucket(Bucket="captured", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    role = "arn:aws:iam::123456789012:role/r"
    sagemaker.create_model(ModelName="m", PrimaryContainer={"Image": "quick"}, ExecutionRoleArn=role)
    sagemaker.create_endpoint_config(
        EndpointConfigName="e",
        ProductionVariants=[
            {
                "VariantName": name,
                "ModelName": "m",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": weight,
            }
            for name, weight in weights.items()
        ],
        DataCaptureConfig={
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": "s3://captured/all",
            "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
        },
    )
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="e")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def timed(port: int, path: str, headers: dict[str, str], count: int) -> list[float]:
    """Milliseconds of each of `count` requests on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    took = []
    for _ in range(count):
        began = time.perf_counter()
        connection.request("POST", path, BODY, headers)
        answer = connection.getresponse()
        answer.read()
        took.append((time.perf_counter() - began) * 1e3)
        assert answer.status == 200, answer.status
    connection.close()
    return took


def overhead(count: int) -> dict[str, float]:
    """One connection: through the gateway, and to the container directly."""
    with embedded() as server:
        endpoint(server, {"a": 1.0})
        port = container_port(server)
        timed(server.port, "/endpoints/e/invocations", {"Content-Type": "text/csv", "Authorization": SIGNED}, 200)
        through: list[float] = []
        direct: list[float] = []
        for _ in range(5):
            headers = {"Content-Type": "text/csv", "Authorization": SIGNED}
            through += timed(server.port, "/endpoints/e/invocations", headers, count // 5)
            direct += timed(port, "/invocations", {"Content-Type": "text/csv"}, count // 5)
    p50, base = statistics.median(through), statistics.median(direct)
    p99 = statistics.quantiles(through, n=100)[98]
    return {"through p50 ms": p50, "direct p50 ms": base, "overhead p50 ms": p50 - base, "through p99 ms": p99}


def container_port(server: Server) -> int:
    """The port that the endpoint's one container listens on."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if "quick" in (path / "cmdline").read_text() and _descends(int(path.name), server.process.pid):
                environment = (path / "environ").read_text().split("\0")
                return int(next(e for e in environment if e.startswith("SAGEMAKER_BIND_TO_PORT=")).partition("=")[2])
        except OSError:
            continue
    raise RuntimeError("the container was not found")


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def load(requests: int) -> dict[str, float]:
    """Eight connections and two variants: requests per second, and how far the split is from the weights."""
    weights = {"a": 7.0, "b": 3.0}
    with embedded() as server:
        endpoint(server, weights)
        counts: Counter[str] = Counter()
        lock = threading.Lock()

        def worker(share: int) -> None:
            mine: Counter[str] = Counter()
            connection = http.client.HTTPConnection("127.0.0.1", server.port)
            for _ in range(share):
                connection.request(
                    "POST", "/endpoints/e/invocations", BODY, {"Content-Type": "text/csv", "Authorization": SIGNED}
                )
                answer = connection.getresponse()
                answer.read()
                mine[answer.headers["x-Amzn-Invoked-Production-Variant"] if answer.status == 200 else "failed"] += 1
            connection.close()
            with lock:
                counts.update(mine)

        threads = [threading.Thread(target=worker, args=(requests // THREADS,)) for _ in range(THREADS)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
    total = sum(counts.values())
    off = max(abs(100 * counts[name] / total - 100 * weight / 10) for name, weight in weights.items())
    return {"requests": total, "failed": counts["failed"], "requests per s": total / took, "split off by points": off}


def start_time(rounds: int) -> dict[str, float]:
    took = []
    for _ in range(rounds):
        with embedded() as server:
            took.append(server.started_in)
    return {"start to ready s": statistics.median(took)}


def s3_beside_moto(count: int) -> dict[str, float]:
    """A 1 KiB object put and read again, in alternating rounds."""
    with embedded() as ours, plain_moto() as theirs:
        clients = {"ours": ours.client("s3"), "moto": theirs.client("s3")}
        took: dict[str, list[float]] = {name: [] for name in clients}
        for client in clients.values():
            client.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for number in range(count):
            for name, client in clients.items():
                began = time.perf_counter()
                client.put_object(Bucket="bucket", Key=f"k{number % 50}", Body=b"x" * 1024)
                client.get_object(Bucket="bucket", Key=f"k{number % 50}")["Body"].read()
                took[name].append((time.perf_counter() - began) * 1e3)
    ours_ms, moto_ms = statistics.median(took["ours"]), statistics.median(took["moto"])
    return {"put and get ms": ours_ms, "plain moto ms": moto_ms, "ratio": ours_ms / moto_ms}


def memory(resources: int) -> dict[str, float]:
    with embedded() as server:
        sagemaker = server.client("sagemaker")
        for number in range(resources):
            container = {"Image": "quick", "Environment": {f"KEY_{n}": f"value {n}" for n in range(5)}}
            sagemaker.create_model(
                ModelName=f"m{number}",
                PrimaryContainer=container,
                ExecutionRoleArn="arn:aws:iam::123456789012:role/r",
                Tags=[{"Key": "team", "Value": "a"}],
            )
        return {"resources": resources, "memory MB": server.memory}


def table(figures: dict[str, Any]) -> str:
    """Each promise with what came out, and the figures around it."""
    lines = [
        f"{figures['processors']} processors, Python {figures['python']}.",
        "",
        "| part | figure | promised | measured |",
        "|---|---|---|---|",
    ]
    for part, name, sign, bound in BOUNDS:
        lines.append(f"| {part} | {name} | {sign} {bound:g} | {figures[part][name]:.3g} |")
    said = {(part, name) for part, name, *_ in BOUNDS}
    lines += [
        f"| {part} | {name} | | {value:.6g} |"
        for part, values in figures.items()
        if isinstance(values, dict)
        for name, value in values.items()
        if (part, name) not in said
    ]
    return "\n".join(lines)


def broken(figures: dict[str, Any]) -> list[str]:
    """The promises that were not kept."""
    return [
        f"{part}: {name} is {figures[part][name]:.3g}, promised {sign} {bound:g}"
        for part, name, sign, bound in BOUNDS
        if (figures[part][name] > bound if sign == "<=" else figures[part][name] < bound)
    ]


def write(text: str) -> None:
    """Put the table between its markers, leaving the rest of the page as it is."""
    before, _, rest = DOCS.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, help="of the load and split measurement")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    given = parser.parse_args()
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "start": lambda: start_time(5),
        "one connection": lambda: overhead(3000),
        "eight connections, two variants": lambda: load(given.requests),
        "S3 beside plain moto": lambda: s3_beside_moto(400),
        "memory": lambda: memory(1000),
    }
    figures: dict[str, Any] = {"python": platform.python_version(), "processors": os.cpu_count()}
    for name, part in parts.items():
        figures[name] = part()
        print(name, {key: round(value, 3) for key, value in figures[name].items()}, flush=True)
    if given.write:
        write(table(figures))
    for line in broken(figures):
        print(f"not kept: {line}")
    return 1 if broken(figures) else 0


if __name__ == "__main__":
    sys.exit(main())
