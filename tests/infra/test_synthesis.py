"""From Pulumi's spelling to Terraform's, the provider's schema as the only guide; what does not fit is an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.release import Package, Release, Rollout, Variant
from delivery.engine import machine
from delivery.engine.convert import ConversionError, synthesise
from delivery.engine.recording import Recording, Registration, Secret, reference
from delivery.engine.schema import (
    SOURCE,
    SchemaError,
    candidates,
    extract,
    extracted,
    outputs_of,
    snake,
    terraform_type,
)
from infra.names import Names
from infra.serving import Form, Plan

BUCKET = "aws:s3/bucket:Bucket"
needs_terraform = pytest.mark.skipif(
    machine.terraform() is None or machine.mirror() is None,
    reason=f"needs terraform on PATH and the AWS provider in a mirror ({machine.MIRROR})",
)


def declared(type_: str, label: str, **inputs: Any) -> Registration:
    return Registration(f"{type_}::{label}", type_, label, "", inputs, custom=True)


def converted(*resources: Registration) -> Mapping[str, Any]:
    return synthesise(Recording("test", resources, {})).document["resource"]


def test_a_reference_becomes_an_edge() -> None:
    bucket = declared(BUCKET, "data", bucket="b")
    block = declared(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "data", bucket=reference(bucket.urn, "id")
    )
    found = converted(bucket, block)["aws_s3_bucket_public_access_block"]["data"]
    assert found == {"bucket": "${aws_s3_bucket.data.id}"}


def test_a_reference_inside_a_text_stays_an_edge() -> None:
    key = declared("aws:kms/key:Key", "key")
    alias = declared("aws:kms/alias:Alias", "key", name="alias/x", targetKeyId=f"a:{reference(key.urn, 'keyId')}:z")
    assert converted(key, alias)["aws_kms_alias"]["key"]["target_key_id"] == "a:${aws_kms_key.key.key_id}:z"


@given(st.text(min_size=1).filter(lambda text: "__ref(" not in text))
def test_a_literal_is_never_taken_for_a_template(text: str) -> None:
    found = converted(declared("aws:kms/key:Key", "key", description=text))["aws_kms_key"]["key"]["description"]
    assert "${" not in found.replace("$${", "")
    assert found.replace("$${", "${").replace("%%{", "%{") == text


def test_a_single_block_becomes_a_list_again() -> None:
    found = converted(
        declared("aws:s3/bucketVersioning:BucketVersioning", "a", versioningConfiguration={"status": "Enabled"})
    )
    assert found["aws_s3_bucket_versioning"]["a"]["versioning_configuration"] == [{"status": "Enabled"}]


def test_an_input_the_provider_does_not_know_is_an_error_with_its_nearest() -> None:
    with pytest.raises(ConversionError, match=r"data: .* has no 'forse_destroy'; the nearest is 'force_destroy'"):
        converted(declared(BUCKET, "data", forseDestroy=True))


def test_a_type_the_provider_does_not_have_is_an_error() -> None:
    with pytest.raises(SchemaError, match="aws_sagemaker_nothing"):
        converted(declared("aws:sagemaker/nothing:Nothing", "a"))


def test_two_names_that_would_become_one_are_refused() -> None:
    with pytest.raises(ConversionError, match="rename"):
        converted(declared(BUCKET, "a.b"), declared(BUCKET, "a/b"))


def test_a_secret_becomes_a_variable() -> None:
    recording = Recording("test", (declared("aws:kms/key:Key", "key", description=Secret("hidden")),), {})
    synthesis = synthesise(recording)
    assert "hidden" not in json.dumps(synthesis.document)
    assert list(synthesis.secrets.values()) == ["hidden"]


def test_a_renamed_resource_keeps_its_state() -> None:
    bucket = replace(declared(BUCKET, "new", bucket="b"), aliases=("old",))
    document = synthesise(Recording("test", (bucket,), {})).document
    assert document["moved"] == [{"from": "aws_s3_bucket.old", "to": "aws_s3_bucket.new"}]


def test_protection_and_ignored_changes_come_along(document: Mapping[str, Any]) -> None:
    groups = document["resource"]["aws_sagemaker_feature_group"]
    assert groups["customers"]["lifecycle"]["prevent_destroy"] is True
    served = next(
        each
        for each in document["resource"]["aws_sagemaker_endpoint_configuration"].values()
        if len(each["production_variants"]) == 2
    )
    assert served["lifecycle"]["ignore_changes"] == [
        f"production_variants[{index}].{each}"
        for each in ("initial_variant_weight", "initial_instance_count")
        for index in (0, 1)
    ]
    assert served["lifecycle"]["create_before_destroy"] is True


def test_secrets_and_accounts_stand_where_they_belong(document: Mapping[str, Any]) -> None:
    providers = {each.get("alias", "main"): each for each in document["provider"]["aws"]}
    assert providers["replica"]["region"] == "eu-central-1"
    assert document["resource"]["aws_s3_bucket"]["replica"]["provider"] == "aws.replica"


@pytest.mark.parametrize("name", ["kmsKeyArn", "s3KeyPrefix", "enableDnsSupport", "ipv6CidrBlock"])
def test_names_are_spelled_as_the_provider_spells_them(name: str) -> None:
    assert (
        snake(name)
        == {
            "kmsKeyArn": "kms_key_arn",
            "s3KeyPrefix": "s3_key_prefix",
            "enableDnsSupport": "enable_dns_support",
            "ipv6CidrBlock": "ipv6_cidr_block",
        }[name]
    )


def test_every_declared_type_has_exactly_one_counterpart(whole: Recording) -> None:
    for each in whole.resources:
        if each.custom and not each.is_provider:
            assert terraform_type(each.type) in candidates(each.type)
            assert outputs_of(each.type)


# Traps of SageMaker ---------------------------------------------------------------------------------

FORM = Form("realtime", "ml.m5.large", 100, isolated=True, environment={}, scaling=None, memory_mb=1024, concurrency=1)
NAMES = Names("test", "123456789012", "eu-west-1")


def plan(package: Callable[[int], Package], weights: tuple[float, float], counts: tuple[int, int] = (2, 2)) -> Plan:
    variants = (
        Variant("champion", package(1), weights[0], counts[0]),
        Variant("challenger", package(2), weights[1], counts[1]),
    )
    return Plan(NAMES, "churn", Release("experiment", variants, Rollout(), experiment="e"), FORM)


WEIGHTS = st.floats(0, 1e6, allow_nan=False)


@settings(max_examples=500)
@given(st.tuples(WEIGHTS, WEIGHTS), st.tuples(st.integers(1, 90), st.integers(1, 90)))
def test_no_weight_and_no_count_ever_makes_a_new_configuration(
    package: Callable[[int], Package], weights: tuple[float, float], counts: tuple[int, int]
) -> None:
    """So 0.8 and 0.2, or 1/3 as a 32-bit float, are no change; the provider is told to ignore them besides."""
    assert plan(package, weights, counts).config_name == plan(package, (0.8, 0.2)).config_name


def test_a_changed_model_makes_a_new_configuration(package: Callable[[int], Package], steady: Release) -> None:
    """A configuration of the same name would never reach the endpoint."""
    before = Plan(NAMES, "churn", steady, FORM)
    champion = replace(steady.champion, package=package(2))
    after = Plan(NAMES, "churn", replace(steady, variants=(champion,)), FORM)
    assert before.config_name != after.config_name
    assert before.model_name(steady.champion) != after.model_name(champion)


@pytest.mark.parametrize(
    "change",
    [
        {"isolated": False},
        {"network": "create"},
        {"instance": "ml.m5.xlarge"},
        {"capture_percent": 10},
        {"environment": {"A": "b"}},
    ],
)
def test_a_changed_form_makes_a_new_configuration(change: dict[str, Any], steady: Release) -> None:
    assert (
        Plan(NAMES, "churn", steady, FORM).config_name
        != Plan(NAMES, "churn", steady, replace(FORM, **change)).config_name
    )


def test_a_rollback_alarm_looks_at_the_new_configuration_only(whole: Recording) -> None:
    guard = whole.named("churn-rollback-errors")
    assert set(guard.inputs["dimensions"]) == {"EndpointName", "VariantName", "EndpointConfigName"}


# The real provider ------------------------------------------------------------------------------------


@pytest.mark.terraform
@needs_terraform
def test_the_extract_of_the_schema_is_the_real_providers(tmp_path: Path, terraform: Callable[..., str]) -> None:
    document = {
        "terraform": {"required_providers": {"aws": {"source": "hashicorp/aws", "version": extract()["version"]}}}
    }
    (tmp_path / "main.tf.json").write_text(json.dumps(document))
    terraform(tmp_path, "init", "-input=false")
    full = json.loads(terraform(tmp_path, "providers", "schema", "-json"))
    assert SOURCE in full["provider_schemas"]
    assert extracted(full, set(extract()["types"]) - {"provider"}) == extract()
