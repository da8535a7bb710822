"""The keys of an environment: one everything is encrypted with, one that evidence is signed with."""

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
    """A key that is rotated every year, a signing key that never leaves KMS, and the aliases they are known by."""

    def __init__(self, args: KeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("keys", opts)
        self.key = self._key(args)
        self._alias(args)
        self._evidence(args)
        self.arn = self.key.arn
        self.finish({"arn": self.arn})

    def _key(self, args: KeysArgs) -> aws.kms.Key:
        return aws.kms.Key(
            "key",
            description=f"Everything of {args.names.of()}",
            key_usage="ENCRYPT_DECRYPT",
            customer_master_key_spec="SYMMETRIC_DEFAULT",
            enable_key_rotation=True,
            deletion_window_in_days=30 if args.protect else 7,
            policy=self.json(args.policy),
            tags={"Name": args.names.of()},
            opts=self.own(protect=args.protect),
        )

    def _alias(self, args: KeysArgs) -> None:
        aws.kms.Alias("key", name=args.names.key_alias, target_key_id=self.key.key_id, opts=self.own())

    def _evidence(self, args: KeysArgs) -> None:
        """An asymmetric key cannot rotate: a new one would leave old evidence without its witness."""
        key = aws.kms.Key(
            "evidence",
            description=f"Signs the evidence and the ledger of {args.names.of()}",
            key_usage="SIGN_VERIFY",
            customer_master_key_spec="ECC_NIST_P256",
            deletion_window_in_days=30 if args.protect else 7,
            policy=self.json(args.policy),
            tags={"Name": args.names.of("evidence")},
            opts=self.own(protect=args.protect),
        )
        aws.kms.Alias("evidence", name=args.names.evidence_key_alias, target_key_id=key.key_id, opts=self.own())
