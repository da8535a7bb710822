"""What the Terraform AWS provider says of the resources we declare: the converter's only guide.

`provider.json` beside this file is an extract of `terraform providers schema -json`, made by

    python -m delivery.engine.schema FULL_SCHEMA.json

and compared with the real provider by a test. It holds attributes, blocks and their nesting; nothing of it is ours.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = "5.100.0"
SOURCE = "registry.terraform.io/hashicorp/aws"
EXTRACT = Path(__file__).parent / "provider.json"

# Pulumi's module is left out of, or spelled otherwise in, the provider's type names.
MODULES = {"ec2": "", "cloudwatch": "cloudwatch_", "costexplorer": "ce_", "vpc": "vpc_"}
TYPES = {
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": "aws_iam_openid_connect_provider",
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": "aws_s3_bucket_replication_configuration",
    "aws:cloudtrail/trail:Trail": "aws_cloudtrail",
    "aws:ec2/securityGroup:SecurityGroup": "aws_security_group",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "aws_default_security_group",
}
# Resources of Pulumi's provider that the pinned Terraform provider does not have, and what others may refer to.
PULUMI_ONLY: Mapping[str, tuple[str, ...]] = {
    "aws:sagemaker/mlflowApp:MlflowApp": ("arn", "name"),
    "aws:sagemaker/modelCard:ModelCard": ("modelCardArn", "modelCardName"),
}


class SchemaError(Exception):
    """The provider has no such resource or property; the text says what was asked."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A plain value: its Terraform type (`"string"`, `["list", "string"]`, ...) and who sets it."""

    type: Any
    required: bool
    settable: bool


@dataclass(frozen=True, slots=True)
class Block:
    """A nested body: attributes and further blocks; `nesting` says how often it may stand."""

    attributes: Mapping[str, Attribute]
    blocks: Mapping[str, Block]
    nesting: str = "single"
    most: int = 0


def block_from(given: Mapping[str, Any], nesting: str = "single", most: int = 0) -> Block:
    return Block(
        attributes={
            name: Attribute(each["type"], each.get("required", False), each.get("settable", True))
            for name, each in given.get("attributes", {}).items()
        },
        blocks={
            name: block_from(each, each["nesting"], each.get("most", 0))
            for name, each in given.get("blocks", {}).items()
        },
        nesting=nesting,
        most=most,
    )


@functools.cache
def extract() -> Mapping[str, Any]:
    return json.loads(EXTRACT.read_text())


@functools.cache
def body_of(terraform_type: str) -> Block:
    """The body of a resource type, or of the provider itself (`provider`)."""
    known = extract()["types"]
    if terraform_type not in known:
        raise SchemaError(
            f"the provider's extract has no '{terraform_type}'. If it is a new resource of ours, add it: "
            "terraform providers schema -json > full.json; python -m delivery.engine.schema full.json"
        )
    return block_from(known[terraform_type])


def snake(name: str) -> str:
    """`kmsKeyArn` as `kms_key_arn`; digits and runs of capitals stay together as the provider writes them."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(each.capitalize() for each in rest)


def candidates(pulumi_type: str) -> tuple[str, ...]:
    """How the provider may call a Pulumi type `aws:module/name:Name`."""
    _, module, name = pulumi_type.split(":")
    module = module.partition("/")[0]
    plain = f"aws_{module}_{snake(name)}"
    other = f"aws_{MODULES.get(module, module + '_')}{snake(name)}"
    return (TYPES.get(pulumi_type, plain), plain, other)


@functools.cache
def terraform_type(pulumi_type: str) -> str:
    known = extract()["types"]
    for each in candidates(pulumi_type):
        if each in known:
            return each
    raise SchemaError(
        f"the provider has none of {', '.join(dict.fromkeys(candidates(pulumi_type)))} for {pulumi_type}. "
        "A new resource of ours must be added to the extract: python -m delivery.engine.schema FULL_SCHEMA.json"
    )


@functools.cache
def outputs_of(pulumi_type: str) -> tuple[str, ...]:
    """The properties of a resource that another may refer to, in Pulumi's spelling."""
    if not pulumi_type.startswith("aws:"):
        return ()
    if pulumi_type in PULUMI_ONLY:
        return PULUMI_ONLY[pulumi_type]
    body = body_of(terraform_type(pulumi_type))
    return tuple(camel(name) for name, each in body.attributes.items() if each.type == "string" and name != "id")


def reduced(block: Mapping[str, Any]) -> dict[str, Any]:
    """One block of the full schema with only what converting needs."""
    small: dict[str, Any] = {"attributes": {}}
    for name, each in sorted(block.get("attributes", {}).items()):
        if each.get("deprecated") and not each.get("required"):
            continue
        small["attributes"][name] = {"type": each.get("type") or nested_type(each["nested_type"])}
        if each.get("required"):
            small["attributes"][name]["required"] = True
        if not (each.get("required") or each.get("optional")):
            small["attributes"][name]["settable"] = False
    blocks = {
        name: reduced(each["block"]) | {"nesting": each["nesting_mode"], "most": each.get("max_items", 0)}
        for name, each in sorted(block.get("block_types", {}).items())
    }
    return small | ({"blocks": blocks} if blocks else {})


def nested_type(given: Mapping[str, Any]) -> Any:
    members = {name: each.get("type") or nested_type(each["nested_type"]) for name, each in given["attributes"].items()}
    return [given["nesting_mode"], ["object", members]]


def extracted(full: Mapping[str, Any], types: Iterable[str]) -> dict[str, Any]:
    provider = full["provider_schemas"][SOURCE]
    resources = provider["resource_schemas"]
    missing = sorted(set(types) - set(resources))
    if missing:
        raise SchemaError(f"the provider has no {', '.join(missing)}")
    bodies = {name: reduced(resources[name]["block"]) for name in sorted(types)}
    return {"version": VERSION, "types": {"provider": reduced(provider["provider"]["block"]), **bodies}}


def main(arguments: list[str]) -> int:
    full = json.loads(Path(arguments[0]).read_text())
    known = set(extract()["types"]) - {"provider"} if EXTRACT.exists() else set()
    document = extracted(full, known | set(arguments[1:]))
    EXTRACT.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n")
    print(f"{EXTRACT.name}: {len(document['types']) - 1} types, {EXTRACT.stat().st_size // 1024} KiB")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
