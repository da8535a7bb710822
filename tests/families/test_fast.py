"""The fast form answers, and tells nobody of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TASKS = Path("/proc/self/task")
PROGRAM = """
import os
import numpy
before = len(os.listdir("/proc/self/task"))
import families.fast
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not TASKS.exists(), reason="this system does not list a process's threads")
def test_the_library_that_answers_starts_no_thread_that_tells_its_maker() -> None:
    given = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=given, capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip() == "0", ran.stderr
