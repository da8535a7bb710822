"""The release file is read back as written, survives a kill, and is changed by one command at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from contract.release import CHAMPION, Package, Release, Releases, Variant
from delivery.cli.exits import EXIT, exit_code
from delivery.releases import BusyError, ReleaseFile, ReleasesError

STEADY = Release("steady", (Variant(CHAMPION, Package(1, "arn", "i@sha256:1", "s3://a", "h", "e"), 0.9, 2),))


@pytest.fixture
def file(tmp_path: Path) -> ReleaseFile:
    return ReleaseFile.of("dev", tmp_path)


def test_what_was_written_is_read_back(file: ReleaseFile) -> None:
    file.put("churn", STEADY)
    file.put("iris", STEADY)
    assert file.read() == Releases({"churn": STEADY, "iris": STEADY})
    assert file.release("churn") == STEADY


def test_no_file_means_that_nothing_serves(file: ReleaseFile) -> None:
    assert file.read() == Releases()


def test_a_crash_before_the_rename_leaves_the_old_file(file: ReleaseFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.put("churn", STEADY)

    def crash(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        file.write(Releases())
    assert file.release("churn") == STEADY


def test_a_second_command_is_told_at_once_and_changes_nothing(file: ReleaseFile) -> None:
    with file.changing(), pytest.raises(BusyError, match="another slipway command") as problem, file.changing():
        pass
    assert exit_code(problem.value) == EXIT["locked"]


@pytest.mark.parametrize("text", ["models: [", "models: 3", "modles: {}", "models: {churn: {state: odd}}", "[]"])
def test_a_broken_file_is_refused_with_how_to_get_the_last_good_one(file: ReleaseFile, text: str) -> None:
    file.path.parent.mkdir()
    file.path.write_text(text)
    with pytest.raises(ReleasesError, match="git checkout"):
        file.read()


def test_a_model_that_serves_nowhere_is_answered_with_those_that_do(file: ReleaseFile) -> None:
    file.put("churn", STEADY)
    with pytest.raises(ReleasesError, match=r"Did you mean 'churn'\? Serving: churn"):
        file.release("chrun")
