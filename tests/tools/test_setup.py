"""Setting up says what to do when it cannot, and costs nothing when there is nothing to do."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("slipway_setup", ROOT / "tools" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of two small files, with the real way to set it up."""
    for name in ("tools/setup.py", "Makefile", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "small.txt").write_text("")
    (tmp_path / "requirements" / "away.txt").write_text(f"nowhere==1.0 --hash=sha256:{'0' * 64}\n")
    return tmp_path


def run(checkout: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))}
    return subprocess.run(
        [sys.executable, "tools/setup.py", *words],
        cwd=checkout, env=environment | {"UV_HTTP_RETRIES": "0"} | more, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_python_that_is_too_old_is_told_which_one_to_bring_and_how(setup: ModuleType) -> None:
    setup.check_python((3, 11))
    setup.check_python((3, 12))
    with pytest.raises(setup.SetupError) as raised:
        setup.check_python((3, 9))
    assert "Python 3.9 is too old: Slipway needs 3.11 or newer" in str(raised.value)
    assert "make setup PYTHON=python3.11" in str(raised.value)


def test_an_old_python_can_read_the_program_that_says_so() -> None:
    compile((ROOT / "tools" / "setup.py").read_text(), "setup.py", "exec", dont_inherit=True)
    import ast

    ast.parse((ROOT / "tools" / "setup.py").read_text(), feature_version=(3, 7))


def test_a_registry_out_of_reach_ends_with_the_step_and_what_to_do(checkout: Path) -> None:
    ended = run(checkout, "away", PIP_INDEX_URL="http://127.0.0.1:9/simple", UV_CACHE_DIR=str(checkout / "cache"))
    assert ended.returncode == 1
    assert "The step 'installing 1 lock(s), hashes checked' failed" in ended.stderr
    assert "check the network, or point PIP_INDEX_URL at a package index you can reach" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (checkout / ".venvs" / "away" / ".slipway-stamp").exists()


def test_repeating_it_costs_nothing_until_a_lock_changes(checkout: Path) -> None:
    first = run(checkout, "small")
    assert first.returncode == 0, first.stderr
    assert "installing 1 lock(s)" in first.stdout
    again = run(checkout, "small", PATH="/nowhere")  # not even the installer is looked for
    assert again.stdout == "  .venvs/small is up to date\n"
    (checkout / "requirements" / "small.txt").write_text("# changed\n")
    assert "installing 1 lock(s)" in run(checkout, "small").stdout


def test_a_lock_that_is_not_there_is_answered_with_those_that_are(checkout: Path) -> None:
    ended = run(checkout, "smal")
    assert ended.returncode == 1
    assert ended.stderr == "\nsetup: There is no lock named 'smal'. Known: away, small.\n"


def test_what_is_ours_is_compiled_once_for_programs_that_may_not_write(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "ours"
    package.mkdir()
    (package / "__init__.py").write_text("answer = 42\n")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    setup.compile_ours(Path(sys.prefix))
    assert [each.name for each in (package / "__pycache__").iterdir()] == [
        f"__init__.{sys.implementation.cache_tag}.pyc"
    ]
