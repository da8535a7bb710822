"""Who must be able to do what, and who must not; decided offline from the very statements that are deployed."""

from __future__ import annotations

import json

import pytest

from infra.judge import JudgeError, allowed
from infra.names import Names
from infra.policies import (
    MANAGED,
    PERSON_STATEMENTS,
    WILDCARDS,
    WORKLOAD_STATEMENTS,
    Grounds,
    Statement,
    boundary,
    bucket,
    document,
    key,
)

NAMES = Names("prod", "123456789012", "eu-west-1")
OTHER = Names("dev", "123456789012", "eu-west-1")
KEY = NAMES.arn("kms", "key/1")
GROUNDS = Grounds(NAMES, KEY, ("churn",), ("subnet-1",))
INLINE = {who: statements(GROUNDS) for who, statements in (WORKLOAD_STATEMENTS | PERSON_STATEMENTS).items()}
MORE: dict[str, list[Statement]] = {who: statements(GROUNDS) for who, (_, statements) in MANAGED.items()}
ROLES = {who: [*statements, *MORE.get(who, [])] for who, statements in INLINE.items()}

ENDPOINT = NAMES.arn("sagemaker", f"endpoint/{NAMES.endpoint('churn')}")
PIPELINE = NAMES.arn("sagemaker", f"pipeline/{NAMES.training_pipeline('churn')}")
PACKAGE = NAMES.arn("sagemaker", f"model-package/{NAMES.package_group('churn')}/3")
GROUP = NAMES.arn("sagemaker", f"model-package-group/{NAMES.package_group('churn')}")
JOB = NAMES.arn("sagemaker", "training-job/pipelines-abc-train")


def objects(purpose: str, key_: str, names: Names = NAMES) -> str:
    return f"arn:aws:s3:::slipway-{names.environment}-{purpose}-{names.account}-{names.region}/{key_}"


TO_SAGEMAKER = {"iam:PassedToService": "sagemaker.amazonaws.com"}
TO_EC2 = {"iam:PassedToService": "ec2.amazonaws.com"}
OURS = {"cloudwatch:namespace": "Slipway"}

SIGNING_KEY, BY_NAME = NAMES.arn("kms", "key/2"), {"kms:RequestAlias": NAMES.evidence_key_alias}
PLATFORM = NAMES.arn("ssm", "parameter/slipway/prod/platform")

MUST = [
    ("training", "s3:GetObject", objects("data", "snapshots/churn/1"), {}),
    ("training", "s3:PutObject", objects("artifacts", "runs/churn/1/model.tar.gz"), {}),
    ("training", "kms:Decrypt", KEY, {}),
    ("training", "ecr:BatchGetImage", NAMES.arn("ecr", "repository/slipway-prod/training"), {}),
    ("training", "cloudwatch:PutMetricData", "*", OURS),
    ("training", "logs:PutLogEvents", NAMES.arn("logs", "log-group:/aws/sagemaker/TrainingJobs:log-stream:a"), {}),
    ("inference", "s3:GetObject", objects("artifacts", "runs/churn/1/model.tar.gz"), {}),
    ("inference", "s3:PutObject", objects("capture", "capture/slipway-prod-churn/champion/x.jsonl"), {}),
    ("monitoring", "s3:GetObject", objects("capture", "capture/slipway-prod-churn/champion/x.jsonl"), {}),
    ("monitoring", "s3:GetObject", objects("outcomes", "outcomes/slipway-prod-churn/x.jsonl"), {}),
    ("monitoring", "s3:PutObject", objects("artifacts", "windows/slipway-prod-churn/x.json"), {}),
    ("monitoring", "sagemaker:UpdateEndpointWeightsAndCapacities", ENDPOINT, {}),
    ("pipeline", "sagemaker:CreateTrainingJob", JOB, {}),
    ("pipeline", "sagemaker:CreateModelPackage", GROUP, {}),
    ("pipeline", "iam:PassRole", GROUNDS.role("training"), TO_SAGEMAKER),
    ("scheduler", "sagemaker:StartPipelineExecution", PIPELINE, {}),
    ("events", "sagemaker:StartPipelineExecution", PIPELINE, {}),
    ("data-scientist", "sagemaker:StartPipelineExecution", PIPELINE, {}),
    ("data-scientist", "s3:GetObject", objects("capture", "x"), {}),
    ("data-scientist", "s3:PutObject", objects("outcomes", "x"), {}),
    ("operator", "sagemaker:UpdateEndpointWeightsAndCapacities", ENDPOINT, {}),
    ("operator", "sagemaker:InvokeEndpoint", ENDPOINT, {}),
    ("operator", "s3:PutObject", objects("evidence", "ledger/prod/1.json"), {}),
    ("approver", "sagemaker:UpdateModelPackage", PACKAGE, {}),
    ("approver", "s3:PutObject", objects("evidence", "evidence/churn/1.json"), {}),
    ("auditor", "s3:GetObject", objects("evidence", "ledger/prod/1.json"), {}),
    ("auditor", "cloudtrail:LookupEvents", "*", {}),
    ("auditor", "s3:GetObject", objects("artifacts", "windows/slipway-prod-churn/reports/1/report.json"), {}),
    ("ci-preview", "s3:GetBucketPolicy", objects("data", "").rstrip("/"), {}),
    ("ci-preview", "sagemaker:DescribeEndpoint", ENDPOINT, {}),
    ("ci-deploy", "sagemaker:UpdateEndpoint", ENDPOINT, {}),
    ("ci-deploy", "ec2:CreateVpc", NAMES.arn("ec2", "vpc/*"), {}),
    ("ci-deploy", "ssm:PutParameter", NAMES.arn("ssm", "parameter/slipway/prod/platform"), {}),
    ("ci-deploy", "iam:PassRole", GROUNDS.role("inference"), TO_SAGEMAKER),
    ("ci-deploy", "s3:PutObject", objects("artifacts", "runs/churn/from-dev-1/model.tar.gz"), {}),
    ("ci-deploy", "sagemaker:StartPipelineExecution", PIPELINE.replace("-train", "-promote"), {}),
    ("ci-deploy", "sagemaker:UpdateModelPackage", PACKAGE, {}),
    ("ci-offer", "s3:GetObject", objects("artifacts", "runs/churn/1/model.tar.gz"), {}),
    ("ci-offer", "s3:GetObject", objects("evidence", "evidence/churn/1.json"), {}),
    ("ci-offer", "kms:Decrypt", KEY, {}),
    *((who, "kms:Sign", SIGNING_KEY, BY_NAME) for who in ("operator", "approver", "ci-deploy")),
    *((who, "kms:GetPublicKey", SIGNING_KEY, BY_NAME) for who in ("data-scientist", "auditor", "ci-offer")),
    *(
        (who, "ssm:GetParameter", PLATFORM, {})
        for who in ("data-scientist", "operator", "approver", "auditor", "ci-offer")
    ),
]  # fmt: skip

MUST_NOT = [
    ("training", "s3:GetObject", objects("capture", "x"), {}),
    ("training", "s3:DeleteObject", objects("data", "x"), {}),
    ("training", "s3:PutObject", objects("evidence", "x"), {}),
    ("training", "s3:GetObject", objects("data", "x", OTHER), {}),
    ("training", "sagemaker:CreateEndpoint", ENDPOINT, {}),
    ("training", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/EC2"}),
    ("inference", "s3:PutObject", objects("artifacts", "runs/churn/1/model.tar.gz"), {}),
    ("inference", "s3:GetObject", objects("data", "x"), {}),
    ("inference", "iam:PassRole", GROUNDS.role("training"), TO_SAGEMAKER),
    ("monitoring", "sagemaker:UpdateEndpoint", ENDPOINT, {}),
    ("monitoring", "s3:PutObject", objects("capture", "x"), {}),
    ("monitoring", "sagemaker:UpdateModelPackage", PACKAGE, {}),
    ("monitoring", "s3:PutObject", objects("evidence", "evidence/churn/1.json"), {}),
    ("pipeline", "iam:PassRole", GROUNDS.role("ci-deploy"), TO_SAGEMAKER),
    ("pipeline", "iam:PassRole", GROUNDS.role("training"), TO_EC2),
    ("pipeline", "sagemaker:UpdateModelPackage", PACKAGE, {}),
    ("pipeline", "sagemaker:CreateEndpoint", ENDPOINT, {}),
    ("scheduler", "sagemaker:CreateTrainingJob", JOB, {}),
    ("scheduler", "sagemaker:StartPipelineExecution", PIPELINE.replace("prod", "dev"), {}),
    ("data-scientist", "sagemaker:UpdateModelPackage", PACKAGE, {}),
    ("data-scientist", "sagemaker:UpdateEndpointWeightsAndCapacities", ENDPOINT, {}),
    ("data-scientist", "s3:PutObject", objects("artifacts", "x"), {}),
    ("data-scientist", "iam:PassRole", GROUNDS.role("training"), TO_SAGEMAKER),
    ("operator", "sagemaker:UpdateModelPackage", PACKAGE, {}),
    ("operator", "sagemaker:UpdateEndpoint", ENDPOINT, {}),
    ("operator", "s3:GetObject", objects("capture", "x"), {}),
    ("operator", "s3:DeleteObject", objects("evidence", "ledger/prod/1.json"), {}),
    ("approver", "sagemaker:UpdateEndpointWeightsAndCapacities", ENDPOINT, {}),
    ("approver", "sagemaker:StartPipelineExecution", PIPELINE, {}),
    ("auditor", "s3:PutObject", objects("evidence", "ledger/prod/1.json"), {}),
    ("auditor", "sagemaker:InvokeEndpoint", ENDPOINT, {}),
    ("auditor", "s3:GetObject", objects("data", "x"), {}),
    ("auditor", "s3:GetObject", objects("artifacts", "runs/churn/1/model.tar.gz"), {}),
    ("ci-preview", "s3:GetObject", objects("data", "x"), {}),
    ("ci-preview", "sagemaker:UpdateEndpoint", ENDPOINT, {}),
    ("ci-preview", "s3:PutObject", objects("artifacts", "x"), {}),
    ("ci-deploy", "sagemaker:UpdateEndpoint", ENDPOINT.replace("prod", "dev"), {}),
    ("ci-deploy", "iam:CreateRole", GROUNDS.role("training"), {}),
    ("ci-deploy", "iam:PassRole", GROUNDS.role("inference"), TO_EC2),
    ("ci-deploy", "s3:GetObject", objects("data", "x"), {}),
    ("ci-deploy", "sagemaker:UpdateModelPackage", PACKAGE.replace("prod", "dev"), {}),
    ("ci-deploy", "kms:Sign", SIGNING_KEY, {"kms:RequestAlias": OTHER.evidence_key_alias}),
    ("ci-offer", "s3:GetObject", objects("data", "x"), {}),
    ("ci-offer", "s3:GetObject", objects("capture", "x"), {}),
    ("ci-offer", "s3:PutObject", objects("artifacts", "runs/churn/1/model.tar.gz"), {}),
    ("ci-offer", "s3:GetObject", objects("artifacts", "runs/churn/1/model.tar.gz", OTHER), {}),
    ("ci-offer", "sagemaker:InvokeEndpoint", ENDPOINT, {}),
    ("ci-offer", "kms:Sign", SIGNING_KEY, BY_NAME),
    ("auditor", "kms:Sign", SIGNING_KEY, BY_NAME),
    ("data-scientist", "kms:Sign", SIGNING_KEY, BY_NAME),
]  # fmt: skip


@pytest.mark.parametrize(("who", "action", "resource", "context"), MUST)
def test_a_role_can_do_its_work(who: str, action: str, resource: str, context: dict[str, str]) -> None:
    assert allowed(ROLES[who], action, resource, context)


@pytest.mark.parametrize(("who", "action", "resource", "context"), MUST_NOT)
def test_a_role_cannot_do_another_ones(who: str, action: str, resource: str, context: dict[str, str]) -> None:
    assert not allowed(ROLES[who], action, resource, context)


def test_every_role_has_both_kinds_of_row() -> None:
    assert {row[0] for row in MUST} == set(ROLES)
    assert {row[0] for row in MUST_NOT} == set(ROLES) - {"events"}


@pytest.mark.parametrize("who", sorted(ROLES))
def test_no_role_is_allowed_all_actions_of_a_service(who: str) -> None:
    broad = [action for each in ROLES[who] for action in each.actions if "*" in action and each.effect == "Allow"]
    assert broad == []


@pytest.mark.parametrize("who", sorted(ROLES))
def test_every_wildcard_resource_has_its_reason(who: str) -> None:
    free = {
        action for each in ROLES[who] if "*" in each.resources and each.effect == "Allow" for action in each.actions
    }
    assert free <= set(WILDCARDS)


def test_no_reason_is_kept_for_a_wildcard_that_is_gone() -> None:
    used = {action for each in ROLES.values() for one in each if "*" in one.resources for action in one.actions}
    assert set(WILDCARDS) <= used


@pytest.mark.parametrize("who", sorted(ROLES))
def test_every_role_fits_inside_the_boundary(who: str) -> None:
    limit = boundary(GROUNDS)
    for row in (row for row in MUST if row[0] == who):
        assert allowed(limit, row[1], row[2], row[3])


def test_the_boundary_cannot_be_lifted_from_inside() -> None:
    limit = boundary(GROUNDS)
    arn = NAMES.global_arn("iam", f"policy/{NAMES.of('boundary')}")
    assert not allowed(limit, "iam:CreatePolicyVersion", arn)
    assert not allowed(limit, "iam:CreateUser", "*")
    assert not allowed(limit, "s3:DeleteObjectVersion", objects("evidence", "ledger/prod/1.json"))


def test_a_bucket_refuses_plain_http() -> None:
    statements = bucket(NAMES, "data", tls_only=True)
    assert not allowed(statements, "s3:GetObject", objects("data", "x"), {"aws:SecureTransport": "false"})
    everyone = [each for each in statements if each.principals == {"AWS": "*"}]
    assert [each.effect for each in everyone] == ["Deny"]


def test_the_key_belongs_to_the_account_alone() -> None:
    for each in key(NAMES):
        assert "*" not in str(each.principals)
        assert "kms:*" not in each.actions


def test_the_judge_does_not_guess() -> None:
    odd = [Statement("Odd", ("s3:GetObject",), ("*",), conditions={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})]
    with pytest.raises(JudgeError, match="IpAddress"):
        allowed(odd, "s3:GetObject", "x", {"aws:SourceIp": "10.1.1.1"})


@pytest.mark.parametrize("who", sorted(ROLES))
def test_a_roles_permissions_fit_what_iam_takes_inline(who: str) -> None:
    """10,240 characters without blanks, over all inline policies of a role."""
    assert len(json.dumps(document(INLINE[who]), separators=(",", ":"))) <= 10_240


@pytest.mark.parametrize("who", sorted(MORE))
def test_what_does_not_fit_inline_fits_a_policy_of_its_own(who: str) -> None:
    assert len(json.dumps(document(MORE[who]), separators=(",", ":"))) <= 6_144
