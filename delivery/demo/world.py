"""The demo's own world: settings, releases and an embedded AWS in a folder of its own, made new for every play.

Nothing of anybody's environment is touched, and nothing of an earlier play is trusted: what a killed one left is ended
and removed first. The rest of the repository is linked, so the demo runs the code that stands there.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from delivery.engine.cloud import ENDPOINT, REAL, local_cloud
from delivery.platform import Platform, Tell
from stacks.settings import KEY

ENVIRONMENT, MODEL = "demo", "churn"
MORNING = "2026-03-02T08:00:00+00:00"  # the Monday it plays on
OWN = {"releases", "gates", ".slipway", ".git"}
# The local environment, but judged once a day, so that a week has seven judgements and not 168.
EVENING = "cron(0 20 * * ? *)"
GATES = {
    "gates": [
        {"kind": "threshold", "metric": "auc", "at_least": 0.5, "by": "estimate"},
        {"kind": "relative", "metric": "auc", "margin": 0.1},
        {"kind": "size", "megabytes_at_most": 50},
        {"kind": "approvals", "at_least": 1, "author_may_approve": False},
        {"kind": "age", "days_at_most": 30},
    ]
}


class BusyError(Exception):
    """Another demo plays in this repository."""


@dataclass(frozen=True, slots=True)
class World:
    """Where one play happens."""

    repository: Path

    @property
    def folder(self) -> Path:
        return self.repository / ".slipway" / "demo"

    @property
    def root(self) -> Path:
        return self.folder / "world"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One play at a time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / "lock", timeout=0):
                yield
        except Timeout:
            raise BusyError(f"another demo plays in {self.folder}: wait for it, or end it.") from None

    def make(self) -> None:
        """A new world; whatever an earlier play left is gone."""
        self.forget()
        self.root.mkdir(parents=True)
        for path in self.repository.iterdir():
            if path.name not in OWN and not path.name.startswith("Pulumi."):
                (self.root / path.name).symlink_to(path)
        (self.root / "Pulumi.yaml").symlink_to(self.repository / "Pulumi.yaml")
        (self.root / f"Pulumi.{ENVIRONMENT}.yaml").write_text(yaml.safe_dump(settings(self.repository)))
        (self.root / "gates").mkdir()
        (self.root / "gates" / f"{MODEL}.yaml").write_text(yaml.safe_dump(GATES))
        (self.root / "releases").mkdir()

    def forget(self) -> None:
        if self.root.exists():
            local_cloud(self.root).stop()
            shutil.rmtree(self.root)

    @contextmanager
    def running(self) -> Iterator[str]:
        """The embedded AWS of this world, on a clock that moves when it is told to; it ends with the block.

        Containers run with this very Python: what it lacks could not be fetched by a play that is sealed off.
        """
        cloud = replace(local_cloud(self.root), interpreter=sys.executable)
        try:
            yield cloud.start(clock=f"stepped:{MORNING}", port=0).url
        finally:
            cloud.stop()

    def platform(self, who: str, tell: Tell) -> Platform:
        """The verbs, in the hands of one person."""
        os.environ["SLIPWAY_WHO"] = who
        platform = Platform(ENVIRONMENT, root=self.root, tell=tell)
        if platform.environment.who != who:
            raise AssertionError(platform.environment.who)
        return platform


def settings(repository: Path) -> dict[str, Any]:
    """The settings of `local`, changed where the demo needs it."""
    document = yaml.safe_load((repository / "Pulumi.local.yaml").read_text())
    model = document["config"][KEY]["models"][MODEL]
    document["config"][KEY]["tracking"] = {"kind": "nowhere"}
    model["monitor"] = {"schedule": EVENING}
    # No floor: the first model learns from bad data, and gates say enough. The pipeline explains in a step of its own.
    model["training"] = {"on_drift": True, "hyperparameters": {"explain": "false"}}
    return document


def own_variables() -> None:
    """Drop what could lead a client of this process, or a child's, out of the demo's own world."""
    for name in (ENDPOINT, *REAL, "AWS_DEFAULT_PROFILE", "SLIPWAY_ENV"):
        os.environ.pop(name, None)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name in [each for each in os.environ if each.lower().endswith("_proxy")]:
        del os.environ[name]
