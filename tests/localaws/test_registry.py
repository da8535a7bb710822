"""The registry, model cards, experiments and lineage keep what they are given, with AWS's rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.app import App
from localaws.events.courier import Posted


@pytest.fixture
def sagemaker(client: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    sagemaker = client("sagemaker", account=f"{abs(hash(request.node.name)) % 10**12:012d}")
    sagemaker.create_model_package_group(ModelPackageGroupName="churn")
    return sagemaker


def register(sagemaker: Any, **more: Any) -> str:
    specification = {
        "Containers": [{"Image": "inference:1", "ModelDataUrl": "s3://b/model.tar.gz"}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    return sagemaker.create_model_package(ModelPackageGroupName="churn", InferenceSpecification=specification, **more)[
        "ModelPackageArn"
    ]


def test_versions_count_up_and_never_come_back(sagemaker: Any) -> None:
    first, second = register(sagemaker), register(sagemaker)
    sagemaker.delete_model_package(ModelPackageName=second)
    third = register(sagemaker)
    assert [arn.rsplit("/", 1)[1] for arn in (first, second, third)] == ["1", "2", "3"]


def test_an_approval_is_kept_with_its_reason_and_told_to_eventbridge(sagemaker: Any, app: App) -> None:
    told: list[Posted] = []
    app.plane.courier.receivers.append(told.append)
    arn = register(sagemaker, CustomerMetadataProperties={"seed": "7", "old": "x"})
    sagemaker.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="good",
        CustomerMetadataProperties={"by": "gate"},
        CustomerMetadataPropertiesToRemove=["old"],
    )
    found = sagemaker.describe_model_package(ModelPackageName=arn)
    assert (found["ModelApprovalStatus"], found["ApprovalDescription"]) == ("Approved", "good")
    assert found["CustomerMetadataProperties"] == {"seed": "7", "by": "gate"}
    app.plane.clock.settle()
    details = [post.event["detail"] for post in told if post.event["detail"].get("ModelPackageArn") == arn]
    assert [detail["ModelApprovalStatus"] for detail in details] == ["PendingManualApproval", "Approved"]


def test_packages_are_listed_by_approval(sagemaker: Any) -> None:
    register(sagemaker)
    good = register(sagemaker, ModelApprovalStatus="Approved")
    found = sagemaker.list_model_packages(ModelPackageGroupName="churn", ModelApprovalStatus="Approved")
    assert [item["ModelPackageArn"] for item in found["ModelPackageSummaryList"]] == [good]


def test_a_group_with_packages_cannot_be_deleted(sagemaker: Any) -> None:
    arn = register(sagemaker)
    with pytest.raises(ClientError, match="still contains"):
        sagemaker.delete_model_package_group(ModelPackageGroupName="churn")
    sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName="churn")
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName="churn")


def test_a_group_policy_is_kept_and_missed_in_the_providers_words(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="Cannot find resource policy"):
        sagemaker.get_model_package_group_policy(ModelPackageGroupName="churn")
    sagemaker.put_model_package_group_policy(ModelPackageGroupName="churn", ResourcePolicy="{}")
    assert sagemaker.get_model_package_group_policy(ModelPackageGroupName="churn")["ResourcePolicy"] == "{}"


def test_a_card_keeps_its_versions_and_refuses_what_its_schema_lacks(sagemaker: Any) -> None:
    content = {"model_overview": {"model_name": "churn"}}
    sagemaker.create_model_card(ModelCardName="churn", Content=json.dumps(content), ModelCardStatus="Draft")
    sagemaker.update_model_card(ModelCardName="churn", ModelCardStatus="Approved")
    assert sagemaker.describe_model_card(ModelCardName="churn")["ModelCardVersion"] == 2
    assert sagemaker.describe_model_card(ModelCardName="churn", ModelCardVersion=1)["ModelCardStatus"] == "Draft"
    versions = sagemaker.list_model_card_versions(ModelCardName="churn")["ModelCardVersionSummaryList"]
    assert [item["ModelCardVersion"] for item in versions] == [2, 1]
    with pytest.raises(ClientError, match="colour is not allowed"):
        sagemaker.create_model_card(ModelCardName="x", Content='{"colour": 1}', ModelCardStatus="Draft")


def test_trials_belong_to_experiments_and_components_to_trials(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.create_trial(TrialName="t", ExperimentName="ghost")
    sagemaker.create_experiment(ExperimentName="e")
    sagemaker.create_trial(TrialName="t", ExperimentName="e")
    sagemaker.create_trial_component(TrialComponentName="c")
    sagemaker.associate_trial_component(TrialComponentName="c", TrialName="t")
    found = sagemaker.list_trial_components(ExperimentName="e")["TrialComponentSummaries"]
    assert [item["TrialComponentName"] for item in found] == ["c"]
    with pytest.raises(ClientError, match="delete its trials first"):
        sagemaker.delete_experiment(ExperimentName="e")


def test_lineage_knows_an_artifact_by_its_source(sagemaker: Any) -> None:
    source = {"SourceUri": "s3://b/data.csv"}
    one = sagemaker.create_artifact(ArtifactName="data", Source=source, ArtifactType="DataSet")["ArtifactArn"]
    same = sagemaker.create_artifact(ArtifactName="data", Source=source, ArtifactType="DataSet")["ArtifactArn"]
    other = sagemaker.create_artifact(Source={"SourceUri": "s3://b/model"}, ArtifactType="Model")["ArtifactArn"]
    assert one == same
    sagemaker.add_association(SourceArn=one, DestinationArn=other, AssociationType="Produced")
    found = sagemaker.list_associations(DestinationArn=other)["AssociationSummaries"]
    assert [item["SourceArn"] for item in found] == [one]


def test_search_finds_by_member_tag_and_expression(sagemaker: Any) -> None:
    good = register(sagemaker, ModelApprovalStatus="Approved", CustomerMetadataProperties={"family": "trees"})
    register(sagemaker)
    sagemaker.add_tags(ResourceArn=good, Tags=[{"Key": "env", "Value": "dev"}])

    def found(*filters: dict[str, str], operator: str = "And") -> list[int]:
        expression = {"Filters": list(filters), "Operator": operator}
        results = sagemaker.search(Resource="ModelPackage", SearchExpression=expression)["Results"]
        return sorted(item["ModelPackage"]["ModelPackageVersion"] for item in results)

    assert found({"Name": "ModelApprovalStatus", "Value": "Approved"}) == [1]
    assert found({"Name": "Tags.env", "Operator": "Equals", "Value": "dev"}) == [1]
    assert found({"Name": "CustomerMetadataProperties.family", "Operator": "NotExists"}) == [2]
    assert found({"Name": "ModelPackageVersion", "Operator": "GreaterThan", "Value": "1"}) == [2]
    either = {"Name": "ModelPackageVersion", "Value": "1"}, {"Name": "ModelPackageVersion", "Value": "2"}
    assert found(*either, operator="Or") == [1, 2]
