"""Who is paged finds a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.signals import TABLE, Signal

ROOT = Path(__file__).resolve().parents[2]
WATCHED = [signal for signal in TABLE if signal.watch is not None]


@pytest.mark.parametrize("signal", WATCHED, ids=lambda signal: signal.key)
def test_every_alarm_has_a_runbook_that_says_where_to_look_and_what_to_do(signal: Signal) -> None:
    page = (ROOT / signal.runbook).read_text()
    assert "## Look" in page
    assert "## Do" in page


def test_no_runbook_is_left_over_from_an_alarm_that_is_gone() -> None:
    pages = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/runbooks/*.md")}
    assert pages == {signal.runbook for signal in WATCHED}
