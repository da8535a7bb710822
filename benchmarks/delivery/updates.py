"""Updates under load, and how long a rollback takes.

    python -m benchmarks.delivery.updates [--updates 50] [--rollbacks 10] [--write]

Callers ask without a pause while one version replaces another again and again; every answer is counted. Then the whole
`slipway rollback` command is timed, from its start to its end and until the earlier version answers again, with every
call to the model registry failing.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.delivery.ground import MODEL, Cloud, Ground, cloud, machine
from benchmarks.delivery.kills import AT_ONCE, spawn
from benchmarks.delivery.rollouts import Callers
from benchmarks.delivery.tables import write
from contract.release import Rollout

CALLERS = 2
POLICIES = (
    Rollout("all-at-once", bake_seconds=0),
    Rollout("blue-green", bake_seconds=1),
    Rollout("canary", 10, 1),
    Rollout("linear", 50, 1),
)


def under_load(where: Cloud, root: Path, updates: int) -> dict[str, Any]:
    """So many updates, of all strategies in turn, while callers never stop."""
    ground = Ground.open(where, "load", root).prepare()
    for number in (1, 2):
        ground.version(number)
    platform = ground.platform()
    platform.deploy(MODEL, "1", rollout=AT_ONCE)
    over, seen = threading.Event(), [Callers(ground, np.random.default_rng(each)) for each in range(CALLERS)]

    def ask(callers: Callers) -> None:
        while not over.is_set():
            callers.ask(20)

    threads = [threading.Thread(target=ask, args=(each,)) for each in seen]
    for thread in threads:
        thread.start()
    for number in range(updates):
        release = platform.deploy(MODEL, str(2 - number % 2), rollout=POLICIES[number % len(POLICIES)])
        assert release.state == "steady", release.reason
    over.set()
    for thread in threads:
        thread.join()
    total: Counter[str] = sum((each.seen for each in seen), Counter())
    return {"updates": updates, "requests": sum(total.values()), "failed": total["failed"]}


def rollbacks(where: Cloud, root: Path, count: int) -> dict[str, Any]:
    """Time the command from outside, with the registry failing all the while."""
    ground = Ground.open(where, "back", root).prepare()
    packages = {number: ground.version(number) for number in (1, 2)}
    platform, command, served = ground.platform(), list[float](), list[float]()
    platform.deploy(MODEL, "1", rollout=AT_ONCE)
    for _ in range(count):
        platform.deploy(MODEL, "2", rollout=AT_ONCE)
        ground.cloud.fault(effect="fail", operation="*ModelPackage*")
        began = time.monotonic()
        process = spawn(ground, "rollback", MODEL, "--reason", "measured")
        served.append(until_answered(ground, "1") - began)
        said, _ = process.communicate(timeout=120)
        command.append(time.monotonic() - began)
        assert process.returncode == 0, said
        assert artifact_hash(ground) == packages[1].artifact_hash
        ground.cloud.heal()
    return {"rollbacks": count, "served": served, "command": command}


def until_answered(ground: Ground, version: str, longest: float = 60.0) -> float:
    """When the version answers alone again: ten times in a row."""
    end, callers = time.monotonic() + longest, Callers(ground, np.random.default_rng(0))
    while time.monotonic() < end:
        callers.seen.clear()
        callers.ask(10)
        if callers.seen == {version: 10}:
            return time.monotonic()
    raise RuntimeError(f"version {version} did not answer within {longest:g} s")


def artifact_hash(ground: Ground) -> str:
    """Of the very bytes that serve: from the endpoint's configuration to the object in the bucket."""
    sagemaker = ground.client("sagemaker")
    variant = sagemaker.describe_endpoint_config(EndpointConfigName=ground.serving())["ProductionVariants"][0]
    place = sagemaker.describe_model(ModelName=variant["ModelName"])["PrimaryContainer"]["ModelDataUrl"]
    bucket, _, key = place.removeprefix("s3://").partition("/")
    return hashlib.sha256(ground.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()).hexdigest()


def summary(load: dict[str, Any], back: dict[str, Any]) -> str:
    heads = ("rollbacks, the registry failing", "earlier version answers again: median s", "worst s",
             "whole command: median s", "worst s")  # fmt: skip
    times = (statistics.median(back["served"]), max(back["served"]))
    whole = (statistics.median(back["command"]), max(back["command"]))
    lines = [
        "| updates under load | requests meanwhile | failed |",
        "|---|---|---|",
        f"| {load['updates']} | {load['requests']:,} | {load['failed']} |",
        "",
        "| " + " | ".join(heads) + " |",
        "|---" * len(heads) + "|",
        f"| {back['rollbacks']} | " + " | ".join(f"{each:.2f}" for each in (*times, *whole)) + " |",
    ]
    return "\n".join(lines) + f"\n\n{machine()}."


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--rollbacks", type=int, default=10)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work, cloud(Path(work), clock="real") as where:
        load = under_load(where, Path(work), args.updates)
        back = rollbacks(where, Path(work), args.rollbacks)
    text = summary(load, back)
    print(text)
    if args.write:
        write("updates", text)
    return 1 if load["failed"] or max(back["served"]) > 5 else 0


if __name__ == "__main__":
    sys.exit(main())
