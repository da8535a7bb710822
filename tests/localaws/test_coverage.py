"""The coverage page says what the code does."""

from __future__ import annotations

from localaws.coverage import PAGE, page


def test_the_coverage_page_matches_the_code() -> None:
    assert PAGE.read_text() == page(), "run: python -m localaws.coverage"
