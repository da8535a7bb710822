"""What a recording declares, as Terraform JSON with real references between resources.

Mechanical, with the provider's own schema as the guide: which input is an attribute, which a block; singular or plural;
one or many. What cannot be placed is an error naming resource and key, never dropped. Literals are escaped, so that
only our references are references.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from delivery.engine.recording import REFERENCE, Recording, Registration, Secret
from delivery.engine.schema import (
    PULUMI_ONLY,
    SOURCE,
    VERSION,
    Attribute,
    Block,
    body_of,
    camel,
    snake,
    terraform_type,
)

# The few properties Pulumi's bridge gives another name than the provider's own: (Terraform type, Pulumi key) -> key.
RENAMES = {
    ("aws_cloudwatch_metric_alarm", "name"): "alarm_name",
    ("aws_cloudwatch_composite_alarm", "name"): "alarm_name",
    ("aws_cloudwatch_dashboard", "name"): "dashboard_name",
    ("aws_sns_topic_subscription", "topic"): "topic_arn",
}


class ConversionError(Exception):
    """A declared resource cannot be said in Terraform; the text names resource, key and what would fit."""


@dataclass(frozen=True, slots=True)
class Synthesis:
    """Terraform JSON, the secrets it needs as variables, and where each resource of the program went."""

    document: Mapping[str, Any]
    secrets: Mapping[str, str]
    addresses: Mapping[str, str]


@dataclass(slots=True)
class Translation:
    """One pass over one recording: the addresses of its resources, and the secrets met on the way."""

    recording: Recording
    secrets: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    by_urn: dict[str, Registration] = field(default_factory=dict)
    partial: bool = False

    def __post_init__(self) -> None:
        self.by_urn = {each.urn: each for each in self.recording.resources}
        for each in self.recording.resources:
            if each.type in PULUMI_ONLY:
                self.refuse_pulumi_only(each)
            elif each.custom and not each.is_provider:
                self.addresses[each.urn] = f"{terraform_type(each.type)}.{label(each.name)}"

    def refuse_pulumi_only(self, each: Registration) -> None:
        if not self.partial:
            raise ConversionError(
                f"{each.name}: the Terraform provider {VERSION} has no resource like {each.type}. Use the Pulumi "
                "engine (--engine pulumi), or do without: tracking.kind: server, not app; models.<name>.card: null."
            )

    def text(self, given: str) -> str:
        """A string with our references as Terraform's and everything else escaped."""
        parts: list[str] = []
        at = 0
        for found in REFERENCE.finditer(given):
            parts += [escaped(given[at : found.start()]), self.interpolation(found["resource"], found["property"])]
            at = found.end()
        return "".join([*parts, escaped(given[at:])])

    def interpolation(self, urn: str, property_: str) -> str:
        if urn in self.by_urn and self.by_urn[urn].type in PULUMI_ONLY:
            return (
                f"{self.by_urn[urn].name}.{snake(property_)}"  # left out of a partial document: named, not referred to
            )
        if urn not in self.addresses:
            raise ConversionError(f"a reference to '{urn}', which the program did not declare as a resource")
        kind = terraform_type(self.by_urn[urn].type)
        name = "id" if property_ == "id" else RENAMES.get((kind, snake(property_)), snake(property_))
        return f"${{{self.addresses[urn]}.{name}}}"

    def value(self, given: Any, where: str) -> Any:
        """A value whose keys are the caller's own (maps, plain lists)."""
        match given:
            case Secret():
                return self.secret(given, where)
            case str():
                return self.text(given)
            case Mapping():
                return {self.text(key): self.value(each, f"{where}.{key}") for key, each in given.items()}
            case list():
                return [self.value(each, f"{where}[{index}]") for index, each in enumerate(given)]
            case _:
                return given

    def secret(self, given: Secret, where: str) -> str:
        """A variable in place of the value: the text never reaches a file."""
        if not isinstance(given.value, str):
            raise ConversionError(
                f"{where}: a secret of type {type(given.value).__name__}; only text can be secret here"
            )
        if REFERENCE.search(given.value):
            raise ConversionError(f"{where}: a secret joined with another resource's output; pass them separately")
        name = label(where)
        self.secrets[name] = given.value
        return f"${{var.{name}}}"


def label(name: str) -> str:
    """A Pulumi name as a Terraform one."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return plain if not plain[:1].isdigit() else f"_{plain}"


def escaped(text: str) -> str:
    return text.replace("${", "$${").replace("%{", "%%{")


def spellings(key: str) -> Iterator[str]:
    """The provider's possible names for one of Pulumi's: as it is, singular, plural."""
    yield key
    if key.endswith("ies"):
        yield key[:-3] + "y"
    if key.endswith("es"):
        yield key[:-2]
    if key.endswith("s"):
        yield key[:-1]
    yield key + "s"
    if key.endswith("y"):
        yield key[:-1] + "ies"


def place(key: str, body: Block, kind: str, where: str) -> str:
    """Which attribute or block of the body a key means."""
    wanted = RENAMES.get((kind, snake(key)), snake(key))
    known = [*body.attributes, *body.blocks]
    for each in spellings(wanted):
        if each in body.attributes and body.attributes[each].settable:
            return each
        if each in body.blocks:
            return each
    near = difflib.get_close_matches(wanted, known, n=1)
    raise ConversionError(
        f"{where}: the provider's {kind} has no '{wanted}'"
        + (f"; the nearest is '{near[0]}'" if near else "")
        + f". It has: {', '.join(sorted(known))}."
    )


def body(given: Mapping[str, Any], schema: Block, kind: str, where: str, translation: Translation) -> dict[str, Any]:
    converted: dict[str, Any] = {}
    for key, each in given.items():
        name = place(key, schema, kind, where)
        inside = f"{where}.{key}"
        if name in schema.blocks:
            converted[name] = blocks(each, schema.blocks[name], kind, inside, translation)
        else:
            converted[name] = attribute(each, schema.attributes[name], inside, translation)
    return converted


def blocks(given: Any, schema: Block, kind: str, where: str, translation: Translation) -> Any:
    """Pulumi flattens a block that may stand once; Terraform wants a list again."""
    many = given if isinstance(given, list) else [given]
    for each in many:
        if not isinstance(each, Mapping):
            raise ConversionError(f"{where}: expected an object for a block of {kind}, got {each!r}")
    converted = [body(each, schema, kind, where, translation) for each in many]
    return converted[0] if schema.nesting == "single" and len(converted) == 1 else converted


def attribute(given: Any, schema: Attribute, where: str, translation: Translation) -> Any:
    match schema.type:
        case ["list" | "set", ["object", members]]:
            many = given if isinstance(given, list) else [given]
            return [members_of(each, members, where, translation) for each in many]
        case ["single", ["object", members]] | ["object", members]:
            return members_of(given, members, where, translation)
        case ["list" | "set", _] if not isinstance(given, list):
            return [translation.value(given, where)]
        case _:
            return translation.value(given, where)


def members_of(given: Mapping[str, Any], members: Mapping[str, Any], where: str, translation: Translation) -> Any:
    schema = Block({name: Attribute(each, required=False, settable=True) for name, each in members.items()}, {})
    return body(given, schema, "object", where, translation)


def ignored(path: str, given: Mapping[str, Any], schema: Block, kind: str, where: str) -> list[str]:
    """Pulumi's `a[*].b` as Terraform's list of `a[0].b`, `a[1].b`: one for each element declared."""
    head, star, rest = path.partition("[*].")
    name = place(head, schema, kind, where)
    if not star:
        return [name]
    count = len(given.get(head) or ())
    return [f"{name}[{index}].{place(rest, schema.blocks[name], kind, where)}" for index in range(count)]


def lifecycle(each: Registration, schema: Block, kind: str) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    if each.protect:
        rules["prevent_destroy"] = True
    if each.create_first:
        rules["create_before_destroy"] = True
    paths = [path for key in each.ignore_changes for path in ignored(key, each.inputs, schema, kind, each.name)]
    if paths:
        rules["ignore_changes"] = paths
    return rules


def resource(each: Registration, translation: Translation) -> dict[str, Any]:
    kind = terraform_type(each.type)
    schema = body_of(kind)
    converted = body(each.inputs, schema, kind, each.name, translation)
    converted |= timeouts(each, schema)
    needs = [translation.addresses[urn] for urn in each.depends_on if urn in translation.addresses]
    if needs:
        converted["depends_on"] = sorted(needs)
    rules = lifecycle(each, schema, kind)
    if rules:
        converted["lifecycle"] = rules
    name = provider_name(each.provider)
    if name != MAIN:
        converted["provider"] = f"aws.{label(name)}"
    return converted


def timeouts(each: Registration, schema: Block) -> dict[str, Any]:
    if not each.timeouts:
        return {}
    if "timeouts" not in schema.blocks:
        raise ConversionError(f"{each.name}: {each.type} takes no timeouts in the provider")
    return {"timeouts": dict(each.timeouts)}


MAIN = "main"


def provider_name(urn: str) -> str:
    return urn.rpartition("::")[2] or MAIN


def providers(recording: Recording, translation: Translation) -> list[dict[str, Any]]:
    converted = []
    for each in recording.resources:
        if each.is_provider:
            inputs = {key: unfolded(value) for key, value in each.inputs.items() if key != "version"}
            one = body(inputs, body_of("provider"), "provider", each.name, translation)
            if each.name != MAIN:
                one["alias"] = label(each.name)
            converted.append(one)
    return converted


def unfolded(value: Any) -> Any:
    """A provider's nested inputs travel as JSON text."""
    import json

    if (isinstance(value, str) and value[:1] in "[{") or value in ("true", "false"):
        return json.loads(value)
    return value


def moved(recording: Recording, translation: Translation) -> list[dict[str, str]]:
    """A renamed resource keeps its state: Pulumi's aliases as Terraform's `moved` blocks."""
    return [
        {"from": f"{terraform_type(each.type)}.{label(old)}", "to": translation.addresses[each.urn]}
        for each in recording.resources
        if each.urn in translation.addresses
        for old in each.aliases
    ]


def output(given: Any, name: str, translation: Translation) -> dict[str, Any]:
    if isinstance(given, Secret):
        return {"value": translation.secret(given, f"output_{name}"), "sensitive": True}
    return {"value": translation.value(given, name)}


def synthesise(recording: Recording, backend: Mapping[str, Any] | None = None, *, partial: bool = False) -> Synthesis:
    """The whole recording as one Terraform JSON document.

    A partial one leaves out what only Pulumi's provider has: enough to judge and to count, not to bring up.
    """
    translation = Translation(recording, partial=partial)
    resources: dict[str, dict[str, Any]] = {}
    for each in recording.resources:
        if each.urn in translation.addresses:
            kind, _, name = translation.addresses[each.urn].partition(".")
            if name in resources.setdefault(kind, {}):
                raise ConversionError(f"two resources would both be {kind}.{name} in Terraform; rename '{each.name}'")
            resources[kind][name] = resource(each, translation)
    document: dict[str, Any] = {
        "terraform": {
            "required_version": ">= 1.10",
            "required_providers": {"aws": {"source": "hashicorp/aws", "version": VERSION}},
            "backend": dict(backend or {"local": {}}),
        },
        "provider": {"aws": providers(recording, translation)},
        "resource": {kind: dict(sorted(each.items())) for kind, each in sorted(resources.items())},
        "output": {name: output(each, name, translation) for name, each in sorted(recording.outputs.items())},
    }
    renames = moved(recording, translation)
    if renames:
        document["moved"] = renames
    if translation.secrets:
        document["variable"] = {
            name: {"type": "string", "sensitive": True, "nullable": False} for name in sorted(translation.secrets)
        }
    return Synthesis(document, dict(translation.secrets), dict(translation.addresses))


__all__ = ["SOURCE", "ConversionError", "Synthesis", "camel", "synthesise"]
