"""Two environments in two accounts are reached at once, each with its own credentials."""

from __future__ import annotations

import pytest

from delivery.engine.cloud import Cloud, embedded, own, process_environment
from stacks.settings import load


@pytest.fixture(autouse=True)
def one_set_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "everybody's")


def test_an_environment_may_have_credentials_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_DEV_AWS_ACCESS_KEY_ID", "dev's")
    monkeypatch.setenv("SLIPWAY_DEV_AWS_SESSION_TOKEN", "")
    assert own("dev") == {"AWS_ACCESS_KEY_ID": "dev's"}
    assert own("staging") == {}


def test_its_own_credentials_are_all_that_a_child_process_gets() -> None:
    cloud = Cloud("111111111111", "eu-west-1", None, {"AWS_REGION": "eu-west-1", "AWS_PROFILE": "dev-read"})
    given = process_environment(cloud)
    assert given["AWS_PROFILE"] == "dev-read"
    assert "AWS_ACCESS_KEY_ID" not in given


def test_without_its_own_the_credentials_that_are_there_go_on() -> None:
    cloud = Cloud("111111111111", "eu-west-1", None, {"AWS_REGION": "eu-west-1"})
    assert process_environment(cloud)["AWS_ACCESS_KEY_ID"] == "everybody's"


def test_each_embedded_environment_is_in_the_account_of_its_settings() -> None:
    cloud = embedded(load("local"), "http://127.0.0.1:1")
    assert cloud.variables["AWS_ACCESS_KEY_ID"] == load("local").account
