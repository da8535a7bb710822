"""What holds an environment is found in the cloud itself, and told before anything is removed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from delivery.engine.cloud import Cloud, embedded
from delivery.engine.engine import refuse_kept
from delivery.engine.errors import EngineError, RefusedError
from delivery.engine.removal import Holding, Locked, empty, look, settled
from stacks.settings import load

BUCKET = "aws_s3_bucket"


@pytest.fixture(scope="module")
def cloud(url: str) -> Cloud:
    return embedded(load("local"), url)


@pytest.fixture
def bucket(cloud: Cloud) -> Callable[..., str]:
    """A bucket with one object in it, locked when a mode is given."""

    def make(name: str, mode: str | None = None) -> str:
        client: Any = cloud.client("s3")
        there = {"LocationConstraint": cloud.region}
        client.create_bucket(Bucket=name, CreateBucketConfiguration=there, ObjectLockEnabledForBucket=mode is not None)
        if mode is not None:
            rule = {"DefaultRetention": {"Mode": mode, "Days": 30}}
            client.put_object_lock_configuration(
                Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
            )
        client.put_object(Bucket=name, Key="ledger/1.json", Body=b"{}")
        return name

    return make


def values(name: str, **more: Any) -> dict[str, Any]:
    return {"bucket": name, "force_destroy": True, "object_lock_enabled": False, **more}


def test_evidence_in_compliance_mode_says_until_when_it_holds(cloud: Cloud, bucket: Callable[..., str]) -> None:
    name = bucket("held-by-compliance", "COMPLIANCE")
    holding = look(cloud, [(BUCKET, values(name, object_lock_enabled=True))])
    (told,) = holding.refusals
    assert told.startswith("held-by-compliance holds 1 versions that nobody can delete before 20")
    with pytest.raises(RefusedError, match="Nothing was removed"):
        refuse_kept(holding)


def test_evidence_in_governance_mode_is_shown_and_goes(cloud: Cloud, bucket: Callable[..., str]) -> None:
    name = bucket("held-by-governance", "GOVERNANCE")
    holding = look(cloud, [(BUCKET, values(name, object_lock_enabled=True))])
    assert holding.refusals == []
    assert holding.lines == ["  - 1 versions in held-by-governance, locked in governance mode"]
    empty(cloud.client("s3"), name)
    assert look(cloud, [(BUCKET, values(name, object_lock_enabled=True))]).lines == []


def test_data_that_settings_do_not_let_go_of_hold_their_bucket(cloud: Cloud, bucket: Callable[..., str]) -> None:
    name = bucket("not-to-be-emptied")
    (told,) = look(cloud, [(BUCKET, values(name, force_destroy=False))]).refusals
    assert "storage.empty_on_destroy is false" in told
    assert "bring it up once" in told


def test_what_is_gone_already_holds_nothing(cloud: Cloud) -> None:
    assert look(cloud, [(BUCKET, values("never-was", force_destroy=False))]) == Holding()


def test_a_legal_hold_is_told_like_a_term() -> None:
    held = Locked("evidence", held=2, until=datetime(2027, 1, 2, tzinfo=UTC))
    assert "2 versions that nobody can delete before 2027-01-02" in Holding(locked=(held,)).refusals[0]


def test_what_stays_on_its_way_is_told_instead_of_waited_for_for_ever() -> None:
    with pytest.raises(EngineError, match=r"endpoint x is Updating.*wait until it is done"):
        settled(lambda: "Updating", "endpoint x", seconds=0)
