"""How long `slipway why` takes over ten thousand decisions on the embedded AWS.

    python -m benchmarks.delivery.provenance [--events 10000] [--models 100]

The ledger is written as delivery writes it, each event signed and in its chain. An answer is the whole way: list the
segments, fetch them, find what led to what serves. The first answer and the median of the others are printed.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

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


def measure(ledger: Ledger, model: str) -> tuple[float, list[Event]]:
    started = time.perf_counter()
    told = explain(ledger.events(model), model)
    return time.perf_counter() - started, told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--models", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cloud = LocalCloud(Path(folder), ROOT)
        try:
            ledger = Ledger(client(cloud.start().url), BUCKET, "local")
            ledger.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
            write(ledger, chain(decisions(given.events, given.models)))
            answers = [measure(ledger, f"model-{given.models // 2}") for _ in range(ANSWERS)]
        finally:
            cloud.stop()
    first, others = answers[0], statistics.median(seconds for seconds, _ in answers[1:])
    print(f"{given.events:,} events of {given.models} models: {len(first[1])} of them explain what serves")
    print(f"first answer {first[0]:.2f} s, median of {ANSWERS - 1} more {others:.2f} s (promise: at most {BOUND:g} s)")
    return 0 if first[0] <= BOUND else 1


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
