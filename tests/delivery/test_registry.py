"""The registry answers with the version a person means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from delivery.registry import Registry, RegistryError


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        sagemaker = boto3.client("sagemaker", region_name="eu-west-1")
        sagemaker.create_model_package_group(ModelPackageGroupName="churn")
        yield Registry(sagemaker, "churn")


def register(registry: Registry, count: int, **facts: str) -> None:
    for _ in range(count):
        registry.sagemaker.create_model_package(
            ModelPackageGroupName="churn",
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
    register(registry, 1)
    with pytest.raises(RegistryError, match=says):
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
