"""What CI releases is proposed once, and what waits to be merged is left alone."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from contract.release import Package, Release, Releases, Variant
from delivery.releases import ReleaseFile

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Package(1, "arn", "image", "s3://a/model.tar.gz", "0" * 64, "evidence")
STEADY = Release("steady", (Variant("champion", PACKAGE, 1.0, 2),))
TRIAL = Release("experiment", (*STEADY.variants, Variant("challenger", PACKAGE, 0.1, 1)), experiment="spring")


@pytest.fixture
def due() -> Callable[..., list[str]]:
    spec = importlib.util.spec_from_file_location("slipway_due", ROOT / "tools" / "due.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.due


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with what the verbs for CI read, and a place it is pushed to."""
    root = tmp_path / "checkout"
    (root / "releases").mkdir(parents=True)
    for path in (ROOT / "Makefile", *ROOT.glob("Pulumi.*.yaml")):
        shutil.copy(path, root)
    for name, release in {"local": TRIAL, "dev": TRIAL, "staging": STEADY, "prod": TRIAL}.items():
        ReleaseFile.of(name, root).write(Releases({"churn": release}))
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", tmp_path / "origin"], check=True)
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["config", f"url.{tmp_path / 'origin'}.insteadOf", "https://x-access-token:secret@github.com/an/organisation"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message", "first"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


@pytest.fixture
def proposes(checkout: Path, tmp_path: Path) -> Callable[[str], str]:
    """`make propose`, with a `gh` that writes down what it was asked."""
    tools, asked = tmp_path / "tools", tmp_path / "asked"
    tools.mkdir()
    (tools / "gh").write_text(f'#!/bin/sh\necho "$@" >>{asked}\n')
    (tools / "gh").chmod(0o755)

    def make(environment: str) -> str:
        given = {"TO": environment, "GITHUB_RUN_ID": "7", "GH_TOKEN": "secret", "GITHUB_REPOSITORY": "an/organisation"}
        variables = os.environ | given | {"PATH": f"{tools}:{os.environ['PATH']}"}
        subprocess.run(["make", "--silent", "propose"], cwd=checkout, env=variables, check=True, capture_output=True)
        return asked.read_text() if asked.exists() else ""

    return make


def test_experiments_are_looked_at_on_aws_where_one_runs(checkout: Path, due: Callable[..., list[str]]) -> None:
    assert due(checkout, []) == ["dev", "prod"]


def test_what_was_concluded_and_waits_to_be_merged_is_left_alone(checkout: Path, due: Callable[..., list[str]]) -> None:
    assert due(checkout, ["release-prod-123", "release-staging-9", "feature-dev"]) == ["dev"]


def test_a_changed_release_file_is_proposed(checkout: Path, proposes: Callable[[str], str], tmp_path: Path) -> None:
    ReleaseFile.of("dev", checkout).write(Releases({"churn": STEADY}))
    assert "pr create --title What serves in dev" in proposes("dev")
    shown = ["git", "show", "--stat", "--format=%s", "release-dev-7"]
    told = subprocess.run(shown, cwd=tmp_path / "origin", capture_output=True, text=True, check=True).stdout
    assert told.startswith("What serves in dev\n")
    assert "releases/dev.yaml" in told


def test_the_first_release_file_of_an_environment_is_proposed_too(
    checkout: Path, proposes: Callable[[str], str]
) -> None:
    ReleaseFile.of("test", checkout).write(Releases({"churn": STEADY}))
    assert "release-test-7" in proposes("test")


def test_a_release_file_that_is_as_it_was_is_not_proposed(proposes: Callable[[str], str]) -> None:
    assert proposes("dev") == ""
