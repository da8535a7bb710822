"""`slipway why` answers which version serves with what share of the traffic, and which bytes that version is."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.cli.releasing import why_text
from delivery.cli.shared import plain
from delivery.ledger import Decision, Event


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def event(what: str, **facts: Any) -> Event:
    return Event(0, Decision("2026-03-01T12:00:00Z", "ana", what, "because", "churn", **facts), "")


def served(variant: str, version: int, share: float) -> dict[str, Any]:
    artifact = f"{version}" * 64
    return {
        "variant": variant, "version": version, "artifact": artifact, "share": share, "weight": share, "instances": 1,
    }  # fmt: skip


MOVE = event(
    "move traffic", outputs={"release": "r", "serves": [served("champion", 1, 0.7), served("challenger", 2, 0.3)]}
)


def test_a_line_for_each_variant_says_its_version_its_share_and_its_bytes() -> None:
    _, champion, challenger = why_text([MOVE]).splitlines()
    assert champion.split()[1:] == ["move", "traffic", "ana", "champion", "1", "70.0", "%", "1" * 12, "because"]
    assert challenger.split() == ["challenger", "2", "30.0", "%", "2" * 12]


def test_the_same_stands_in_json_with_the_whole_hash() -> None:
    (told,) = plain([MOVE])
    assert told["decision"]["outputs"]["serves"][1] == served("challenger", 2, 0.3)


def test_a_decision_about_a_package_names_its_version() -> None:
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/churn/7"
    assert why_text([event("approve", inputs={"package": arn})]).splitlines()[1].split()[3:] == ["7", "because"]


def test_a_decision_from_before_they_told_what_serves_is_shown_without() -> None:
    assert why_text([event("deploy", outputs={"release": "r"})]).splitlines()[1].split()[1:] == [
        "deploy",
        "ana",
        "because",
    ]
