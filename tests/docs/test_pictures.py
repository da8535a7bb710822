"""Pictures of the page: each is shown somewhere, small, and taken by the script that says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import screenshots

ROOT = Path(__file__).resolve().parents[2]
PICTURES = sorted((ROOT / "docs" / "images").iterdir())
SHOWN = {
    (page.parent / name).resolve()
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    for name in re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
}


def test_every_picture_that_is_shown_exists() -> None:
    assert sorted(SHOWN) == PICTURES


@pytest.mark.parametrize("picture", PICTURES, ids=lambda each: each.stem)
def test_a_picture_is_small_and_one_of_those_the_script_takes(picture: Path) -> None:
    assert picture.stem in screenshots.PICTURES
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size <= screenshots.MOST_BYTES
