"""The synthesised document in the form of a Terraform plan, which rule engines read; made without Terraform.

Compared with the plan of the real provider it knows more: policies that mention an output are text with a placeholder
here and unknown there, so rules about permissions really see them. A property that is nothing but another resource's
output stays absent and stands in the references, because rules about relations follow those.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from delivery.engine.schema import SOURCE, body_of

REFERENCE = re.compile(r"\$\{(?P<whole>(?P<address>aws_\w+\.[\w-]+)\.\w+)\}")
META = ("depends_on", "lifecycle", "provider", "timeouts")


def plan_form(document: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """A plan that creates everything in the document.

    Rule engines that read several plans at once mix resources of the same name; `within` keeps them apart.
    """
    document = apart(document, within) if within else document
    planned: list[dict[str, Any]] = []
    changes: list[dict[str, Any]] = []
    configured: list[dict[str, Any]] = []
    for kind, named in document["resource"].items():
        for name, whole in named.items():
            body = {key: value for key, value in whole.items() if key not in META}
            about = {"address": f"{kind}.{name}", "mode": "managed", "type": kind, "name": name}
            values = dict.fromkeys(body_of(kind).attributes) | known(body)
            unknown = {key: True for key, value in body.items() if is_reference(value)}
            planned.append(about | {"provider_name": SOURCE, "schema_version": 0, "values": values})
            change = {"actions": ["create"], "before": None, "after": values, "after_unknown": unknown}
            changes.append(about | {"change": change})
            configured.append(about | {"provider_config_key": "aws", "expressions": expressions(body)})
    return {
        "format_version": "1.2",
        "terraform_version": "1.11.4",
        "planned_values": {"root_module": {"resources": planned}},
        "resource_changes": changes,
        "configuration": {"root_module": {"resources": configured}},
    }


def apart(document: Mapping[str, Any], within: str) -> dict[str, Any]:
    """The same resources with the prefix in front of every name and reference."""
    text = re.sub(r"\$\{(aws_\w+)\.", rf"${{\g<1>.{prefix(within)}", json.dumps(document["resource"]))
    named = {
        kind: {prefix(within) + name: body for name, body in each.items()} for kind, each in json.loads(text).items()
    }
    return {"resource": named}


def prefix(within: str) -> str:
    return f"{within}__"


def is_reference(value: Any) -> bool:
    return isinstance(value, str) and REFERENCE.fullmatch(value) is not None


def known(value: Any) -> Any:
    """A value without what is only known once it is made."""
    match value:
        case str():
            return REFERENCE.sub(lambda found: found["whole"], value).replace("$${", "${").replace("%%{", "%{")
        case dict():
            return {key: known(each) for key, each in value.items() if not is_reference(each)}
        case list():
            return [known(each) for each in value if not is_reference(each)]
        case _:
            return value


def expressions(body: Mapping[str, Any]) -> dict[str, Any]:
    """Where each property comes from: constants and references, blocks one level at a time."""
    found: dict[str, Any] = {}
    for key, value in body.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            found[key] = [expressions(each) for each in value]
        else:
            mentioned = references(value)
            found[key] = {"references": mentioned} if mentioned else {"constant_value": value}
    return found


def references(value: Any) -> list[str]:
    match value:
        case str():
            return [part for each in REFERENCE.finditer(value) for part in (each["whole"], each["address"])]
        case dict():
            return [each for inner in value.values() for each in references(inner)]
        case list():
            return [each for inner in value for each in references(inner)]
        case _:
            return []
