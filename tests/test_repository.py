"""The repository keeps its own rules."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


PRE_COMMIT = [sys.executable, "-m", "pre_commit"]
PACKAGES = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}


def test_every_top_level_package_has_a_rule_for_what_it_may_import() -> None:
    rules = PROJECT["tool"]["importlinter"]
    assert set(rules["root_packages"]) == PACKAGES
    layers = [layer.split(" | ") for rule in rules["contracts"] for layer in rule.get("layers", [])]
    ruled = {name for names in layers for name in names}
    ruled |= {name for rule in rules["contracts"] for name in rule.get("source_modules", [])}
    assert ruled == PACKAGES


def test_types_are_checked_and_code_is_installed_everywhere() -> None:
    tools = PROJECT["tool"]
    assert set(tools["pyrefly"]["project-includes"]) >= PACKAGES | {"tests", "benchmarks", "tools"}
    assert set(tools["ruff"]["lint"]["isort"]["known-first-party"]) == PACKAGES
    assert {name.rstrip("*") for name in tools["setuptools"]["packages"]["find"]["include"]} == PACKAGES


def test_bare_make_lists_every_verb_with_what_it_does() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    told = dict(re.findall(r"^  make (\S+) +(\S.*)$", listed, re.MULTILINE))
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(told) == verbs
    assert {"setup", "format", "check", "test", "offline", "up", "down", "preview", "measure"} <= verbs


def test_the_hooks_call_the_same_verbs_and_are_well_formed() -> None:
    subprocess.run([*PRE_COMMIT, "validate-config"], cwd=ROOT, check=True, capture_output=True)
    assert "entry: make check" in (ROOT / ".pre-commit-config.yaml").read_text()


def test_decisions_are_numbered_once() -> None:
    numbers = [path.name.partition("-")[0] for path in (ROOT / "docs" / "adr").glob("*.md")]
    assert [number for number in set(numbers) if numbers.count(number) > 1] == []


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
