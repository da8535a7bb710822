"""Resources that are stored: names, ARNs, tags, lists, and refusals in AWS's own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/service"


@pytest.fixture
def sagemaker(client: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    """A client in an account of the test's own, so that no test sees another's resources."""
    return client("sagemaker", account=f"{abs(hash(request.node.name)) % 10**12:012d}")


def model(sagemaker: Any, name: str = "churn", **more: Any) -> str:
    return sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": "inference", "Environment": {"A": "1"}},
        **more,
    )["ModelArn"]


def config(sagemaker: Any, name: str = "churn-config", **more: Any) -> str:
    variant = {
        "VariantName": "champion",
        "ModelName": "churn",
        "InstanceType": "ml.m7i.large",
        "InitialInstanceCount": 2,
    }
    return sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant | more])[
        "EndpointConfigArn"
    ]


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call()
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_model_is_described_as_it_was_created(sagemaker: Any) -> None:
    arn = model(sagemaker)
    found = sagemaker.describe_model(ModelName="churn")
    assert found["ModelArn"] == arn
    assert found["PrimaryContainer"] == {"Image": "inference", "Environment": {"A": "1"}}
    assert found["EnableNetworkIsolation"] is False
    assert "VpcConfig" not in found  # an empty one makes the providers replace the model


def test_what_is_missing_is_refused_with_the_text_the_providers_look_for(sagemaker: Any) -> None:
    code, text = refusal(lambda: sagemaker.describe_model(ModelName="ghost"))
    assert (code, text.startswith("Could not find model")) == ("ValidationException", True)
    code, text = refusal(lambda: sagemaker.describe_endpoint_config(EndpointConfigName="ghost"))
    assert (code, text.startswith("Could not find endpoint configuration")) == ("ValidationException", True)


def test_a_taken_name_is_refused(sagemaker: Any) -> None:
    model(sagemaker)
    code, text = refusal(lambda: model(sagemaker))
    assert (code, text.startswith("Cannot create already existing model")) == ("ValidationException", True)


def test_a_configuration_must_name_models_that_exist(sagemaker: Any) -> None:
    code, text = refusal(lambda: config(sagemaker))
    assert (code, text.startswith("Could not find model")) == ("ValidationException", True)


def test_a_configuration_answers_the_documented_defaults(sagemaker: Any) -> None:
    model(sagemaker)
    config(sagemaker)
    variant = sagemaker.describe_endpoint_config(EndpointConfigName="churn-config")["ProductionVariants"][0]
    assert (variant["InitialVariantWeight"], variant["InitialInstanceCount"]) == (1.0, 2)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"InstanceType": "ml.nonsense"}, "Member must satisfy enum value set"),
        ({"VolumeSizeInGB": 1024}, "Member must have value less than or equal to 512"),
        ({"VariantName": "two words"}, "Member must satisfy regular expression pattern"),
    ],
)
def test_requests_are_checked_against_every_rule_of_their_shape(
    sagemaker: Any, change: dict[str, Any], complaint: str
) -> None:
    model(sagemaker)
    code, text = refusal(lambda: config(sagemaker, **change))
    assert code == "ValidationException"
    assert complaint in text


def test_lists_filter_sort_and_page(sagemaker: Any) -> None:
    for index in range(23):
        model(sagemaker, f"boat-{index:02d}")
    model(sagemaker, "other")
    pages = list(
        sagemaker.get_paginator("list_models").paginate(NameContains="BOAT", SortBy="Name", SortOrder="Ascending")
    )
    names = [item["ModelName"] for page in pages for item in page["Models"]]
    assert [len(page["Models"]) for page in pages] == [10, 10, 3]
    assert names == [f"boat-{index:02d}" for index in range(23)]
    assert set(pages[0]["Models"][0]) == {"ModelName", "ModelArn", "CreationTime"}


def test_tags_are_overwritten_by_key_and_removed_with_the_resource(sagemaker: Any) -> None:
    arn = model(sagemaker, Tags=[{"Key": "team", "Value": "a"}])
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "b"}, {"Key": "env", "Value": "dev"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "team", "Value": "b"},
        {"Key": "env", "Value": "dev"},
    ]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "env", "Value": "dev"}]
    sagemaker.delete_model(ModelName="churn")
    assert refusal(lambda: sagemaker.list_tags(ResourceArn=arn))[0] == "ValidationException"


def test_regions_are_kept_apart(client: Callable[..., Any]) -> None:
    model(client("sagemaker", account="111111111111"))
    assert client("sagemaker", account="111111111111", region="us-east-1").list_models()["Models"] == []
