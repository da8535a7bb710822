"""The registry answers with the version a person means; on the embedded AWS, as on AWS."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from delivery.local import LocalCloud
from delivery.registry import Registry, RegistryError

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def sagemaker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    cloud = LocalCloud(tmp_path_factory.mktemp("registry"), ROOT)
    given = {"aws_access_key_id": "123456789012", "aws_secret_access_key": "local", "region_name": "eu-west-1"}
    yield boto3.client("sagemaker", endpoint_url=cloud.start().url, **given)
    cloud.stop()


@pytest.fixture
def registry(sagemaker: Any) -> Registry:
    """A group of its own for every test."""
    group = f"churn-{next(NUMBERS)}"
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    return Registry(sagemaker, group)


def register(registry: Registry, count: int, **facts: str) -> None:
    for _ in range(count):
        registry.sagemaker.create_model_package(
            ModelPackageGroupName=registry.group,
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification={
                "Containers": [{"Image": "i@sha256:1", "ModelDataUrl": "s3://a/model.tar.gz"}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
            CustomerMetadataProperties=facts,
        )


def test_versions_come_newest_first_with_their_facts(registry: Registry) -> None:
    register(registry, 3, data_hash="d")
    assert [each.version for each in registry.versions()] == [3, 2, 1]
    assert registry.versions()[0].fact("data_hash") == "d"


def test_a_version_is_picked_by_number_latest_approval_or_tag(registry: Registry) -> None:
    register(registry, 3, data_hash="d")
    registry.decide(registry.pick("2"), "Approved", "looks right")
    registry.tag("blue", registry.pick("1"))
    picked = {wanted: registry.pick(wanted).version for wanted in ("1", "v3", "latest", "approved", "blue")}
    assert picked == {"1": 1, "v3": 3, "latest": 3, "approved": 2, "blue": 1}
    assert registry.pick("2").note == "looks right"


def test_a_missing_fact_says_what_is_there_and_what_to_do(registry: Registry) -> None:
    register(registry, 1, family="x")
    with pytest.raises(RegistryError, match=r"does not say its 'data_hash' \(it says: family\).*slipway run"):
        registry.pick("latest").fact("data_hash")


@pytest.mark.parametrize(("wanted", "says"), [("9", "Versions: 1. Tags: none"), ("approved", "no version .* approved")])
def test_a_version_that_is_not_there_is_answered_with_those_that_are(
    registry: Registry, wanted: str, says: str
) -> None:
    register(registry, 1, data_hash="d")
    with pytest.raises(RegistryError, match=says):
        registry.pick(wanted)


@pytest.mark.parametrize(
    ("wanted", "meant"), [("7", "2"), ("v7", "2"), ("0", "1"), ("wintr", "winter"), ("lastest", "latest")]
)
def test_a_version_or_tag_that_is_not_there_names_the_nearest_right_one(
    registry: Registry, wanted: str, meant: str
) -> None:
    register(registry, 2, data_hash="d")
    registry.tag("winter", registry.pick("1"))
    with pytest.raises(RegistryError, match=rf"Did you mean '{meant}'\? Versions: 2, 1\. Tags: winter"):
        registry.pick(wanted)


def test_an_empty_registry_says_how_to_fill_it(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="slipway run"):
        registry.pick("latest")


def test_a_tag_stands_at_one_version_only(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    register(registry, 2, data_hash="d")
    asked: list[Any] = []
    real = registry.sagemaker.update_model_package
    registry.tag("blue", registry.pick("1"))
    monkeypatch.setattr(
        registry.sagemaker, "update_model_package", lambda **given: (asked.append(given), real(**given))
    )
    registry.tag("blue", registry.pick("2"))
    removals = [each for each in asked if "CustomerMetadataPropertiesToRemove" in each]
    assert [each["CustomerMetadataPropertiesToRemove"] for each in removals] == [["tag:blue"]]


def test_a_version_is_picked_by_the_beginning_of_its_content_hash(registry: Registry) -> None:
    register(registry, 1, artifact_hash="abcdef0123")
    register(registry, 1, artifact_hash="bbcdef0123")
    assert registry.pick("abcdef").version == 1
    with pytest.raises(RegistryError, match="no version or tag 'abc'"):
        registry.pick("abc")


def test_a_version_carries_its_model_card(registry: Registry) -> None:
    register(registry, 1, data_hash="d")
    registry.describe(registry.pick("1"), {"ModelCardStatus": "Approved", "ModelCardContent": "{}"})
    found = registry.sagemaker.describe_model_package(ModelPackageName=registry.pick("1").arn)
    assert found["ModelCard"]["ModelCardContent"] == "{}"
