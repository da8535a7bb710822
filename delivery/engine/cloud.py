"""Which AWS an environment means, and the variables that make every client of ours reach exactly that one."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from delivery.engine.errors import RefusedError
from delivery.local import LocalCloud
from stacks.settings import Settings

ENDPOINT = "AWS_ENDPOINT_URL"
OWN = "SLIPWAY_{}_"  # before a variable of AWS: that environment's own, where two are reached at once
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
# What could lead a client of the embedded AWS to a real account.
REAL = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONFIG_FILE")


MAKING = threading.Lock()  # a session makes one client at a time; clients themselves may be shared


@dataclass(frozen=True)
class Cloud:
    """An account in a region, and how to speak to it."""

    account: str
    region: str
    url: str | None
    variables: Mapping[str, str]

    @cached_property
    def session(self) -> Any:
        """A boto3 session with this cloud's credentials; its clients share what takes long to load."""
        import boto3.session

        return boto3.session.Session(
            region_name=self.region,
            profile_name=self.variables.get("AWS_PROFILE"),
            aws_access_key_id=self.variables.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=self.variables.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=self.variables.get("AWS_SESSION_TOKEN"),
        )

    @cached_property
    def clients(self) -> dict[str, Any]:
        """The boto3 clients made so far, by service."""
        return {}

    def client(self, service: str) -> Any:
        """A boto3 client that reaches this cloud and no other; making one takes longer than most it is asked."""
        with MAKING:
            if service not in self.clients:
                self.clients[service] = self._made(service)
            return self.clients[service]

    def _made(self, service: str) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": "path"} if self.url else {},
            connect_timeout=10,
            read_timeout=60,
        )
        make: Any = self.session.client  # typed per service by literal names; ours come as text
        return make(service, endpoint_url=self.url, config=config)


def local_cloud(root: Path) -> LocalCloud:
    return LocalCloud(root / ".slipway" / "local", root)


def reach(settings: Settings, root: Path) -> Cloud:
    """The cloud of an environment; the embedded one is started when it does not run."""
    if settings.cloud == "embedded":
        given = os.environ.get(ENDPOINT)
        return embedded(settings, given or local_cloud(root).start().url)
    if os.environ.get(ENDPOINT):
        raise RefusedError(
            f"environment '{settings.environment}' is on AWS, but {ENDPOINT} is set to {os.environ[ENDPOINT]}: "
            f"its changes would go there. Unset {ENDPOINT}, or use an environment whose settings say cloud: embedded."
        )
    return Cloud(settings.account, settings.region, None, {"AWS_REGION": settings.region, **own(settings.environment)})


def own(environment: str) -> dict[str, str]:
    """The credentials that are this environment's alone; none where one set is for all."""
    prefix = OWN.format(environment.upper())
    return {name: os.environ[prefix + name] for name in CREDENTIALS if os.environ.get(prefix + name)}


def embedded(settings: Settings, url: str) -> Cloud:
    if not url.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise RefusedError(
            f"{ENDPOINT} is {url}: the embedded AWS answers on this machine only. Unset it, and it is found by itself."
        )
    variables = {
        ENDPOINT: url,
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": settings.account,  # the embedded AWS takes a key of twelve digits for the account itself
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return Cloud(settings.account, settings.region, url, variables)


def process_environment(cloud: Cloud) -> dict[str, str]:
    """The variables of a child process that must reach this cloud."""
    has_own = not set(CREDENTIALS).isdisjoint(cloud.variables)
    left_out = REAL if cloud.url is not None else CREDENTIALS if has_own else ()
    inherited = {key: value for key, value in os.environ.items() if key not in left_out}
    return inherited | dict(cloud.variables)
