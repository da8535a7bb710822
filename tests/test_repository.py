"""The repository keeps its own rules."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_top_level_package_has_a_rule_for_what_it_may_import() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(PROJECT["tool"]["importlinter"]["root_packages"])


def test_every_dependency_is_pinned_exactly() -> None:
    loose = [
        entry
        for group in PROJECT["dependency-groups"].values()
        for entry in group
        if isinstance(entry, str) and "==" not in entry
    ]
    assert loose == []


def test_locks_carry_hashes_and_no_addresses() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "--hash=sha256:" in text, lock.name
        assert "://" not in text, lock.name
