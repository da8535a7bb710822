"""The doctor says what is missing and how to get it, on a machine that has nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from delivery import doctor
from delivery.doctor import Check, fine, lines

ROOT = Path(__file__).resolve().parents[2]


def named(checks: Any, name: str) -> Check:
    return next(each for each in checks if each.name == name)


def test_it_runs_before_anything_is_set_up() -> None:
    bare = {"PATH": "/nowhere", "PYTHONPATH": str(ROOT), "HOME": "/nowhere"}
    ran = subprocess.run(
        [sys.executable, "-S", "-m", "delivery.doctor"], cwd=ROOT, env=bare, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "missing   Terraform: not on PATH" in ran.stdout
    assert "slipway engine --install" in ran.stdout


def test_one_engine_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor.machine, "pulumi", lambda: "/bin/pulumi")
    monkeypatch.setattr(doctor.machine, "terraform", lambda: None)
    found = list(doctor.engines(tmp_path))
    assert named(found, "Terraform").word == "optional"
    assert fine(found)


@pytest.mark.parametrize(
    ("said", "word"), [("Terraform v1.11.4", "ok"), ("Terraform v1.9.8", "missing"), ("?", "missing")]
)
def test_an_old_terraform_is_as_good_as_none(said: str, word: str, tmp_path: Path) -> None:
    binary = tmp_path / "terraform"
    binary.write_text(f"#!/bin/sh\necho '{said}'\n")
    binary.chmod(0o755)
    assert doctor.terraform_check(str(binary), other=False).word == word


def test_what_a_killed_command_left_is_shown_with_what_finishes_it(tmp_path: Path) -> None:
    place = tmp_path / ".slipway" / "dev"
    place.mkdir(parents=True)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (place / "running.json").write_text(json.dumps({"pid": ended.pid}))
    (found,) = doctor.locks(tmp_path)
    assert (found.word, found.remedy) == ("optional", "slipway recover dev finishes what was interrupted")
    (place / "running.json").write_text(json.dumps({"pid": os.getpid()}))
    assert next(doctor.locks(tmp_path)).word == "ok"


def test_a_port_taken_by_something_else_is_told(tmp_path: Path) -> None:
    place = tmp_path / ".slipway" / "local"
    place.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as other:
        (place / "port").write_text(str(other.getsockname()[1]))
        (found,) = doctor.ports(tmp_path)
    assert found.found.endswith("taken by something else")


def test_findings_are_plain_text_with_their_remedy() -> None:
    text = list(lines([Check("Terraform", "missing", "not on PATH", "install it")]))
    assert text == ["missing   Terraform: not on PATH\n          -> install it"]
