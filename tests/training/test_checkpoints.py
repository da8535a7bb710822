"""A checkpoint is whole or it is not there, and serves only the run it was made by."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from training.checkpoints import FILE, FileJournal, StoppedError, key_of, stoppable


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def journal(tmp_path: Path, said: list[str]) -> FileJournal:
    return FileJournal(tmp_path / "checkpoints", key_of(data="d", seed=1), said.append)


def keep(journal: FileJournal, state: bytes = b"weights\nand more") -> None:
    journal.checkpoint(3, 10, lambda: state, {"loss": 0.25})


def test_what_was_kept_comes_back_and_progress_is_a_metric_line(journal: FileJournal, said: list[str]) -> None:
    assert journal.resume() is None
    keep(journal)
    assert journal.resume() == b"weights\nand more"
    assert said == ["checkpoint: kept 3 of 10 train_loss=0.25", "checkpoint: going on after 3 of 10"]


def test_another_run_leaves_it_aside(journal: FileJournal, said: list[str]) -> None:
    keep(journal)
    other = FileJournal(journal.folder, key_of(data="other", seed=1), said.append)
    assert other.resume() is None
    assert "of another run" in said[-1]


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json\nstate", b"[1]\nstate"])
def test_a_damaged_one_is_left_aside(journal: FileJournal, said: list[str], damage: bytes) -> None:
    keep(journal)
    (journal.folder / FILE).write_bytes(damage)
    assert journal.resume() is None
    assert "damaged" in said[-1]


def test_a_write_that_was_cut_off_leaves_the_one_before(journal: FileJournal) -> None:
    keep(journal, b"first")
    (journal.folder / FILE).with_suffix(".part").write_bytes(b"half of the sec")
    assert journal.resume() == b"first"


def test_a_finished_run_leaves_none(journal: FileJournal) -> None:
    keep(journal)
    journal.clear()
    assert journal.resume() is None


def test_an_order_to_stop_that_comes_where_nothing_may_be_raised_stops_the_run_after_that() -> None:
    class Freed:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def work() -> None:
        Freed()
        threading.Event().wait(30)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StoppedError), stoppable():
        work()
    assert signal.getsignal(signal.SIGTERM) == before
