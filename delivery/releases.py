"""The file `releases/<environment>.yaml`: read whole, written whole, never half.

One command changes a release at a time: `changing` holds a lock from reading to writing, and a kill in between leaves
the file as it was.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout
from ruamel.yaml import YAML, YAMLError

from contract.records import RecordError, nearest
from contract.release import Release, Releases

HEADER = "# What serves now. Written by slipway, reviewed by people; read by the program that declares the endpoints.\n"


class ReleasesError(Exception):
    """The release file cannot be read or changed; the text says where and what to do."""


class BusyError(ReleasesError):
    """Another command is changing the release file."""


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """The releases of one environment on disk."""

    path: Path

    @classmethod
    def of(cls, environment: str, root: Path) -> ReleaseFile:
        return cls(root / "releases" / f"{environment}.yaml")

    def read(self) -> Releases:
        """What serves now; a file that is not there means that nothing does."""
        if not self.path.exists():
            return Releases()
        try:
            return Releases.from_json(YAML(typ="safe").load(self.path.read_text()))
        except (YAMLError, RecordError, UnicodeDecodeError, TypeError, AttributeError) as problem:
            raise ReleasesError(
                f"{self.path} cannot be read: {problem}\n"
                "It is written by slipway and kept in git: bring the last good one back with `git checkout -- "
                f"{self.path.name}` in its folder. Nothing was changed."
            ) from None

    def release(self, model: str) -> Release:
        """The release of one model."""
        models = self.read().models
        if model not in models:
            known = ", ".join(sorted(models)) or "none"
            raise ReleasesError(
                f"model '{model}' serves nowhere in {self.path.stem}.{nearest(model, list(models))} Serving: {known}."
            )
        return models[model]

    def write(self, releases: Releases) -> None:
        """Replace the whole file; after a crash it is the old one or the new one."""
        out = io.StringIO()
        yaml = YAML()
        yaml.default_flow_style = False
        yaml.width = 4096  # a wrapped address cannot be copied
        yaml.dump(releases.to_json(), out)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        with part.open("w") as file:
            file.write(HEADER + out.getvalue())
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)

    def put(self, model: str, release: Release) -> None:
        """Replace the release of one model."""
        releases = self.read()
        self.write(replace(releases, models={**releases.models, model: release}))

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the file against other commands; they are told at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            with FileLock(lock, timeout=0):
                yield
        except Timeout:
            raise BusyError(
                f"another slipway command is changing {self.path.stem}; wait, then try again. Nothing was changed."
            ) from None
