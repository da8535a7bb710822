"""What bringing an environment up would do if a release were as intended, before anything is written.

The engine reads a checkout: it is given one whose files are links to the real ones, but for the release file. A kill
leaves the real release file as it is, and the next command nothing to finish.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from contract.release import Release
from delivery.engine.machine import WORK
from delivery.releases import ReleaseFile

RELEASES = "releases"


@contextmanager
def as_if(environment: str, root: Path, model: str, release: Release) -> Iterator[Path]:
    """A checkout in which a model's release is already as intended."""
    (root / WORK).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root / WORK, prefix="ahead-") as name:
        folder = Path(name)
        for each in root.iterdir():
            if each.name != RELEASES:
                (folder / each.name).symlink_to(each)
        known = ReleaseFile.of(environment, root).read()
        intended = replace(known, models={**known.models, model: release})
        ReleaseFile.of(environment, folder).write(intended)
        yield folder
