"""Bucket policies with their conditions, in place of moto's reading of them.

moto looks at Effect, Action and Resource and takes every Deny for granted, so the usual statement that refuses plain
HTTP would refuse everything. The URL here stands for AWS's own, so `aws:SecureTransport` is true.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from localaws.conditions import holds
from localaws.gateway import Application, Environ

_here = threading.local()  # the request that this thread answers: moto does not pass it down


def install(application: Application) -> Application:
    """Let moto decide bucket policies our way, for requests that come through `application`."""
    from moto.s3.models import FakeBucket

    FakeBucket.get_permission = _permission  # type: ignore[method-assign]

    def remembering(environ: Environ, start_response: Any) -> Any:
        _here.environ = environ
        return application(environ, start_response)

    return remembering


def _permission(bucket: Any, action: str, resource: str) -> Any:
    from moto.iam.access_control import PermissionResult

    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    context = context_of(getattr(_here, "environ", {}), bucket.account_id)
    return PermissionResult[decide(json.loads(bucket.policy), action, resource, context)]


def context_of(environ: Environ, account: str) -> dict[str, str]:
    """The condition keys of an S3 request."""
    context = {
        "aws:SecureTransport": "true",
        "aws:SourceIp": environ.get("REMOTE_ADDR", "127.0.0.1"),
        "aws:PrincipalAccount": account,
        "aws:ResourceAccount": account,
        "aws:PrincipalArn": f"arn:aws:iam::{account}:root",
        "s3:TlsVersion": "1.3",
        "s3:ResourceAccount": account,
    }
    for name in ("server-side-encryption", "server-side-encryption-aws-kms-key-id", "acl", "storage-class"):
        header = f"HTTP_X_AMZ_{name.upper().replace('-', '_')}"
        if header in environ:
            context[f"s3:x-amz-{name}"] = environ[header]
    return context


def decide(policy: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> str:
    """DENIED when a Deny applies, else PERMITTED when an Allow does, else NEUTRAL."""
    statements = policy.get("Statement", [])
    statements = [statements] if isinstance(statements, Mapping) else statements
    effects = {statement["Effect"] for statement in statements if _applies(statement, action, resource, context)}
    return "DENIED" if "Deny" in effects else "PERMITTED" if "Allow" in effects else "NEUTRAL"


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    return (
        _matches(statement, "Action", action)
        and _matches(statement, "Resource", resource)
        and _concerns(statement.get("Principal", "*"), context)
        and holds(statement.get("Condition", {}), context)
    )


def _matches(statement: Mapping[str, Any], element: str, value: str) -> bool:
    negated = statement.get(f"Not{element}")
    patterns = statement.get(element, "*") if negated is None else negated
    listed = [patterns] if isinstance(patterns, str) else patterns
    found = any(holds({"StringLike": {"it": pattern}}, {"it": value}) for pattern in listed)
    return found != (negated is not None)


def _concerns(principal: Any, context: Mapping[str, str]) -> bool:
    """Everybody, or the caller's own account; single users and services are told apart only where IAM is enforced."""
    if principal == "*":
        return True
    named = principal.get("AWS", []) if isinstance(principal, Mapping) else []
    named = [named] if isinstance(named, str) else named
    account = context["aws:PrincipalAccount"]
    return any(item in {"*", account, f"arn:aws:iam::{account}:root"} for item in named)
