"""What every component shares: its type name, its children's options, and JSON documents that may hold outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi


class Component(pulumi.ComponentResource):
    """A group of resources with one purpose; a constructor is a table of contents, then `finish`."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"slipway:infra:{type(self).__name__}", name, None, opts)

    def own(self, **options: Any) -> pulumi.ResourceOptions:
        """Options of a child."""
        return pulumi.ResourceOptions(parent=self, **options)

    @staticmethod
    def json(document: Mapping[str, Any]) -> pulumi.Output[str]:
        """A document as text; outputs inside stay references."""
        return pulumi.Output.json_dumps(document, sort_keys=True)

    def finish(self, outputs: Mapping[Any, Any]) -> None:
        self.register_outputs(dict(outputs))
