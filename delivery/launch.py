"""From nothing to a first prediction: what `make up` does, and does again in seconds when it is done already."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from contract.records import Request
from contract.release import Release, Rollout
from delivery.platform import QUIET, Invoked, Platform
from delivery.runs import Step

ROWS, SEED = 6000, 7
MODEL = "churn"


class LaunchError(Exception):
    """The sample data could not be made; the text carries what the container's program said."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What a newcomer sees at the end."""

    release: Release
    row: str
    first: Invoked
    url: str


def launch(
    platform: Platform,
    tell: Callable[[str], None],
    steps: Callable[[list[Step]], None],
    console: Console = QUIET,
) -> Launch:
    """Bring the environment up, shown on `console`; train on the sample data, approve, deploy, ask."""
    environment = platform.environment
    tell(f"bringing '{environment.name}' up")
    platform.up(console)
    sample = sample_data(environment.root)
    release = environment.releases.read().models.get(MODEL)
    if release is None:
        tell("training on the sample data")
        version = platform.run(MODEL, sample, reason="first run", steps=steps)
        tell(f"version {version.version} is registered; judging it by gates/{MODEL}.yaml")
        platform.approve(MODEL, str(version.version), note="first run of the sample")
        tell(f"deploying version {version.version}")
        release = platform.deploy(MODEL, str(version.version), rollout=Rollout("all-at-once"))
    else:
        release = platform.settle(MODEL) or release
    row = first_row(sample)
    first = platform.invoke(MODEL, Request(row.encode(), "text/csv", "application/json", inference_id="first"))
    return Launch(release, row, first, environment.cloud.url or "")


def sample_data(root: Path) -> Path:
    """The sample table, made once by the training container's own program."""
    place = root / ".slipway" / "sample" / f"{MODEL}-{ROWS}-{SEED}" / f"{MODEL}.csv"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f"part-{MODEL}.csv")
        command = [sys.executable, "-m", "training", "sample", MODEL, "--rows", str(ROWS), "--seed", str(SEED)]
        made = subprocess.run([*command, "--out", str(part)], cwd=root, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise LaunchError(f"the sample data could not be made:\n{made.stderr.strip()}")
        part.rename(place)
    return place


def first_row(table: Path) -> str:
    """The first customer, without the answer."""
    with table.open() as file:
        rows = csv.reader(file)
        header, row = next(rows), next(rows)
    kept = [
        value for name, value in zip(header, row, strict=True) if name not in ("churned", "customer_id", "event_time")
    ]
    return ",".join(kept)
