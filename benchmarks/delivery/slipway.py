"""The command line itself on a rehearsal's ground: only the engine is replaced, so that it can be timed and killed.

python -m benchmarks.delivery.slipway URL ENVIRONMENT ROOT deploy shop 2
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import delivery.platform
from benchmarks.delivery.ground import Cloud, Ground, Rehearsing
from delivery.cli import main


def run(url: str, name: str, root: Path, words: list[str]) -> int:
    def platform(environment: str, *, tell: Any, **_: Any) -> Rehearsing:
        del environment
        return Rehearsing(Ground.open(Cloud(url), name, root), tell)

    delivery.platform.Platform = platform  # type: ignore[assignment,misc]
    return main(words)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:]))
