"""How long `slipway why` takes over ten thousand decisions on the embedded AWS.

    python -m benchmarks.delivery.provenance [--events 10000] [--models 100 1] [--write]

The ledger is written as delivery writes it, each event signed and in its chain. An answer is the whole way: list the
segments, fetch them, find what led to what serves. The first answer, the median of the others and the processor time
of one, of the asker and of the embedded AWS together, are printed; `--write` puts them into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import platform
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.delivery import tables
from delivery.ledger import GENESIS, Decision, Event, Ledger, explain
from delivery.local import LocalCloud

ROOT = Path(__file__).resolve().parents[2]
BUCKET, WRITERS, ANSWERS, BOUND = "evidence", 8, 9, 1.0
# What happens to a model, over and over: each decision starts from what the one before produced.
STORY = ("run", "approve", "gate", "deploy", "finish rollout")


def decisions(count: int, models: int) -> list[Decision]:
    """The lives of many models, interleaved."""
    made = []
    for number in range(count):
        turn, model = divmod(number, models)
        cycle, step = divmod(turn, len(STORY))
        name = f"model-{model}"
        inputs = {"from": digest(name, cycle, step - 1)}
        outputs = {"release" if step >= 3 else STORY[step]: digest(name, cycle, step)}
        at = f"2026-01-{1 + number * 27 // count:02d}T12:00:00+00:00"
        made.append(Decision(at, "ana", STORY[step], "a rehearsal", name, inputs, outputs))
    return made


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def chain(given: list[Decision]) -> list[Event]:
    key, before, made = ec.generate_private_key(ec.SECP256R1()), GENESIS, list[Event]()
    for number, decision in enumerate(given):
        event = Event(number, decision, before)
        signed = key.sign(event.digest, ec.ECDSA(hashes.SHA256())).hex()
        made.append(dataclasses.replace(event, signature=signed))
        before = made[-1].hash
    return made


def write(ledger: Ledger, events: list[Event]) -> None:
    """The objects of a ledger: every event, and the segments that repeat them."""

    def put(item: tuple[str, str]) -> None:
        ledger.s3.put_object(Bucket=ledger.bucket, Key=item[0], Body=item[1].encode())

    items = [(ledger.event_key(each.number), each.text) for each in events]
    for size in ledger.sizes:
        for first in range(0, len(events) - size + 1, size):
            texts = [each.text for each in events[first : first + size]]
            items.append((ledger.segment_key(size, first), "\n".join(texts)))
    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(put, items))


@dataclass(frozen=True)
class Answer:
    """One question asked: how long it took, what processor it cost both sides, how many events explain it."""

    seconds: float
    processor: float
    told: int


def ask(ledger: Ledger, model: str, server: psutil.Process) -> Answer:
    started, spent = time.perf_counter(), processor(server)
    told = explain(ledger.events(model), model)
    return Answer(time.perf_counter() - started, processor(server) - spent, len(told))


def processor(server: psutil.Process) -> float:
    times = server.cpu_times()
    return time.process_time() + times.user + times.system


def answers_over(events: int, models: int) -> list[Answer]:
    """Write a ledger, and ask about one model again and again."""
    with tempfile.TemporaryDirectory() as folder:
        cloud = LocalCloud(Path(folder), ROOT)
        try:
            running = cloud.start()
            ledger = Ledger(client(running.url), BUCKET, "local")
            ledger.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
            write(ledger, chain(decisions(events, models)))
            server = psutil.Process(running.pid)
            return [ask(ledger, f"model-{models // 2}", server) for _ in range(ANSWERS)]
        finally:
            cloud.stop()


HEADS = ("models", "events", "of them explain what serves", "first answer s", "median s", "processor s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--models", type=int, nargs="+", default=[100, 1])
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    given = parser.parse_args()
    rows: list[tuple[object, ...]] = [HEADS, ("---",) * len(HEADS)]
    slowest = 0.0
    for models in given.models:
        first, *others = answers_over(given.events, models)
        slowest = max(slowest, first.seconds)
        median, spent = (
            statistics.median(each) for each in zip(*((o.seconds, o.processor) for o in others), strict=True)
        )
        rows.append((models, f"{given.events:,}", first.told, f"{first.seconds:.2f}", f"{median:.2f}", f"{spent:.2f}"))
    text = "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
    load = os.getloadavg()[0]
    text += f"\n\n{os.cpu_count()} processors, Python {platform.python_version()}, load average {load:.0f}."
    print(text)
    if given.write:
        tables.write("provenance", text)
    return 0 if slowest <= BOUND else 1


def client(url: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="123456789012",
        aws_secret_access_key="local",  # noqa: S106 the embedded AWS asks for some
        config=Config(s3={"addressing_style": "path"}, max_pool_connections=WRITERS),
    )


if __name__ == "__main__":
    sys.exit(main())
