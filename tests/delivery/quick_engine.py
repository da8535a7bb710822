"""An engine for tests of the verbs: makes what the platform's program declares, with the calls the provider would make.

The real engines have their own tests (tests/infra, tests/offline) and take a minute where this takes a second. It
reads the same synthesised document as Terraform; what delivery never looks at (bucket policies, tags) is left out.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from botocore import xform_name
from botocore.exceptions import ClientError
from rich.console import Console

from contract.platform import OUTPUT, PlatformOutputs
from delivery.engine import cost
from delivery.engine.cloud import Cloud, reach
from delivery.engine.declare import declare
from delivery.engine.engine import Brought, Preview, synthesis_of
from delivery.engine.errors import RefusedError
from delivery.engine.events import Planned
from delivery.engine.machine import Workplace
from delivery.engine.terraform import Plan

Ask = Callable[[str], bool]
UNSENT = ("depends_on", "lifecycle", "tags")
REFERENCE = re.compile(r"\$\{([a-z0-9_]+\.[\w-]+)\.(\w+)\}")


@dataclass(frozen=True)
class Kind:
    """How a type of resource is made, and changed where it can be."""

    service: str
    create: str
    update: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)


KINDS = {
    "aws_s3_bucket": Kind("s3", "CreateBucket", renamed={"object_lock_enabled": "object_lock_enabled_for_bucket"}),
    "aws_s3_bucket_versioning": Kind("s3", "PutBucketVersioning", "PutBucketVersioning"),
    "aws_kms_key": Kind("kms", "CreateKey"),
    "aws_kms_alias": Kind("kms", "CreateAlias", renamed={"name": "alias_name"}),
    "aws_sns_topic": Kind("sns", "CreateTopic"),
    "aws_ssm_parameter": Kind("ssm", "PutParameter", "PutParameter", {"insecure_value": "value"}),
    "aws_sagemaker_model_package_group": Kind("sagemaker", "CreateModelPackageGroup"),
    "aws_sagemaker_pipeline": Kind("sagemaker", "CreatePipeline", "UpdatePipeline"),
    "aws_sagemaker_model": Kind("sagemaker", "CreateModel", renamed={"name": "model_name"}),
    "aws_sagemaker_endpoint_configuration": Kind(
        "sagemaker", "CreateEndpointConfig", renamed={"name": "endpoint_config_name", "kms_key_arn": "kms_key_id"}
    ),
    "aws_sagemaker_endpoint": Kind("sagemaker", "CreateEndpoint", "UpdateEndpoint", {"name": "endpoint_name"}),
    "aws_cloudwatch_metric_alarm": Kind("cloudwatch", "PutMetricAlarm", "PutMetricAlarm"),
    "aws_cloudwatch_dashboard": Kind("cloudwatch", "PutDashboard", "PutDashboard"),
    "aws_appautoscaling_target": Kind(
        "application-autoscaling", "RegisterScalableTarget", "RegisterScalableTarget"
    ),
}  # fmt: skip


def given(value: Any, shape: Any) -> Any:
    """A value of the document in the form the API's own model wants it."""
    if shape.type_name == "structure":
        block = value[0] if isinstance(value, list) else value
        members = {name: xform_name(name) for name in shape.members}
        return {
            name: given(block[key], shape.members[name])
            for name, key in members.items()
            if block.get(key) not in (None, [], "")
        }
    if shape.type_name == "list" and isinstance(value, dict):  # CloudWatch's dimensions
        return [{"Name": name, "Value": each} for name, each in value.items()]
    if shape.type_name == "list":
        return [given(each, shape.member) for each in value]
    return value


@dataclass
class Made:
    """What one environment has, resource by resource, as it was made."""

    cloud: Cloud
    state: Path
    bodies: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, cloud: Cloud, state: Path) -> Self:
        kept = json.loads(state.read_text()) if state.exists() else {}
        return cls(cloud, state, **kept)

    def write(self) -> None:
        self.state.parent.mkdir(parents=True, exist_ok=True)
        self.state.write_text(json.dumps({"bodies": self.bodies, "attributes": self.attributes}))

    def resolve(self, value: Any, declared: Mapping[str, Any]) -> Any:
        """References replaced by what the resources they mean are called."""
        if isinstance(value, str):
            whole = REFERENCE.fullmatch(value)
            if whole:
                return self.attribute(whole[1], whole[2], declared)
            return REFERENCE.sub(lambda found: str(self.attribute(found[1], found[2], declared)), value)
        if isinstance(value, dict):
            return {name: self.resolve(each, declared) for name, each in value.items()}
        return [self.resolve(each, declared) for each in value] if isinstance(value, list) else value

    def attribute(self, address: str, name: str, declared: Mapping[str, Any]) -> Any:
        self.make(address, declared)
        return self.attributes[address].get(name, f"{address}-{name}")

    def make(self, address: str, declared: Mapping[str, Any]) -> None:
        """Make a resource, or change it when it is declared otherwise; what it refers to goes first."""
        body = declared[address]
        if self.bodies.get(address) == body:
            return
        known = address in self.bodies
        for each in body.get("depends_on", ()):
            self.make(each, declared)
        values = self.resolve({name: each for name, each in body.items() if name not in UNSENT}, declared)
        self.bodies[address] = body
        name = values.get("name") or values.get("bucket") or values.get("pipeline_name") or ""
        account = self.cloud.account
        self.attributes[address] = {**values, "id": name, "arn": f"arn:aws:iam::{account}:role/{name}"}
        kind = KINDS.get(address.partition(".")[0])
        if kind is not None:
            self.attributes[address] |= self.call(kind, kind.update if known else kind.create, values)

    def call(self, kind: Kind, operation: str | None, values: Mapping[str, Any]) -> dict[str, Any]:
        if operation is None:
            return {}
        client = self.cloud.client(kind.service)
        named = {kind.renamed.get(name, name): each for name, each in values.items()}
        if operation == "CreateBucket":
            named["create_bucket_configuration"] = {"location_constraint": self.cloud.region}
        if operation == "PutParameter":
            named["overwrite"] = True
        shape = client.meta.service_model.operation_model(operation).input_shape
        answer = getattr(client, xform_name(operation))(**given(named, shape))
        if operation in ("CreateEndpoint", "UpdateEndpoint"):
            self.settle(client, named["endpoint_name"])
        told = answer.get("KeyMetadata", answer)
        arns = [each for key, each in told.items() if key.endswith("Arn") or key == "Arn"]
        return {"arn": arns[0]} | ({"key_id": told["KeyId"]} if "KeyId" in told else {}) if arns else {}

    @staticmethod
    def settle(client: Any, endpoint: str) -> None:
        """Wait as the provider does."""
        for _ in range(2400):
            if not client.describe_endpoint(EndpointName=endpoint)["EndpointStatus"].endswith("ing"):
                return
            time.sleep(0.05)
        raise AssertionError(f"{endpoint} does not settle")

    def forget(self, address: str) -> None:
        kind, name = address.partition(".")[0], self.attributes[address].get("name", "")
        client = self.cloud.client("sagemaker")
        with contextlib.suppress(ClientError):
            if kind == "aws_sagemaker_endpoint_configuration":
                client.delete_endpoint_config(EndpointConfigName=name)
            elif kind == "aws_sagemaker_model":
                client.delete_model(ModelName=name)
        del self.bodies[address], self.attributes[address]


class QuickEngine:
    """The five verbs over that, as `delivery.engine.choose.Engine` has them."""

    name = "terraform"

    def look_ahead(self, environment: str, root: Path) -> tuple[Made, dict[str, Any], Preview, Any]:
        said = declare(environment, root)
        document = synthesis_of(said).document
        declared = {
            f"{kind}.{name}": body for kind, named in document["resource"].items() for name, body in named.items()
        }
        made = Made.read(reach(said.settings, root), Workplace(root, environment).folder / "made.json")
        verbs = [
            *((each, "create") for each in declared if each not in made.bodies),
            *((each, "update") for each in declared if each in made.bodies and made.bodies[each] != declared[each]),
            *((each, "delete") for each in made.bodies if each not in declared),
        ]
        after = cost.monthly(cost.declared(document), said.settings.region)
        before = cost.monthly(
            ((each.partition(".")[0], body) for each, body in made.bodies.items()), said.settings.region
        )
        plan = Plan(tuple(Planned(address, verb) for address, verb in verbs))
        text = "\n".join(f"{verb} {address}" for address, verb in verbs)
        return made, declared, Preview(plan, cost.Change(before, after), text), document["output"][OUTPUT]["value"]

    def up(self, environment: str, root: Path, console: Console, ask: Ask | None = None) -> Brought:
        made, declared, ahead, outputs = self.look_ahead(environment, root)
        if ask is not None and ahead.plan.changes and not ask("Make these changes?"):
            raise RefusedError("not agreed; nothing was changed")
        try:
            for address in declared:
                made.make(address, declared)
            for address in [each for each in made.bodies if each not in declared]:
                made.forget(address)
        finally:
            made.write()
        return Brought(ahead.plan, PlatformOutputs.from_json(json.loads(json.dumps(made.resolve(outputs, declared)))))

    def preview(self, environment: str, root: Path, console: Console) -> Preview:
        return self.look_ahead(environment, root)[2]

    def down(self, environment: str, root: Path, console: Console, ask: Ask | None = None) -> None:
        made = self.look_ahead(environment, root)[0]
        for address in list(made.bodies):
            made.forget(address)
        made.write()

    def outputs(self, environment: str, root: Path) -> PlatformOutputs:
        made, declared, _, outputs = self.look_ahead(environment, root)
        return PlatformOutputs.from_json(made.resolve(outputs, declared))

    def recover(self, environment: str, root: Path, console: Console, ask: Ask | None = None) -> list[str]:
        return [f"{environment}: nothing was interrupted"]
