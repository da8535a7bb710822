"""Pages that say what to type are right: each command is there, and those of the tutorial and the how-tos are run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from delivery.cli import application

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```shell\n(.*?)^```", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"`(slipway [a-z][^`]*)`")
RUN = [
    ROOT / "docs" / "tutorial" / "first-model.md",
    *(
        ROOT / "docs" / "howto" / f"{name}.md"
        for name in (
            "answer-many-rows",
            "look-after-what-serves",
            "know-what-it-costs",
            "go-back-in-history",
            "promote",
        )
    ),
]


def lines(page: Path) -> Iterator[str]:
    for block in BLOCK.findall(page.read_text()):
        yield from block.splitlines()


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_what_a_page_says_to_type_works(checkout: Any, page: Path) -> None:
    for line in lines(page):
        if line.startswith("slipway "):
            checkout.type(line)
        else:
            subprocess.run(["bash", "-c", line], cwd=checkout.root, check=True)


PAGES = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md"])
MENTIONED = sorted(
    {(each, page.name) for page in PAGES for each in TYPED.findall(page.read_text()) if "adr" not in page.parts}
)


@pytest.mark.parametrize(("typed", "page"), MENTIONED)
def test_every_command_a_page_mentions_is_there_with_its_options(typed: str, page: str) -> None:
    tree: Any = typer.main.get_command(application())
    words = typed.split()[1:]
    while words and hasattr(tree, "commands"):
        assert words[0] in tree.commands, f"{page}: {typed}"
        tree = tree.commands[words.pop(0)]
    known = {option for each in getattr(tree, "params", ()) for option in each.opts} | {"--help"}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, f"{page}: {typed}"
