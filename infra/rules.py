"""Our own rules over what the program declares, for what the public rule sets lack; pure, one function each.

A rule looks at all resources (types and inputs as Pulumi spells them) and yields what breaks it. The same rules run
over a recording in `make check` and as a CrossGuard pack inside a real Pulumi run (`infra/policypack`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.policies import WILDCARDS
from infra.runbooks import MOST, named_in

MODEL = "aws:sagemaker/model:Model"
CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
PIPELINE = "aws:sagemaker/pipeline:Pipeline"
GROUP_POLICY = "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy"
FEATURES = "aws:sagemaker/featureGroup:FeatureGroup"
ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/policy:Policy"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
COMPOSITE = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
ACTION = "aws:appautoscaling/scheduledAction:ScheduledAction"
TARGET = "aws:appautoscaling/target:Target"
PROVIDER = "pulumi:providers:aws"

BY_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
JOBS = ("Processing", "Training", "Transform")


@dataclass(frozen=True, slots=True)
class Resource:
    """One declared resource, as a rule sees it."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    protect: bool = False


@dataclass(frozen=True, slots=True)
class Breach:
    """A resource that breaks a rule, and how."""

    resource: str
    text: str


@dataclass(frozen=True, slots=True)
class Stack:
    """All resources of one run, found by type."""

    resources: Sequence[Resource]
    by_type: Mapping[str, list[Resource]] = field(default_factory=dict)

    def of(self, type_: str) -> list[Resource]:
        return [each for each in self.resources if each.type == type_]


Check = Callable[[Stack], Iterator[Breach]]


@dataclass(frozen=True, slots=True)
class Rule:
    """An id that waivers and docs name, what it demands, which control asks for it, and the check."""

    id: str
    demands: str
    control: str
    check: Check


RULES: list[Rule] = []


def rule(id_: str, demands: str, control: str) -> Callable[[Check], Check]:
    def added(check: Check) -> Check:
        RULES.append(Rule(id_, demands, control, check))
        return check

    return added


def variants(config: Resource) -> list[Mapping[str, Any]]:
    return list(config.inputs.get("productionVariants") or ())


def statements(text: str) -> list[Mapping[str, Any]]:
    found = json.loads(text)["Statement"]
    return found if isinstance(found, list) else [found]


def granting(stack: Stack) -> list[Resource]:
    """Policies that grant something: a boundary only limits."""
    managed = [each for each in stack.of(POLICY) if each.name != "boundary"]
    return [*stack.of(ROLE_POLICY), *managed]


def many(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


# Serving -----------------------------------------------------------------------------------------


@rule("SLW001", "every production variant starts with two instances or more", "FSBP SageMaker.4")
def two_instances(stack: Stack) -> Iterator[Breach]:
    for config in stack.of(CONFIG):
        for variant in variants(config):
            if not is_async(config) and int(variant.get("initialInstanceCount") or 0) < 2:
                yield Breach(config.name, f"variant {variant.get('variantName')} has fewer than two instances")


def is_async(config: Resource) -> bool:
    return "asyncInferenceConfig" in config.inputs


@rule("SLW002", "scaling never goes below two instances, except for queues", "FSBP SageMaker.4")
def scaling_keeps_two(stack: Stack) -> Iterator[Breach]:
    queues = {each.name.rpartition("-")[0] for each in stack.of(CONFIG) if is_async(each)}
    for target in stack.of(TARGET):
        if target.name not in queues and float(target.inputs["minCapacity"]) < 2:
            yield Breach(target.name, f"minCapacity is {target.inputs['minCapacity']}")
    for action in stack.of(ACTION):
        least = action.inputs["scalableTargetAction"]["minCapacity"]
        if action.name.partition("-")[0] not in queues and float(least) < 2:
            yield Breach(action.name, f"at {action.inputs['schedule']} minCapacity becomes {least}")


@rule("SLW003", "models run in our subnets", "AwsSolutions-SM1, prowler sagemaker_models_vpc_settings_configured")
def in_vpc(stack: Stack) -> Iterator[Breach]:
    for model in stack.of(MODEL):
        if not (model.inputs.get("vpcConfig") or {}).get("subnets"):
            yield Breach(model.name, "has no vpcConfig with subnets")


@rule("SLW004", "models are isolated: the container itself reaches nothing", "FSBP SageMaker.5")
def isolated(stack: Stack) -> Iterator[Breach]:
    for model in stack.of(MODEL):
        if model.inputs.get("enableNetworkIsolation") is not True:
            yield Breach(model.name, "enableNetworkIsolation is not true")


@rule("SLW005", "captured requests are encrypted with our key", "FSBP S3.17 for what SageMaker writes")
def capture_encrypted(stack: Stack) -> Iterator[Breach]:
    for config in stack.of(CONFIG):
        capture = config.inputs.get("dataCaptureConfig")
        if capture is not None and not capture.get("kmsKeyId"):
            yield Breach(config.name, "dataCaptureConfig has no kmsKeyId")


@rule("SLW006", "what runs is an image by digest", "SLSA: no moving references")
def by_digest(stack: Stack) -> Iterator[Breach]:
    for model in stack.of(MODEL):
        image = str((model.inputs.get("primaryContainer") or {}).get("image", ""))
        if not BY_DIGEST.fullmatch(image):
            yield Breach(model.name, f"image '{image}' is not named by digest")
    for pipeline in stack.of(PIPELINE):
        for step, image in images_of(pipeline):
            if not BY_DIGEST.fullmatch(image):
                yield Breach(pipeline.name, f"step {step} runs '{image}', not named by digest")


def images_of(pipeline: Resource) -> Iterator[tuple[str, str]]:
    for step in json.loads(pipeline.inputs["pipelineDefinition"])["Steps"]:
        arguments = step["Arguments"]
        for holder, key in (("AppSpecification", "ImageUri"), ("AlgorithmSpecification", "TrainingImage")):
            if holder in arguments:
                yield step["Name"], str(arguments[holder][key])


@rule("SLW007", "an endpoint rolls back by alarms", "AWS Well-Architected ML lens, MLREL-08")
def rolls_back(stack: Stack) -> Iterator[Breach]:
    served = {each.name.rpartition("-")[0]: each for each in stack.of(CONFIG)}
    for endpoint in stack.of(ENDPOINT):
        config = served.get(endpoint.name)
        if config is not None and any("serverlessConfig" in each for each in variants(config)):
            continue  # serverless endpoints take no deployment policy
        guards = (endpoint.inputs.get("deploymentConfig") or {}).get("autoRollbackConfiguration") or {}
        if not guards.get("alarms"):
            yield Breach(endpoint.name, "deploymentConfig has no alarms to roll back on")


@rule("SLW008", "endpoint storage is encrypted with our key", "CKV_AWS_98")
def storage_encrypted(stack: Stack) -> Iterator[Breach]:
    for config in stack.of(CONFIG):
        if not config.inputs.get("kmsKeyArn"):
            yield Breach(config.name, "kmsKeyArn is not set")


@rule("SLW009", "what serves is judged: its monitor pipeline exists", "prowler sagemaker_endpoint_monitor_enabled")
def monitored(stack: Stack) -> Iterator[Breach]:
    watched = {each.name for each in stack.of(PIPELINE)}
    for endpoint in stack.of(ENDPOINT):
        if f"{endpoint.name}-monitor" not in watched:
            yield Breach(endpoint.name, "has no monitor")


# Jobs --------------------------------------------------------------------------------------------


@rule("SLW010", "jobs keep volumes and results under our key", "FSBP SageMaker job controls; prowler training volume")
def jobs_encrypted(stack: Stack) -> Iterator[Breach]:
    for pipeline, step in steps(stack):
        text = json.dumps(step["Arguments"])
        for key in ("VolumeKmsKeyId", "KmsKeyId"):
            if f'"{key}"' not in text:
                yield Breach(pipeline.name, f"step {step['Name']} sets no {key}")


@rule("SLW011", "jobs run in our subnets", "FSBP SageMaker.2 for jobs; prowler sagemaker_training_jobs_vpc")
def jobs_in_vpc(stack: Stack) -> Iterator[Breach]:
    for pipeline, step in steps(stack):
        if '"VpcConfig"' not in json.dumps(step["Arguments"]):
            yield Breach(pipeline.name, f"step {step['Name']} has no VpcConfig")


def steps(stack: Stack) -> Iterator[tuple[Resource, Mapping[str, Any]]]:
    for pipeline in stack.of(PIPELINE):
        for step in json.loads(pipeline.inputs["pipelineDefinition"])["Steps"]:
            if step["Type"] in JOBS:
                yield pipeline, step


# People and permissions --------------------------------------------------------------------------


@rule("SLW012", "no permission for all of a service's actions", "FSBP IAM.1, IAM.21")
def no_wildcard_action(stack: Stack) -> Iterator[Breach]:
    for policy in granting(stack):
        for each in statements(policy.inputs["policy"]):
            broad = [action for action in many(each["Action"]) if "*" in action]
            if each["Effect"] == "Allow" and broad:
                yield Breach(policy.name, f"statement {each.get('Sid')} allows {', '.join(broad)}")


@rule("SLW013", "a permission on every resource has a written reason", "AwsSolutions-IAM5")
def explained_wildcards(stack: Stack) -> Iterator[Breach]:
    for policy in granting(stack):
        for each in statements(policy.inputs["policy"]):
            if each["Effect"] == "Allow" and "*" in many(each["Resource"]):
                unexplained = [action for action in many(each["Action"]) if action not in WILDCARDS]
                if unexplained:
                    yield Breach(
                        policy.name, f"statement {each.get('Sid')}: no reason for {', '.join(unexplained)} on *"
                    )


@rule("SLW014", "a role is passed by name, to a named service", "cloudsplaining PassRole")
def pass_role_bounded(stack: Stack) -> Iterator[Breach]:
    for policy in granting(stack):
        for each in statements(policy.inputs["policy"]):
            if each["Effect"] == "Allow" and "iam:PassRole" in many(each["Action"]):
                to = (each.get("Condition") or {}).get("StringEquals") or {}
                if "*" in many(each["Resource"]) or "iam:PassedToService" not in to:
                    yield Breach(policy.name, f"statement {each.get('Sid')} passes roles too freely")


@rule("SLW015", "workloads and people stay inside the boundary", "AWS Well-Architected SEC03-BP05")
def bounded(stack: Stack) -> Iterator[Breach]:
    policies = {each.name for each in stack.of(POLICY)}
    for role in stack.of(ROLE):
        service_only = role.name in ("flow", "trail", "budget", "replication")
        if not service_only and ("boundary" not in policies or not role.inputs.get("permissionsBoundary")):
            yield Breach(role.name, "has no permissions boundary")


@rule("SLW016", "a workflow becomes a role only from our repository and its environment", "CKV_AWS_393")
def workflow_pinned(stack: Stack) -> Iterator[Breach]:
    for role in stack.of(ROLE):
        for each in statements(role.inputs["assumeRolePolicy"]):
            if each["Action"] == "sts:AssumeRoleWithWebIdentity" or "sts:AssumeRoleWithWebIdentity" in many(
                each["Action"]
            ):
                claims = (each.get("Condition") or {}).get("StringEquals") or {}
                subject = next((value for key, value in claims.items() if key.endswith(":sub")), "")
                audience = next((value for key, value in claims.items() if key.endswith(":aud")), "")
                if not re.fullmatch(r"repo:[\w.-]+/[\w.-]+:(pull_request|environment:\w+)", str(subject)):
                    yield Breach(role.name, f"subject '{subject}' is not one repository in one environment")
                if audience != "sts.amazonaws.com":
                    yield Breach(role.name, f"audience '{audience}' is not AWS")


@rule("SLW017", "people become a role with a second factor", "CIS AWS 1.10 for roles")
def second_factor(stack: Stack) -> Iterator[Breach]:
    for role in stack.of(ROLE):
        for each in statements(role.inputs["assumeRolePolicy"]):
            if "AWS" in each["Principal"] and "aws:MultiFactorAuthPresent" not in json.dumps(each.get("Condition", {})):
                yield Breach(role.name, "can be assumed without a second factor")


@rule("SLW018", "other accounts read versions of models and change none", "FSBP S3.6 for the registry")
def registry_shared_for_reading(stack: Stack) -> Iterator[Breach]:
    for policy in stack.of(GROUP_POLICY):
        for each in statements(policy.inputs["resourcePolicy"]):
            if "*" in many(
                each["Principal"].get("AWS", []) if isinstance(each["Principal"], dict) else each["Principal"]
            ):
                yield Breach(policy.name, "is open to every account")
            changing = [
                action
                for action in many(each["Action"])
                if not re.match(r"sagemaker:(Describe|List|CreateModel$)", action)
            ]
            if changing:
                yield Breach(policy.name, f"lets other accounts {', '.join(changing)}")


# Guards ------------------------------------------------------------------------------------------


@rule("SLW019", "a provider serves one account only", "the wrong-account guard")
def account_guarded(stack: Stack) -> Iterator[Breach]:
    for provider in stack.of(PROVIDER):
        allowed = provider.inputs.get("allowedAccountIds")
        found = json.loads(allowed) if isinstance(allowed, str) else allowed
        if not found or len(found) != 1:
            yield Breach(provider.name, "allowedAccountIds does not name exactly one account")


@rule("SLW020", "a feature group cannot be replaced", "terraform-provider-aws 26809: new features replace the group")
def features_protected(stack: Stack) -> Iterator[Breach]:
    for group in stack.of(FEATURES):
        if not group.protect:
            yield Breach(group.name, "is not protected")


@rule(
    "SLW021", "every alarm says what it means and names the runbooks of what it watches", "AWS Well-Architected OPS10"
)
def alarms_explained(stack: Stack) -> Iterator[Breach]:
    alarms = [*stack.of(ALARM), *stack.of(COMPOSITE)]
    pages = {each.inputs.get("name") or each.inputs.get("alarmName"): pages_of(each) for each in alarms}
    for alarm in alarms:
        own = pages_of(alarm)
        missing = {page for watched in watched_by(alarm) for page in pages.get(watched, ())} - {*own}
        if not own:
            yield Breach(alarm.name, "names no runbook")
        elif missing:
            yield Breach(alarm.name, f"watches what {', '.join(sorted(missing))} is about, and does not name it")
        if len(description(alarm)) > MOST:
            yield Breach(alarm.name, f"its description is longer than the {MOST} characters CloudWatch takes")


def description(alarm: Resource) -> str:
    return str(alarm.inputs.get("alarmDescription") or "")


def pages_of(alarm: Resource) -> list[str]:
    return named_in(description(alarm))


def watched_by(composite: Resource) -> list[str]:
    """The alarms that raise a composite one; those that only hold it back are no trouble of their own."""
    return re.findall(r'(?<!NOT )ALARM\("([^"]+)"\)', str(composite.inputs.get("alarmRule") or ""))


@rule("SLW022", "nothing in an endpoint's environment looks like a secret", "Model.environment is readable by Describe")
def no_secret_in_environment(stack: Stack) -> Iterator[Breach]:
    for model in stack.of(MODEL):
        for key in (model.inputs.get("primaryContainer") or {}).get("environment") or {}:
            if re.search(r"secret|token|password|api_?key", key, re.IGNORECASE) and not key.endswith("_ARN"):
                yield Breach(model.name, f"environment variable {key}: pass a Secrets Manager ARN as {key}_ARN")


def breaches(resources: Sequence[Resource]) -> Iterator[tuple[Rule, Breach]]:
    """Everything that breaks any rule."""
    stack = Stack(resources)
    for each in RULES:
        for breach in each.check(stack):
            yield each, breach
