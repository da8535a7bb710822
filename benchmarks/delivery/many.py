"""A hundred models from one settings file: bring them up, list them, judge all of them in one tick of the monitor.

    python -m benchmarks.delivery.many [--models 100] [--write]

Each model has an artifact of its own that names itself in its answers, and callers of its own; those of every tenth are
not the customers that its baseline knows. Engine, serving processes, router, capture and monitor are real. There is
cross-talk when an endpoint answers with another model, when a monitor counts rows that its model was not asked, or when
drift is said of any but the tenths.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.delivery.ground import ROOT, Cloud, Ground, cloud, containers, machine
from benchmarks.delivery.rollouts import ROWS, Callers
from benchmarks.delivery.tables import write
from contract.release import Release, Releases, Rollout, Variant
from contract.signals import signal
from delivery.engine.cloud import embedded
from delivery.environment import Environment
from stacks.settings import KEY, load

BEFORE_A_TICK, PAST_IT = "2026-01-05T00:10:00Z", 56 * 60.0  # the monitor judges at five past every hour
REQUESTS, MOVED, EVERY = 40, 1.0, 10


@dataclass
class Hall:
    """One environment with many models, on an embedded AWS whose clock stands."""

    root: Path
    cloud: Cloud
    models: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def environment(self) -> Environment:
        settings = load("local", self.root)
        return Environment("local", self.root, settings, embedded(settings, self.cloud.url))

    def grounds(self) -> dict[str, Ground]:
        environment = self.environment
        return {name: Ground(environment, self.cloud, model=name) for name in self.models}

    def drifts(self, model: str) -> bool:
        return self.models.index(model) % EVERY == 0

    # What is measured.

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[what] = time.perf_counter() - started
        print(f"{what}: {self.seconds[what]:.1f} s", flush=True)

    def typed(self, what: str, *words: str) -> str:
        """A command as a person types it, its start included."""
        with self.timed(what):
            done = subprocess.run(
                [sys.executable, "-m", "delivery.cli", *words], cwd=ROOT, capture_output=True, text=True, check=False,
                env=os.environ | {"SLIPWAY_ROOT": str(self.root), "AWS_ENDPOINT_URL": self.cloud.url},
            )  # fmt: skip
        if done.returncode != 0:
            raise SystemExit(f"slipway {' '.join(words)} failed:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
        return done.stdout

    # What happens.

    def settle(self) -> None:
        """Settings of many models, from that of one."""
        document = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())
        one = document["config"][KEY]["models"]["churn"]
        one["training"] = {"on_drift": False}
        document["config"][KEY]["models"] = {name: copy.deepcopy(one) for name in self.models}
        (self.root / "releases").mkdir(parents=True)
        (self.root / "Pulumi.local.yaml").write_text(yaml.safe_dump(document))

    def release(self) -> None:
        """A version of each, and the release file that says it serves."""
        at_once = Rollout("all-at-once", bake_seconds=0)
        serving = {
            name: Release("steady", (Variant("champion", ground.version(1, says=name), 1.0, 1),), at_once)
            for name, ground in self.grounds().items()
        }
        (self.root / "releases" / "local.yaml").write_text(yaml.safe_dump(Releases(serving).to_json()))

    def ask(self) -> list[str]:
        """Callers of every model; who did not get its answers from it."""
        wrong = []
        for number, (name, ground) in enumerate(self.grounds().items()):
            callers = Callers(ground, np.random.default_rng([7, number]), moved=MOVED * self.drifts(name))
            callers.ask(REQUESTS)
            if callers.seen != {name: REQUESTS}:
                wrong.append(f"{name} was answered by {dict(callers.seen)}")
        self.cloud.flush()
        return wrong

    def judged(self) -> list[str]:
        """What the monitor said of any model that is not so."""
        wrong = []
        for name, ground in self.grounds().items():
            found = {key: self.said(ground, key, how) for key, how in (("rows", "Sum"), ("drift", "Maximum"))}
            wanted = {"rows": REQUESTS * ROWS, "drift": float(self.drifts(name))}
            if found != wanted:
                wrong.append(f"of {name} the monitor said {found}, expected {wanted}")
        return wrong

    def said(self, ground: Ground, key: str, how: str) -> float | None:
        published, now = signal(key), ground.environment.now()
        points = ground.client("cloudwatch").get_metric_statistics(
            Namespace=published.namespace,
            MetricName=published.name,
            Dimensions=[
                {"Name": "EndpointName", "Value": ground.endpoint},
                {"Name": "VariantName", "Value": "champion"},
            ],
            StartTime=now - timedelta(hours=3),
            EndTime=now + timedelta(hours=1),
            Period=6 * 3600,
            Statistics=[how],
        )["Datapoints"]
        return max((each[how] for each in points), default=None)


def played(hall: Hall) -> list[str]:
    """From one settings file to a verdict on every model; what went wrong on the way."""
    hall.settle()
    hall.typed("`up` from nothing, no version yet", "up", "local", "--yes")
    hall.release()
    hall.typed("`up` with a version of each: models, endpoints, alarms", "up", "local", "--yes")
    hall.typed("`up` again", "up", "local", "--yes")
    listed = json.loads(hall.typed("`models list` of all", "models", "list", "--json"))
    wrong = [f"{each['model']} is listed as {each}" for each in listed if not served(each)]
    wrong += [] if {each["model"] for each in listed} == set(hall.models) else ["the list is of other models"]
    with hall.timed(f"{REQUESTS} requests to each, one after another"):
        wrong += hall.ask()
    with hall.timed("one tick of the monitor over all"):
        hall.cloud.advance(PAST_IT)
    return wrong + hall.judged()


def served(line: Mapping[str, Any]) -> bool:
    return (line["serves"], line["release"], line["endpoint"], line["newest"]) == (1, "steady", "InService", 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slipway-many-") as name:
        work = Path(name)
        place = containers(work / "containers")
        with cloud(work, containers=place, clock=f"stepped:{BEFORE_A_TICK}") as running:
            hall = Hall(work / "checkout", running, tuple(f"m{number}" for number in range(given.models)))
            wrong = played(hall)
    lines = [f"| {given.models} models | s |", "| --- | --- |"]
    lines += [f"| {what} | {seconds:.1f} |" for what, seconds in hall.seconds.items()]
    lines += ["", f"Cross-talk: {'; '.join(wrong) or 'none'}. {machine()}."]
    text = "\n".join(lines)
    print(text)
    if given.write:
        write("many", text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
