"""The demo, played for real, from a checkout of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from delivery.demo import sealed, story
from delivery.engine import machine

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.story,
    pytest.mark.skipif(machine.terraform() is None, reason="terraform is not on PATH"),
    pytest.mark.skipif(machine.mirror() is None, reason=f"no provider mirror: name one in {machine.MIRROR}"),
]


def test_the_demo_ends_green_and_nothing_of_it_wanted_to_leave_this_machine(tmp_path: Path) -> None:
    for path in ROOT.iterdir():
        if not path.name.startswith("."):
            (tmp_path / path.name).symlink_to(path)
    ran = subprocess.run(
        [sys.executable, "-m", "delivery.cli", "demo", "--json"],
        env=os.environ | {"SLIPWAY_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(ran.stdout)
    assert [each["title"] for each in told["chapters"]] == [title for title, _, _ in story.CHAPTERS]
    assert (told["sockets"]["sealed"], told["sockets"]["attempts"]) == (sealed.can_seal(), 0)
    report = Path(told["report"]).read_text(encoding="utf-8")
    assert "an alarm took it back while it baked" in report
    assert "The chain is whole" in report
