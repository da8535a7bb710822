"""In which environments of AWS an experiment runs, by their release files, as a JSON list: where CI looks for its end.

Reads the branches of open proposals from stdin, one a line: what was concluded and is not merged yet is not looked at
again, because the release file here still says what served before.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from delivery.releases import ReleaseFile  # noqa: E402
from stacks.settings import environments, load  # noqa: E402


def due(root: Path, proposed: Iterable[str]) -> list[str]:
    """The environments with an experiment and without a proposal that waits."""
    waiting = {branch.removeprefix("release-").rpartition("-")[0] for branch in proposed}
    return [each for each in environments(root) if each not in waiting and is_on_trial(each, root)]


def is_on_trial(environment: str, root: Path) -> bool:
    models = ReleaseFile.of(environment, root).read().models.values()
    return load(environment, root).cloud == "aws" and any(each.experiment for each in models)


if __name__ == "__main__":
    print(json.dumps(due(ROOT, sys.stdin.read().split())))
