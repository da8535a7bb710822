"""Where data, artifacts, captured traffic, outcomes and evidence stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component
from infra.names import PURPOSES, Names, Purpose

LOGS: Purpose = "logs"


@dataclass(frozen=True, slots=True)
class Lock:
    """How long evidence cannot be deleted, and whether even the account's owner is bound."""

    mode: str
    days: int


@dataclass(frozen=True, slots=True)
class Replica:
    """A copy of the evidence in another region."""

    region: str
    provider: pulumi.ProviderResource


@dataclass(frozen=True, slots=True)
class StorageArgs:
    names: Names
    key_arn: pulumi.Input[str]
    tls_only: bool
    empty_on_destroy: bool
    old_versions_days: int | None
    expiry_days: Mapping[Purpose, int]
    lock: Lock | None
    replica: Replica | None
    protect: bool


class Storage(Component):
    """A bucket per purpose: versioned, encrypted, owned by the account, closed to the public, with a lifecycle."""

    def __init__(self, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("storage", opts)
        self.args = args
        self.buckets = {purpose: self._bucket(purpose) for purpose in PURPOSES}
        self.closed = [self._close(purpose, bucket) for purpose, bucket in self.buckets.items()]
        self.versioning = [self._keep_versions(purpose, bucket) for purpose, bucket in self.buckets.items()]
        for purpose, bucket in self.buckets.items():
            self._encrypt(purpose, bucket)
            self._age(purpose, bucket)
            self._log(purpose, bucket)
        self._lock()
        self._replicate()
        self.finish({purpose: bucket.bucket for purpose, bucket in self.buckets.items()})

    def _bucket(self, purpose: Purpose) -> aws.s3.Bucket:
        return aws.s3.Bucket(
            purpose,
            bucket=self.args.names.bucket(purpose),
            force_destroy=self.args.empty_on_destroy,
            object_lock_enabled=purpose == "evidence" and self.args.lock is not None,
            opts=self.own(protect=self.args.protect),
        )

    def _close(self, purpose: Purpose, bucket: aws.s3.Bucket) -> pulumi.Resource:
        """No public access, no access lists, no plain HTTP."""
        closed = aws.s3.BucketPublicAccessBlock(
            purpose,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.own(),
        )
        aws.s3.BucketOwnershipControls(
            purpose, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=self.own()
        )
        statements = policies.bucket(self.args.names, purpose, tls_only=self.args.tls_only)
        if not statements:
            return closed
        return aws.s3.BucketPolicy(
            purpose,
            bucket=bucket.id,
            policy=self.json(policies.document(statements)),
            opts=self.own(depends_on=[closed]),
        )

    def _encrypt(self, purpose: Purpose, bucket: aws.s3.Bucket) -> None:
        # S3 delivers access logs only to a bucket under its own key.
        by_our_key = {"sse_algorithm": "aws:kms", "kms_master_key_id": self.args.key_arn}
        default: Any = {"sse_algorithm": "AES256"} if purpose == LOGS else by_our_key
        aws.s3.BucketServerSideEncryptionConfiguration(
            purpose,
            bucket=bucket.id,
            rules=[{"apply_server_side_encryption_by_default": default, "bucket_key_enabled": purpose != LOGS}],
            opts=self.own(),
        )

    def _keep_versions(self, purpose: Purpose, bucket: aws.s3.Bucket) -> aws.s3.BucketVersioning:
        return aws.s3.BucketVersioning(
            purpose, bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=self.own()
        )

    def _age(
        self,
        purpose: Purpose,
        bucket: aws.s3.Bucket,
        label: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Old versions go, unfinished uploads go, and what has a term goes when it is over."""
        if self.args.old_versions_days is None:
            return
        rules: list[Any] = [
            {
                "id": "old-versions",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "noncurrent_version_expiration": {"noncurrent_days": self.args.old_versions_days},
                "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
            }
        ]
        if purpose in self.args.expiry_days:
            rules.append(
                {
                    "id": "term",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": self.args.expiry_days[purpose]},
                }
            )
        aws.s3.BucketLifecycleConfiguration(label or purpose, bucket=bucket.id, rules=rules, opts=opts or self.own())

    def _log(self, purpose: Purpose, bucket: aws.s3.Bucket) -> None:
        aws.s3.BucketLogging(
            purpose,
            bucket=bucket.id,
            target_bucket=self.buckets[LOGS].id,
            target_prefix=f"access/{purpose}/",
            opts=self.own(depends_on=self.closed),
        )

    def _lock(self) -> None:
        if self.args.lock is None:
            return
        aws.s3.BucketObjectLockConfiguration(
            "evidence",
            bucket=self.buckets["evidence"].id,
            rule={"default_retention": {"mode": self.args.lock.mode, "days": self.args.lock.days}},
            opts=self.own(
                depends_on=self.versioning
            ),  # S3 locks only what has versions, and unlocks before it loses them
        )

    def _replicate(self) -> None:
        """A copy of the evidence in another region, locked and encrypted like the original."""
        replica = self.args.replica
        if replica is None:
            return
        names = Names(self.args.names.environment, self.args.names.account, replica.region)
        there = self.own(provider=replica.provider)
        key = aws.kms.Key(
            "replica",
            description=f"The copy of the evidence of {names.of()}",
            enable_key_rotation=True,
            policy=self.json(policies.document(policies.key(names))),
            tags={"Name": names.of("replica")},
            opts=there,
        )
        copy = aws.s3.Bucket(
            "replica",
            bucket=names.bucket("evidence"),
            force_destroy=self.args.empty_on_destroy,
            object_lock_enabled=self.args.lock is not None,
            opts=self.own(provider=replica.provider, protect=self.args.protect),
        )
        kept = self._like_the_original(copy, key, names, there)
        role = self._replicator(key, names)
        aws.s3.BucketReplicationConfig(
            "evidence",
            bucket=self.buckets["evidence"].id,
            role=role.arn,
            rules=[
                {
                    "id": "everything",
                    "status": "Enabled",
                    "priority": 0,
                    "filter": {"prefix": ""},
                    "delete_marker_replication": {"status": "Disabled"},
                    "source_selection_criteria": {"sse_kms_encrypted_objects": {"status": "Enabled"}},
                    "destination": {
                        "bucket": copy.arn,
                        "storage_class": "STANDARD_IA",
                        "encryption_configuration": {"replica_kms_key_id": key.arn},
                    },
                }
            ],
            opts=self.own(depends_on=[*self.versioning, kept]),
        )

    def _like_the_original(
        self, copy: aws.s3.Bucket, key: aws.kms.Key, names: Names, there: pulumi.ResourceOptions
    ) -> aws.s3.BucketVersioning:
        encryption: Any = {
            "apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms", "kms_master_key_id": key.arn},
            "bucket_key_enabled": True,
        }
        aws.s3.BucketServerSideEncryptionConfiguration("replica", bucket=copy.id, rules=[encryption], opts=there)
        self._age("evidence", copy, "replica", there)
        closed = aws.s3.BucketPublicAccessBlock(
            "replica",
            bucket=copy.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=there,
        )
        statements = policies.bucket(names, "evidence", tls_only=self.args.tls_only)
        if statements:
            aws.s3.BucketPolicy(
                "replica",
                bucket=copy.id,
                policy=self.json(policies.document(statements)),
                opts=self.own(provider=there.provider, depends_on=[closed]),
            )
        return aws.s3.BucketVersioning(
            "replica", bucket=copy.id, versioning_configuration={"status": "Enabled"}, opts=there
        )

    def _replicator(self, key: aws.kms.Key, names: Names) -> aws.iam.Role:
        here = self.args.names
        role = aws.iam.Role(
            "replication",
            name=here.of("replication", kind="role"),
            assume_role_policy=self.json(policies.document(policies.trusted_service(here, "s3"))),
            opts=self.own(),
        )
        statements = policies.replication(here, self.args.key_arn, names.bucket("evidence"), key.arn)
        aws.iam.RolePolicy(
            "replication",
            role=role.name,
            name="copy",
            policy=self.json(policies.document(statements)),
            opts=self.own(),
        )
        return role
