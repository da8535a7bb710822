"""Clients for the embedded AWS's own side effects (objects, logs, metrics, events): always through its own URL.

So an S3 that is somebody else's (LocalStack, a remote moto) is used the same way as the one in this process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

SECRET = "local"  # noqa: S105  signatures are not checked


@dataclass(frozen=True)
class Keys:
    """What a client signs with."""

    access_key: str
    secret: str = SECRET
    token: str | None = None


class Clients:
    """boto3 clients by service, account, region and role, made once each.

    Where permissions are enforced, what is done for a role is done with a session of it, so a role that lacks a
    permission fails; elsewhere everything is done with the account's own key.
    """

    def __init__(self, url: str, *, enforce_iam: bool = False) -> None:
        self.url = url
        self._enforced = enforce_iam
        self._made: dict[tuple[str, str, str, str | None], Any] = {}
        self._sessions: dict[str, Keys] = {}
        self._lock = threading.RLock()  # boto3's client factory is not safe to share between threads

    def get(self, service: str, account: str, region: str, role: str | None = None) -> Any:
        """A client for one account and region; `role` is the ARN of the role that it acts as."""
        key = (service, account, region, (role or None) if self._enforced else None)
        client = self._made.get(key)
        if client is None:
            with self._lock:
                client = self._made.get(key) or self._made.setdefault(key, self._make(*key))
        return client

    def keys(self, account: str, region: str, role: str | None) -> Keys:
        """The role's session where permissions are enforced; else keys that only say which account this is."""
        if not self._enforced or not role:
            return Keys(account)
        with self._lock:
            found = self._sessions.get(role)
            if found is None:
                sts = self.get("sts", account, region)
                given = sts.assume_role(RoleArn=role, RoleSessionName="SageMaker")["Credentials"]
                found = Keys(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
                self._sessions[role] = found
            return found

    def _make(self, service: str, account: str, region: str, role: str | None) -> Any:
        keys = self.keys(account, region, role)
        session = boto3.session.Session(keys.access_key, keys.secret, keys.token, region_name=region)
        make: Callable[..., Any] = session.client
        config = Config(
            s3={"addressing_style": "path"},
            retries={"max_attempts": 2},
            max_pool_connections=32,
            parameter_validation=False,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return make(service, endpoint_url=self.url, config=config)
