"""TensorFlow disagrees with the other locks about a dependency: its conformance runs in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venvs" / "tensorflow" / "bin" / "python"


@pytest.mark.apart
@pytest.mark.skipif(not PYTHON.exists(), reason="needs TensorFlow's environment (2 GB): make apart")
def test_the_tensorflow_family_conforms_in_its_own_environment() -> None:
    command = [str(PYTHON), "-m", "pytest", "tests/families/test_conformance.py", "-q", "-m", "tensorflow"]
    command += ["-p", "no:cacheprovider", "--confcutdir=tests/families"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
