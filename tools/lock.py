"""Compile the dependency groups of pyproject.toml into requirements/*.txt, with hashes and without addresses.

dev.txt is compiled first; every other lock is held to its versions, so one environment can run everything.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNLOCKED = {"tools", "dev"}
# These disagree with the others about a dependency: each has an environment of its own.
APART = {"mlflow", "rules", "sagemaker-sdk", "tensorflow"}


def compile_group(group: str, held_to: Path | None) -> None:
    out = ROOT / "requirements" / f"{group}.txt"
    command = [
        "uv",
        "pip",
        "compile",
        "pyproject.toml",
        "--group",
        group,
        "--python-version",
        "3.11",
        "--generate-hashes",
    ]
    command += ["--no-emit-index-url", "--no-header", "--quiet", "--output-file", str(out)]
    if held_to is not None:
        command += ["--constraints", str(held_to)]
    environment = {"UV_FIND_LINKS": os.environ.get("PIP_FIND_LINKS", "")} | os.environ
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    print(f"requirements/{out.name}: {sum('==' in line for line in out.read_text().splitlines())} packages")


def main() -> int:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    compile_group("dev", None)
    for group in sorted(set(groups) - UNLOCKED):
        compile_group(group, None if group in APART else ROOT / "requirements" / "dev.txt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
