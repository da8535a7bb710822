"""Each of our rules passes on the platform as it is, and fails when the program is changed to break it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from delivery.engine.recording import Recording
from delivery.rules.check import recorded, resources
from infra.rules import RULES, Resource, breaches
from stacks.settings import load

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def platform() -> list[Resource]:
    """Prod, with everything serving."""
    return [*resources(recorded(load("prod")))]


@pytest.fixture(scope="module")
def whole_platform(whole: Recording, platform: list[Resource]) -> list[Resource]:
    """Prod, and from the platform with every option on what prod does not have."""
    types = {each.type for each in platform}
    return [*platform, *(each for each in resources(whole) if each.type not in types)]


def text(key: str, change: Change) -> Change:
    """Change a document that stands as text in an input."""

    def changed(inputs: dict[str, Any]) -> None:
        document = json.loads(inputs[key])
        change(document)
        inputs[key] = json.dumps(document)

    return changed


def statement(**changes: Any) -> Change:
    return lambda document: document["Statement"][0].update(changes)


POLICY = text("policy", statement(Action=["s3:*"], Resource="arn:aws:s3:::a"))
MUTATIONS: dict[str, tuple[str, Change]] = {
    "SLW001": ("endpointConfiguration", lambda each: each["productionVariants"][-1].update(initialInstanceCount=1)),
    "SLW002": ("appautoscaling/target", lambda each: each.update(minCapacity=1)),
    "SLW003": ("sagemaker/model:", lambda each: each.pop("vpcConfig")),
    "SLW004": ("sagemaker/model:", lambda each: each.update(enableNetworkIsolation=False)),
    "SLW005": ("endpointConfiguration", lambda each: each["dataCaptureConfig"].pop("kmsKeyId")),
    "SLW006": ("sagemaker/model:", lambda each: each["primaryContainer"].update(image="repo:latest")),
    "SLW007": ("sagemaker/endpoint:", lambda each: each["deploymentConfig"].pop("autoRollbackConfiguration")),
    "SLW008": ("endpointConfiguration", lambda each: each.pop("kmsKeyArn")),
    "SLW009": (
        "sagemaker/pipeline",
        text("pipelineDefinition", lambda each: each),  # renamed below: a monitor that is not there
    ),
    "SLW010": (
        "sagemaker/pipeline",
        text("pipelineDefinition", lambda each: each["Steps"][0]["Arguments"].pop("ProcessingOutputConfig")),
    ),
    "SLW011": (
        "sagemaker/pipeline",
        text("pipelineDefinition", lambda each: each["Steps"][0]["Arguments"].pop("NetworkConfig")),
    ),
    "SLW012": ("iam/rolePolicy:", POLICY),
    "SLW013": ("iam/rolePolicy:", text("policy", statement(Action=["sagemaker:CreateModel"], Resource="*"))),
    "SLW014": ("iam/rolePolicy:", text("policy", statement(Action=["iam:PassRole"], Resource="*"))),
    "SLW015": ("iam/role:", lambda each: each.pop("permissionsBoundary", None)),
    "SLW016": (
        "iam/role:",
        text(
            "assumeRolePolicy",
            statement(
                Action="sts:AssumeRoleWithWebIdentity",
                Condition={"StringEquals": {"token:sub": "repo:an/other:*", "token:aud": "sts.amazonaws.com"}},
            ),
        ),
    ),
    "SLW017": ("iam/role:", text("assumeRolePolicy", statement(Principal={"AWS": "arn:aws:iam::1:root"}))),
    "SLW018": (
        "modelPackageGroupPolicy",
        text("resourcePolicy", statement(Principal={"AWS": "*"}, Action=["sagemaker:UpdateModelPackage"])),
    ),
    "SLW019": ("pulumi:providers", lambda each: each.pop("allowedAccountIds")),
    "SLW020": ("featureGroup", lambda each: each),
    "SLW021": ("metricAlarm", lambda each: each.pop("alarmDescription")),
    "SLW022": ("sagemaker/model:", lambda each: each["primaryContainer"]["environment"].update(API_TOKEN="x")),
}


def mutated(platform: Sequence[Resource], rule: str) -> list[Resource]:
    """The same platform with every resource of one kind changed."""
    kind, change = MUTATIONS[rule]
    found = []
    for each in platform:
        if kind not in each.type:
            found.append(each)
            continue
        inputs = copy.deepcopy(dict(each.inputs))
        change(inputs)
        name = "elsewhere" if rule == "SLW009" else each.name
        found.append(replace(each, inputs=inputs, name=name, protect=each.protect and rule != "SLW020"))
    return found


def test_every_rule_has_a_mutation() -> None:
    assert set(MUTATIONS) == {rule.id for rule in RULES}


def test_prod_breaks_no_rule(platform: list[Resource]) -> None:
    assert [(rule.id, breach) for rule, breach in breaches(platform)] == []


@pytest.mark.parametrize("rule", sorted(MUTATIONS))
def test_a_rule_sees_the_mutation_made_for_it(rule: str, whole_platform: list[Resource]) -> None:
    before = {(each.id, breach.resource) for each, breach in breaches(whole_platform)}
    after = {(each.id, breach.resource) for each, breach in breaches(mutated(whole_platform, rule))}
    assert any(id_ == rule for id_, _ in after - before)
