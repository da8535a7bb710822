"""Checkov really looks: over sixty checks evaluated, and each of them sees the change made for it."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from delivery.engine.convert import synthesise
from delivery.engine.recording import Recording
from delivery.rules import checkov
from delivery.rules.check import LEAST_CHECKS, recorded
from delivery.rules.waivers import Finding, Waiver, judge, waivers
from stacks.settings import ROOT, load

pytestmark = pytest.mark.skipif(
    not (ROOT / ".venvs" / "rules" / "bin" / "checkov").exists(),
    reason="checkov has no environment here: python3 tools/setup.py rules",
)

Body = dict[str, Any]
Change = Callable[[Body], Any]


def alone(_: Body) -> None:
    """Nothing changed: what the check looks for stands beside the resource, and is not there now."""


def without(*keys: str) -> Change:
    def change(body: Body) -> None:
        for key in keys:
            body.pop(key, None)

    return change


def with_(**values: Any) -> Change:
    return lambda body: body.update(values)


def policy(action: str, resource: str = "*", **more: Any) -> Change:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return with_(policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def trust(principal: Any) -> Change:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    return with_(assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def bucket_policy(**statement: Any) -> Change:
    given = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*", **statement}
    return with_(policy=json.dumps({"Version": "2012-10-17", "Statement": [given]}))


ALL = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}]}
)
OPEN = {"cidr_ipv4": "0.0.0.0/0", "referenced_security_group_id": None, "from_port": 0, "to_port": 65535}
EVERY_PORT = {"ip_protocol": "-1", "from_port": -1, "to_port": -1}
# Pass whatever is declared: AWS encrypts every bucket by itself now, and the provider describes every group.
CANNOT_FAIL = {"CKV_AWS_19", "CKV_AWS_23"}
MUTATIONS: dict[str, tuple[str, Change]] = {
    "CKV2_AWS_5": ("aws_security_group", alone),
    "CKV2_AWS_6": ("aws_s3_bucket", alone),
    "CKV2_AWS_10": ("aws_cloudtrail", without("cloud_watch_logs_group_arn", "cloud_watch_logs_role_arn")),
    "CKV2_AWS_11": ("aws_vpc", alone),
    "CKV2_AWS_12": ("aws_vpc", alone),
    "CKV2_AWS_34": ("aws_ssm_parameter", alone),
    "CKV2_AWS_35": ("aws_route_table", with_(route=[{"cidr_block": "0.0.0.0/0", "instance_id": "i-1"}])),
    "CKV2_AWS_40": ("aws_iam_role_policy", policy("*")),
    "CKV2_AWS_44": ("aws_route_table", with_(route=[{"cidr_block": "0.0.0.0/0", "vpc_peering_connection_id": "p"}])),
    "CKV2_AWS_56": ("aws_iam_role_policy_attachment", with_(policy_arn="arn:aws:iam::aws:policy/IAMFullAccess")),
    "CKV2_AWS_61": ("aws_s3_bucket", alone),
    "CKV2_AWS_62": ("aws_s3_bucket", alone),
    "CKV2_AWS_64": ("aws_kms_key", without("policy")),
    "CKV2_AWS_65": ("aws_s3_bucket_ownership_controls", with_(rule=[{"object_ownership": "ObjectWriter"}])),
    "CKV_AWS_7": ("aws_kms_key.key", with_(enable_key_rotation=False)),
    "CKV_AWS_18": ("aws_s3_bucket", alone),
    "CKV_AWS_20": ("aws_s3_bucket", with_(acl="public-read")),
    "CKV_AWS_21": ("aws_s3_bucket", alone),
    "CKV_AWS_24": ("aws_vpc_security_group_ingress_rule", with_(**OPEN)),
    "CKV_AWS_25": ("aws_vpc_security_group_ingress_rule", with_(**OPEN)),
    "CKV_AWS_26": ("aws_sns_topic", without("kms_master_key_id")),
    "CKV_AWS_32": ("aws_ecr_repository_policy", with_(policy=ALL)),
    "CKV_AWS_33": ("aws_kms_key", with_(policy=ALL)),
    "CKV_AWS_35": ("aws_cloudtrail", without("kms_key_id")),
    "CKV_AWS_36": ("aws_cloudtrail", with_(enable_log_file_validation=False)),
    "CKV_AWS_51": ("aws_ecr_repository", with_(image_tag_mutability="MUTABLE")),
    "CKV_AWS_53": ("aws_s3_bucket_public_access_block", with_(block_public_acls=False)),
    "CKV_AWS_54": ("aws_s3_bucket_public_access_block", with_(block_public_policy=False)),
    "CKV_AWS_55": ("aws_s3_bucket_public_access_block", with_(ignore_public_acls=False)),
    "CKV_AWS_56": ("aws_s3_bucket_public_access_block", with_(restrict_public_buckets=False)),
    "CKV_AWS_57": ("aws_s3_bucket", with_(acl="public-read-write")),
    "CKV_AWS_60": ("aws_iam_role", trust({"AWS": "*"})),
    "CKV_AWS_61": ("aws_iam_role", trust({"AWS": "123456789012"})),
    "CKV_AWS_62": ("aws_iam_role_policy", policy("*")),
    "CKV_AWS_63": ("aws_iam_role_policy", policy("*")),
    "CKV_AWS_66": ("aws_cloudwatch_log_group", without("retention_in_days")),
    "CKV_AWS_67": ("aws_cloudtrail", with_(is_multi_region_trail=False)),
    "CKV_AWS_70": ("aws_s3_bucket_policy", bucket_policy()),
    "CKV_AWS_93": ("aws_s3_bucket_policy", bucket_policy(Effect="Deny")),
    "CKV_AWS_98": ("aws_sagemaker_endpoint_configuration", without("kms_key_arn")),
    "CKV_AWS_130": ("aws_subnet", with_(map_public_ip_on_launch=True)),
    "CKV_AWS_136": ("aws_ecr_repository", without("encryption_configuration")),
    "CKV_AWS_144": ("aws_s3_bucket", alone),
    "CKV_AWS_145": ("aws_s3_bucket", alone),
    "CKV_AWS_158": ("aws_cloudwatch_log_group", without("kms_key_id")),
    "CKV_AWS_163": ("aws_ecr_repository", without("image_scanning_configuration")),
    "CKV_AWS_169": ("aws_sns_topic_policy", with_(policy=ALL)),
    "CKV_AWS_227": ("aws_kms_key", with_(is_enabled=False)),
    "CKV_AWS_251": ("aws_cloudtrail", with_(enable_logging=False)),
    "CKV_AWS_252": ("aws_cloudtrail", without("sns_topic_name")),
    "CKV_AWS_260": ("aws_vpc_security_group_ingress_rule", with_(**OPEN)),
    "CKV_AWS_274": ("aws_iam_role_policy_attachment", with_(policy_arn="arn:aws:iam::aws:policy/AdministratorAccess")),
    "CKV_AWS_277": ("aws_vpc_security_group_ingress_rule", with_(**OPEN | EVERY_PORT)),
    "CKV_AWS_286": ("aws_iam_role_policy", policy("iam:CreatePolicyVersion")),
    "CKV_AWS_287": ("aws_iam_role_policy", policy("iam:CreateAccessKey")),
    "CKV_AWS_288": ("aws_iam_role_policy", policy("s3:GetObject")),
    "CKV_AWS_289": ("aws_iam_role_policy", policy("iam:PutRolePolicy")),
    "CKV_AWS_290": ("aws_iam_role_policy", policy("s3:PutObject")),
    "CKV_AWS_297": ("aws_scheduler_schedule", without("kms_key_arn")),
    "CKV_AWS_300": (
        "aws_s3_bucket_lifecycle_configuration",
        lambda body: [each.pop("abort_incomplete_multipart_upload", None) for each in body["rule"]],
    ),
    "CKV_AWS_319": ("aws_cloudwatch_metric_alarm", with_(actions_enabled=False)),
    "CKV_AWS_337": ("aws_ssm_parameter", with_(type="SecureString")),
    "CKV_AWS_338": ("aws_cloudwatch_log_group", with_(retention_in_days=30)),
    "CKV_AWS_355": ("aws_iam_role_policy", policy("s3:DeleteBucket")),
    "CKV_AWS_370": ("aws_sagemaker_model", with_(enable_network_isolation=False)),
    "CKV_AWS_382": ("aws_vpc_security_group_egress_rule", with_(**OPEN | EVERY_PORT)),
    "CKV_AWS_385": ("aws_sns_topic_policy", bucket_policy(Principal={"AWS": "arn:aws:iam::999999999999:root"})),
    "CKV_AWS_393": (
        "aws_iam_role",
        with_(
            assume_role_policy=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": "sts:AssumeRoleWithWebIdentity",
                            "Principal": {
                                "Federated": "arn:aws:iam::1:oidc-provider/token.actions.githubusercontent.com"
                            },
                        }
                    ],
                }
            )
        ),
    ),
}


def broken(document: Mapping[str, Any], change: tuple[str, Change]) -> dict[str, Any]:
    """One resource of a kind, changed, and nothing else."""
    kind, _, wanted = change[0].partition(".")
    edit = change[1]
    name, body = next((name, body) for name, body in document["resource"][kind].items() if wanted in ("", name))
    body = copy.deepcopy(dict(body))
    edit(body)
    return {"resource": {kind: {name: {key: value for key, value in body.items() if value is not None}}}}


@pytest.fixture(scope="module")
def documents(whole: Recording) -> dict[str, Mapping[str, Any]]:
    """Prod in the middle of an experiment, and the platform with every option on."""
    return {"prod": synthesise(recorded(load("prod"))).document, "everything": synthesise(whole).document}


@pytest.fixture(scope="module")
def answers(documents: dict[str, Mapping[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> checkov.Answer:
    """One run of checkov over both platforms and every broken resource."""
    plans: dict[str, Mapping[str, Any]] = {"prod": documents["prod"]}
    merged = {kind: dict(each) for kind, each in documents["everything"]["resource"].items()}
    for kind, each in documents["prod"]["resource"].items():
        merged.setdefault(kind, {}).update(each)
    plans |= {rule: broken({"resource": merged}, change) for rule, change in MUTATIONS.items()}
    return checkov.run(plans, tmp_path_factory.mktemp("plans"), ROOT)


def evaluated(answers: checkov.Answer) -> set[str]:
    return set(answers.seen["prod"])


def test_at_least_sixty_checks_really_looked_at_prod(answers: checkov.Answer) -> None:
    assert len(evaluated(answers)) >= LEAST_CHECKS


def test_the_security_page_lists_exactly_the_checks_that_looked(answers: checkov.Answer) -> None:
    with (ROOT / "infra" / "checks.csv").open(newline="") as file:
        assert {each["id"] for each in csv.DictReader(file)} == evaluated(answers)


def test_every_check_that_looked_has_a_mutation(answers: checkov.Answer) -> None:
    assert evaluated(answers) - set(MUTATIONS) == CANNOT_FAIL


@pytest.mark.parametrize("rule", sorted(MUTATIONS))
def test_a_check_sees_the_mutation_made_for_it(rule: str, answers: checkov.Answer) -> None:
    found = {each.rule for each in answers.findings if each.environment == rule}
    assert rule in found


def test_prod_has_no_finding_that_nobody_accepted(answers: checkov.Answer) -> None:
    found = [each for each in answers.findings if each.environment == "prod"]
    assert judge(found, waivers(), date(2026, 11, 20)).open == ()


def test_no_waiver_is_past_its_date() -> None:
    assert [each for each in waivers() if each.is_over(date.today())] == []  # noqa: DTZ011 the day is enough


def test_every_waiver_gives_its_reason() -> None:
    assert all(len(each.reason.split()) > 5 for each in waivers())


def test_a_waiver_that_is_over_or_covers_nothing_is_told() -> None:
    finding = Finding("prod", "CKV_1", "a.b", "text")
    covers = Waiver("CKV_1", "a\\..*", "because it is so", date(2026, 1, 1))
    idle = Waiver("CKV_2", ".*", "because it is so", date(2030, 1, 1))
    judged = judge([finding], [covers, idle], date(2026, 11, 20))
    assert judged.open == ()
    assert judged.over == (covers,)
    assert judged.idle == (idle,)


def test_without_its_environment_checkov_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(checkov.CheckovError, match=r"tools/setup\.py rules"):
        checkov.run({}, tmp_path, tmp_path)
