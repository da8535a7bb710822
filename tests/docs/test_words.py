"""One word per idea: the words we left aside do not come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEFT_ASIDE = ("treatment", "detector", "helper", "utils", "misc")
PROSE = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
PACKAGES = {path.parent for path in ROOT.glob("*/__init__.py")}
MODULES = sorted(path for package in PACKAGES for path in package.glob("**/*.py"))


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_docs_do_not_use_a_word_that_was_left_aside(page: Path) -> None:
    words = set(re.findall(r"[a-z]+", page.read_text().lower()))
    assert words.isdisjoint(LEFT_ASIDE)


def test_no_module_is_named_by_a_word_that_was_left_aside() -> None:
    banned = {"helper", "helpers", "utils", "util", "common", "misc", "manager", "handler"}
    assert [str(path.relative_to(ROOT)) for path in MODULES if path.stem in banned] == []


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PROSE
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []
