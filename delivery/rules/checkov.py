"""Checkov over plans, in an environment of its own because its pins disagree with everybody's."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delivery.rules.plan import plan_form, prefix
from delivery.rules.waivers import Finding


class CheckovError(Exception):
    """Checkov could not be run; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, and which checks really looked at something."""

    findings: tuple[Finding, ...]
    seen: Mapping[str, frozenset[str]]  # per environment

    @property
    def evaluated(self) -> frozenset[str]:
        return frozenset().union(*self.seen.values())


def binary(root: Path) -> Path:
    path = root / ".venvs" / "rules" / "bin" / "checkov"
    if not path.exists():
        raise CheckovError("checkov has no environment yet: `python3 tools/setup.py rules` makes it")
    return path


def run(documents: Mapping[str, Mapping[str, Any]], folder: Path, root: Path) -> Answer:
    """Judge one document per environment in one run; a check that never looked at anything is not counted."""
    files = {environment: folder / f"{environment}.json" for environment in documents}
    for environment, path in files.items():
        path.write_text(json.dumps(plan_form(documents[environment], environment)))
    command = [str(binary(root)), "--framework", "terraform_plan", "--output", "json", "--compact", "--skip-download"]
    for path in files.values():
        command += ["--file", str(path)]
    variables = os.environ | {"LOG_LEVEL": "ERROR", "CKV_IGNORE_HIDDEN_DIRECTORIES": "false"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    try:
        given = json.loads(done.stdout)
    except ValueError:
        raise CheckovError(f"checkov answered no JSON (exit {done.returncode}):\n{done.stderr[-2000:]}") from None
    return answer(given)


def answer(given: Any) -> Answer:
    results = [each["results"] for each in (given if isinstance(given, list) else [given])]
    failed = [each for result in results for each in result.get("failed_checks", ())]
    passed = [each for result in results for each in result.get("passed_checks", ())]
    seen: dict[str, set[str]] = {}
    for each in [*failed, *passed]:
        seen.setdefault(place(each), set()).add(each["check_id"])
    findings = tuple(
        Finding(place(each), each["check_id"], each["resource"].replace(prefix(place(each)), "", 1), each["check_name"])
        for each in failed
    )
    return Answer(findings, {name: frozenset(ids) for name, ids in seen.items()})


def place(found: Mapping[str, Any]) -> str:
    """Which plan a result is about: the name of its file."""
    return Path(found["file_path"]).stem
