"""Clients for the embedded AWS's own side effects (objects, logs, metrics, events): always through its own URL.

So an S3 that is somebody else's (LocalStack, a remote moto) is used the same way as the one in this process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

SECRET = "local"  # noqa: S105  signatures are not checked


class Clients:
    """boto3 clients by service, account and region, made once each."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._made: dict[tuple[str, str, str], Any] = {}
        self._lock = threading.Lock()  # boto3's client factory is not safe to share between threads

    def get(self, service: str, account: str, region: str) -> Any:
        key = (service, account, region)
        client = self._made.get(key)
        if client is None:
            with self._lock:
                client = self._made.get(key) or self._made.setdefault(key, self._make(*key))
        return client

    def _make(self, service: str, account: str, region: str) -> Any:
        session = boto3.session.Session(account, SECRET, region_name=region)
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
