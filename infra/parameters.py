"""The environment's outputs as one parameter, so that people and programs in AWS need no engine to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.names import Names


@dataclass(frozen=True, slots=True)
class ParametersArgs:
    names: Names
    outputs: Mapping[str, Any]


class Parameters(Component):
    """`/slipway/<environment>/platform`."""

    def __init__(self, args: ParametersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("parameters", opts)
        aws.ssm.Parameter(
            "platform",
            name=args.names.parameter("platform"),
            type="String",
            tier="Intelligent-Tiering",
            overwrite=True,  # what a killed run left is written over, not in the way
            insecure_value=self.json(args.outputs),  # names and ARNs; nothing in it is secret
            opts=self.own(),
        )
        self.finish({})
