"""The key everything of an environment is encrypted with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.names import Names


@dataclass(frozen=True, slots=True)
class KeysArgs:
    names: Names
    policy: Mapping[str, Any]
    protect: bool


class Keys(Component):
    """One customer-managed key, rotated every year, and the alias it is known by."""

    def __init__(self, args: KeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("keys", opts)
        self.key = self._key(args)
        self._alias(args)
        self.arn = self.key.arn
        self.finish({"arn": self.arn})

    def _key(self, args: KeysArgs) -> aws.kms.Key:
        return aws.kms.Key(
            "key",
            description=f"Everything of {args.names.of()}",
            enable_key_rotation=True,
            deletion_window_in_days=30 if args.protect else 7,
            policy=self.json(args.policy),
            tags={"Name": args.names.of()},
            opts=self.own(protect=args.protect),
        )

    def _alias(self, args: KeysArgs) -> None:
        aws.kms.Alias("key", name=args.names.key_alias, target_key_id=self.key.key_id, opts=self.own())
