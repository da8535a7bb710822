"""Docs run: python blocks are executed, console blocks are typed and their answers compared.

In a console block a line with `$ ` is typed; the lines below it are what must be printed, where `…` stands for
anything. What is typed in one page runs in one folder made for it, with the repository as SLIPWAY_ROOT.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).resolve().parent
# CI types these itself; typing them in a test would run the tests in the tests.
TYPED_BY_CI = {"make setup", "make test", "make up"}
MINUTES = 5


class ConsoleParser(CodeBlockParser):
    """Runs what a reader would type."""

    language = "console"

    def evaluate(self, example: Example) -> str | None:
        for typed, expected in steps(example.parsed):
            if typed in TYPED_BY_CI:
                assert typed in map(str.strip, (ROOT / ".ci" / "run").read_text().splitlines()), (
                    f"{typed} is not what CI runs"
                )
                continue
            problem = answer_problem(typed, expected, example.namespace["folder"])
            if problem:
                return problem
        return None


def steps(block: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with the lines expected below it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return [(typed, "\n".join(lines).strip()) for typed, lines in found]


def answer_problem(typed: str, expected: str, folder: Path) -> str | None:
    """What is wrong with the answer to a command, if anything is."""
    environment = os.environ | {
        "SLIPWAY_ROOT": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }
    ran = subprocess.run(
        ["bash", "-c", typed],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60 * MINUTES,
        check=False,
    )
    if ran.returncode != 0:
        return f"$ {typed}\nended with {ran.returncode}:\n{ran.stdout}{ran.stderr}"
    if expected and not re.fullmatch(re.escape(expected).replace("…", ".*"), ran.stdout.strip(), re.DOTALL):
        return f"$ {typed}\nprinted:\n{ran.stdout}\nexpected:\n{expected}"
    return None


def make_folder(namespace: dict[str, Any]) -> None:
    namespace["kept"] = tempfile.TemporaryDirectory()
    namespace["folder"] = Path(namespace["kept"].name)


def drop_folder(namespace: dict[str, Any]) -> None:
    namespace["kept"].cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), ConsoleParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=make_folder,
    teardown=drop_folder,
).pytest()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a file's tests share is made once: they stay with one worker. Files that take long begin first."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(ROOT))))
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
