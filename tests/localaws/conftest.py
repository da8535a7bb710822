"""An embedded AWS of its own for each test module, and clients that are pointed at it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from localaws.app import App, start
from localaws.plane import Settings

IMAGES = Path(__file__).parent / "images"


def made_settings(work: Path, **more: Any) -> Settings:
    return Settings(containers=IMAGES, work=work, interpreter=sys.executable, backend="process", **more)


@pytest.fixture(scope="session")
def settings() -> Callable[..., Settings]:
    """Settings for a work folder: containers are those of the tests, run by this Python."""
    return made_settings


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    running = start(made_settings(tmp_path_factory.mktemp("work")))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def clients() -> Callable[[App], Callable[..., Any]]:
    """Makes boto3 clients that are pointed at an embedded AWS."""

    def of(app: App) -> Callable[..., Any]:
        def make(service: str, *, account: str = "123456789012", region: str = "eu-west-1") -> Any:
            build: Callable[..., Any] = boto3.client
            return build(
                service,
                endpoint_url=app.url,
                region_name=region,
                aws_access_key_id=account,
                aws_secret_access_key="local",
                config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
            )

        return make

    return of


@pytest.fixture(scope="module")
def client(app: App, clients: Callable[[App], Callable[..., Any]]) -> Callable[..., Any]:
    return clients(app)
