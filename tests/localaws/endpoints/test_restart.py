"""An endpoint outlives the server: killed at any moment and started again, it serves what was acknowledged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

World = Any  # the fixture of conftest.py
IMAGES = Path(__file__).parent.parent / "images"


class Servers:
    """One embedded AWS after another on the same state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Any:
        program = [sys.executable, "-m", "localaws", "--containers", str(IMAGES), "--interpreter", sys.executable]
        program += ["--backend", "process", "--state", str(self.folder / "state"), "--work", str(self.folder / "work")]
        self._process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        url = self._process.stdout.readline().strip()

        def client(service: str) -> Any:
            build: Callable[..., Any] = boto3.client
            return build(
                service,
                endpoint_url=url,
                region_name="eu-west-1",
                aws_access_key_id="123456789012",
                aws_secret_access_key="local",
            )

        return client

    def seen(self) -> SimpleNamespace:
        """As much of a server in this process as a world looks at."""
        return SimpleNamespace(plane=SimpleNamespace(settings=SimpleNamespace(work=self.folder / "work")))

    def kill(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.communicate(timeout=30)


def model(world: World, name: str) -> None:
    """Without model data: the buckets of this server are not kept."""
    world.sm.create_model(
        ModelName=name,
        PrimaryContainer={"Image": "echo", "Environment": {"VERSION": name}},
        ExecutionRoleArn="arn:aws:iam::123456789012:role/sagemaker",
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, make_world: Callable[..., World]) -> Iterator[World]:
    """The second server's world, after the first was killed with its hands full."""
    servers = Servers(tmp_path_factory.mktemp("servers"))
    first = make_world(servers.seen(), servers.start())
    for name in ("kept-1", "kept-2", "old", "new", "going", "patient"):
        model(first, name)
    first.config("old", {"a": ("old", 1, 1)})
    first.config("new", {"a": ("new", 1, 1)})
    first.endpoint("moving", "old")
    later = {"OutputConfig": {"S3OutputPath": "s3://results/out"}}
    first.endpoint("patient", first.config("patient", {"a": ("patient", 1, 1)}, AsyncInferenceConfig=later))
    first.endpoint("going", first.config("going", {"a": ("going", 1, 1)}))
    first.up("kept", {"a": ("kept-1", 1, 1), "b": ("kept-2", 1, 1)})
    for name in ("moving", "patient", "going"):
        first.settled(name)
    scale(first, "patient", a={"DesiredInstanceCount": 0})
    scale(first, "kept", a={"DesiredWeight": 0}, b={"DesiredWeight": 2, "DesiredInstanceCount": 2})
    first.runtime.invoke_endpoint_async(EndpointName="patient", Body=json.dumps({"answer": "at last"}))
    pids = [pid for version in ("kept-1", "kept-2", "old", "going") for pid in first.pids(f"VERSION={version}")]
    assert len(pids) == 5
    first.update("moving", "new")
    first.sm.delete_endpoint(EndpointName="going")
    servers.kill()
    assert first.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    made = make_world(servers.seen(), servers.start())
    made.bucket("results")
    yield made
    servers.stop()


def scale(world: World, name: str, **wishes: dict[str, float]) -> None:
    world.sm.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": v, **wish} for v, wish in wishes.items()]
    )
    world.settled(name)


def test_endpoints_come_back_with_their_live_weights_and_counts(world: World) -> None:
    assert world.ask("kept")["version"] == "kept-2"  # waits for it to come back
    described = world.settled("kept")
    assert described["EndpointStatus"] == "InService"
    a, b = described["ProductionVariants"]
    assert (a["CurrentWeight"], a["CurrentInstanceCount"]) == (0, 1)
    assert (b["CurrentWeight"], b["CurrentInstanceCount"]) == (2, 2)


def test_an_update_that_a_kill_interrupted_is_carried_out(world: World) -> None:
    assert world.ask("moving")["version"] in {"old", "new"}
    described = world.settled("moving")
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "new")
    assert world.ask("moving")["version"] == "new"
    assert len(world.pids("VERSION=new")) == 1
    assert world.pids("VERSION=old") == []


def test_a_deletion_that_a_kill_interrupted_is_finished(world: World) -> None:
    assert world.gone("going")
    assert world.pids("VERSION=going") == []


def test_accepted_asynchronous_requests_are_answered_after_a_restart(world: World) -> None:
    world.settled("patient")
    scale(world, "patient", a={"DesiredInstanceCount": 1})
    assert world.until(lambda: list(world.objects("results").values()) == [b"at last"])
