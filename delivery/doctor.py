"""What this machine has, what is missing, and how to get it.

Standard library alone: `python3 -m delivery.doctor` (or `make doctor`) works on a fresh clone, before anything is set
up.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from delivery.engine import machine
from delivery.engine.schema import VERSION

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
OLDEST_TERRAFORM = (1, 10)
ROOM_GB = 5
STAMP = Path(".venv") / "bin" / "slipway"

Word = Literal["ok", "missing", "optional"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked for: whether it is there, what was found, and how to get it."""

    name: str
    word: Word
    found: str
    remedy: str = ""


def examine(root: Path = ROOT) -> list[Check]:
    """Everything, in the order one would repair it."""
    return [each for look in LOOKS for each in look(root)]


def fine(checks: Sequence[Check]) -> bool:
    """Whether nothing is missing that `make up` needs."""
    return all(each.word != "missing" for each in checks)


def python(_: Path) -> Iterator[Check]:
    found = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, OLDEST_PYTHON))
    yield check("Python", sys.version_info[:2] >= OLDEST_PYTHON, found, f"install Python {wanted} or newer")


def environment(root: Path) -> Iterator[Check]:
    """The libraries of the locks: in this Python, or in the checkout's own environment."""
    here = all(importlib.util.find_spec(name) is not None for name in ("boto3", "typer"))
    place = root / STAMP
    found = sys.prefix if here else str(place.parent.parent)
    yield check("virtual environment", here or place.exists(), found, "make setup")


def engines(_: Path) -> Iterator[Check]:
    """Pulumi or Terraform; Terraform needs its AWS provider from a mirror or from the registry."""
    pulumi, terraform = machine.pulumi(), machine.terraform()
    either = "one engine is enough"
    yield Check(
        "Pulumi CLI",
        "ok" if pulumi else "optional" if terraform else "missing",
        pulumi or "not on PATH",
        "" if pulumi else f"slipway engine --install fetches the pinned one; {either}",
    )
    yield terraform_check(terraform, other=pulumi is not None)
    mirror = machine.mirror()
    needed = terraform is not None and pulumi is None
    yield Check(
        f"AWS provider {VERSION} in a mirror",
        "ok" if mirror else "optional",
        str(mirror or "none"),
        ""
        if mirror or not needed
        else f"Terraform asks its registry instead; without a network, name a folder in {machine.MIRROR}",
    )


def terraform_check(binary: str | None, *, other: bool) -> Check:
    wanted = ".".join(map(str, OLDEST_TERRAFORM))
    absent: Word = "optional" if other else "missing"
    remedy = f"install Terraform {wanted} or newer from developer.hashicorp.com/terraform/install"
    if binary is None:
        return Check("Terraform", absent, "not on PATH", remedy)
    version = terraform_version(binary)
    if version is None or version < OLDEST_TERRAFORM:
        return Check("Terraform", absent, f"{binary}, version {told(version)}", remedy)
    return Check("Terraform", "ok", f"{binary}, version {told(version)}")


def terraform_version(binary: str) -> tuple[int, ...] | None:
    try:
        ran = subprocess.run([binary, "version"], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"v(\d+)\.(\d+)\.(\d+)", ran.stdout)
    return tuple(int(part) for part in found.groups()) if found else None


def told(version: tuple[int, ...] | None) -> str:
    return "unknown" if version is None else ".".join(map(str, version))


def extras(_: Path) -> Iterator[Check]:
    """What only some verbs need."""
    docker = docker_answers()
    yield Check(
        "Docker engine",
        "ok" if docker else "optional",
        "answers" if docker else "does not answer",
        "" if docker else "containers run as processes instead; Docker is only needed to build images",
    )
    for name, needed_by, remedy in (
        ("wrk", "make measure", "apt-get install wrk, or brew install wrk"),
        ("nginx", "make measure", "apt-get install nginx, or brew install nginx"),
    ):
        found = shutil.which(name)
        yield Check(
            name, "ok" if found else "optional", found or "not on PATH", "" if found else f"{remedy} ({needed_by})"
        )
    chromium = chromium_place()
    yield Check(
        "Chromium",
        "ok" if chromium else "optional",
        chromium or "not found",
        "" if chromium else "playwright install chromium (the dashboard's own tests)",
    )


def docker_answers() -> bool:
    binary = shutil.which("docker")
    if binary is None:
        return False
    try:
        return subprocess.run([binary, "info"], capture_output=True, check=False, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def chromium_place() -> str | None:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    kept = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache" / "ms-playwright"))
    if importlib.util.find_spec("playwright") is not None and kept.is_dir():
        return next((str(each) for each in sorted(kept.glob("chromium*"))), None)
    return None


def room(root: Path) -> Iterator[Check]:
    free = shutil.disk_usage(root).free / 1e9
    yield check("disk", free >= ROOM_GB, f"{free:.0f} GB free", f"make room: {ROOM_GB} GB are needed at {root}")


def ports(root: Path) -> Iterator[Check]:
    """The port that the embedded AWS had last time."""
    remembered = root / machine.WORK / "local" / "port"
    if not remembered.exists():
        yield Check("port of the embedded AWS", "ok", "any free one is taken")
        return
    port = int(remembered.read_text())
    running = holder(root / machine.WORK / "local" / "ready.json")
    taken = is_taken(port)
    yield Check(
        "port of the embedded AWS",
        "optional" if taken and running is None else "ok",
        f"{port}, " + (f"process {running}" if running else "taken by something else" if taken else "free"),
        "another port is taken instead; addresses that people kept change" if taken and running is None else "",
    )


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def locks(root: Path) -> Iterator[Check]:
    """What a killed command left: the note of who held an environment; the lock itself died with its process."""
    left = [each for each in sorted((root / machine.WORK).glob("*/running.json")) if holder(each) is None]
    if not left:
        yield Check("leftover locks", "ok", "none")
    for each in left:
        name = each.parent.name
        yield Check("leftover locks", "optional", str(each), f"slipway recover {name} finishes what was interrupted")


def holder(place: Path) -> int | None:
    """The process a file names, when it still runs."""
    try:
        pid = int(json.loads(place.read_text())["pid"])
        os.kill(pid, 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid


def check(name: str, holds: bool, found: str, remedy: str) -> Check:
    return Check(name, "ok" if holds else "missing", found, "" if holds else remedy)


LOOKS: tuple[Callable[[Path], Iterator[Check]], ...] = (
    python,
    environment,
    engines,
    room,
    ports,
    locks,
    extras,
)


def lines(checks: Sequence[Check]) -> Iterator[str]:
    """The findings as plain text, for a machine without anything."""
    for each in checks:
        yield f"{each.word:<9} {each.name}: {each.found}" + (f"\n          -> {each.remedy}" if each.remedy else "")


def main() -> int:
    checks = examine()
    sys.stdout.write("\n".join(lines(checks)) + "\n")
    return 0 if fine(checks) else 1


if __name__ == "__main__":
    sys.exit(main())
