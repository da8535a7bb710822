"""What every component shares: its type name, its children's options, and JSON documents that may hold outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi


@dataclass(frozen=True, slots=True)
class Hole:
    """Where an output's value goes."""

    number: int


def with_holes(value: Any, outputs: list[pulumi.Output[Any]]) -> Any:
    """The same document with a hole for each output, which is collected."""
    match value:
        case pulumi.Output():
            outputs.append(value)
            return Hole(len(outputs) - 1)
        case Mapping():
            return {key: with_holes(each, outputs) for key, each in value.items()}
        case list() | tuple():
            return [with_holes(each, outputs) for each in value]
        case _:
            return value


def filled(value: Any, values: Sequence[Any]) -> Any:
    match value:
        case Hole(number):
            return values[number]
        case dict():
            return {key: filled(each, values) for key, each in value.items()}
        case list():
            return [filled(each, values) for each in value]
        case _:
            return value


class Component(pulumi.ComponentResource):
    """A group of resources with one purpose; a constructor is a table of contents, then `finish`."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"slipway:infra:{type(self).__name__}", name, None, opts)

    def own(self, **options: Any) -> pulumi.ResourceOptions:
        """Options of a child."""
        return pulumi.ResourceOptions(parent=self, **options)

    @staticmethod
    def json(document: Mapping[str, Any]) -> pulumi.Input[str]:
        """A document as text, outputs in it awaited together.

        The SDK's own `Output.json_dumps` wraps every node of the document, which took most of a run with many models.
        """
        outputs: list[pulumi.Output[Any]] = []
        holed = with_holes(document, outputs)
        if not outputs:
            return json.dumps(document, sort_keys=True)
        return pulumi.Output.all(*outputs).apply(lambda values: json.dumps(filled(holed, values), sort_keys=True))

    def finish(self, outputs: Mapping[Any, Any]) -> None:
        self.register_outputs(dict(outputs))
