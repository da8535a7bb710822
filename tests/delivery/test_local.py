"""The embedded AWS is started once, found again, and leaves nothing when it is stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest

from delivery.local import LocalCloud, LocalError, alive, until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    cloud = LocalCloud(tmp_path / "local", ROOT)
    yield cloud
    cloud.stop()


def test_starting_twice_finds_the_one_that_runs(cloud: LocalCloud) -> None:
    with ThreadPoolExecutor(2) as callers:
        first, second = callers.map(lambda _: cloud.start(), range(2))
    assert first == second == cloud.find()


def test_after_a_kill_it_starts_again_at_the_same_address(cloud: LocalCloud) -> None:
    first = cloud.start()
    os.kill(first.pid, signal.SIGKILL)
    assert until(lambda: not alive(first.pid), 10)
    assert cloud.find() is None
    again = cloud.start()
    assert (again.url, again.pid != first.pid) == (first.url, True)
    sagemaker = boto3.client(
        "sagemaker", endpoint_url=again.url, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    assert sagemaker.list_models()["Models"] == []


def test_stopping_ends_the_process_and_says_whether_there_was_one(cloud: LocalCloud) -> None:
    running = cloud.start()
    assert cloud.stop() is True
    assert not alive(running.pid)
    assert cloud.stop() is False


def test_a_start_that_fails_shows_the_log_and_what_to_do(cloud: LocalCloud) -> None:
    cloud.folder.mkdir()
    (cloud.folder / "state").write_text("not a folder")
    with pytest.raises(LocalError, match=r"(?s)did not start.*slipway local reset"):
        cloud.start()
