"""Docs run: python blocks are executed, console blocks are typed and their answers compared.

In a console block a line with `$ ` is typed; the lines below it are what must be printed, where `…` stands for
anything. What is typed in one page runs in one folder made for it, with the repository as SLIPWAY_ROOT.
"""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser
from typing_extensions import override
from xdist.scheduler import LoadScopeScheduling

# Workers share the cores: threads of numeric libraries would only wait for each other. Said before any is loaded.
for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(pool, "1")

# How long an example takes tells of the machine, not of the code.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

ROOT = Path(__file__).resolve().parent
# CI types these itself; typing them in a test would run the tests in the tests.
TYPED_BY_CI = {"make setup", "make test", "make up"}
MINUTES = 5
# These use one environment, which takes half a minute to bring up.
ON_ONE_ENVIRONMENT = tuple(f"tests/delivery/test_{name}.py" for name in ("commands", "promotion", "pages"))


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


class ByFile(LoadScopeScheduling):
    """A file's tests stay with one worker: what they share is made once."""

    @override
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return ON_ONE_ENVIRONMENT[0] if file in ON_ONE_ENVIRONMENT else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_finish() -> None:
    """Thousands of tests are kept to the end: looking for garbage among them again and again costs processor."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long begin first."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
