"""With a state folder a server that is killed at any moment comes back with everything it had acknowledged."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config

ROOT = Path(__file__).parent.parent.parent
IMAGES = Path(__file__).parent / "images"
ROLE = "arn:aws:iam::123456789012:role/keeper"
MOMENTS = int(os.environ.get("SLIPWAY_KILLS", "3"))


class Life:
    """One life of a server on a state folder."""

    def __init__(self, folder: Path) -> None:
        self.ready = folder / "ready.json"
        self.ready.unlink(missing_ok=True)
        options = {
            "--containers": IMAGES,
            "--interpreter": sys.executable,
            "--backend": "process",
            "--state": folder / "state",
            "--work": folder / "work",
            "--ready-file": self.ready,
        }
        command = [sys.executable, "-m", "localaws", *(str(word) for pair in options.items() for word in pair)]
        with (folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not self.ready.exists() and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(0.02)
        assert self.ready.exists(), (folder / "server.log").read_text()[-3000:]
        self.url = json.loads(self.ready.read_text())["url"]

    def client(self, service: str) -> Any:
        build: Any = boto3.client
        return build(
            service,
            endpoint_url=self.url,
            region_name="eu-west-1",
            aws_access_key_id="123456789012",
            aws_secret_access_key="local",
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
        )

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "state").mkdir()
    yield tmp_path
    with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
        psutil.Process(json.loads((tmp_path / "ready.json").read_text())["pid"]).kill()


class Writer:
    """Creates things until the server dies, and remembers what was acknowledged."""

    def __init__(self) -> None:
        self.models: dict[str, str] = {}
        self.objects: dict[str, bytes] = {}
        self.roles: dict[str, str] = {}
        self._count = 0

    def since(self, first: int) -> Writer:
        """What was acknowledged after the first so many."""
        part = Writer()
        part.models = {name: arn for name, arn in self.models.items() if name > _name(first)}
        part.objects = {name: body for name, body in self.objects.items() if name > _name(first)}
        part.roles = {name: identity for name, identity in self.roles.items() if name > _name(first)}
        return part

    def write(self, life: Life) -> None:
        sagemaker, s3, iam = (life.client(name) for name in ("sagemaker", "s3", "iam"))
        with contextlib.suppress(Exception):  # the server is killed in the middle of something
            while True:
                self._count += 1
                name = _name(self._count)
                made = sagemaker.create_model(
                    ModelName=name,
                    ExecutionRoleArn=ROLE,
                    PrimaryContainer={"Image": "echo"},
                    Tags=[{"Key": "n", "Value": name}],
                )
                self.models[name] = made["ModelArn"]
                s3.put_object(Bucket="kept", Key=name, Body=name.encode())
                self.objects[name] = name.encode()
                role = iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]
                self.roles[name] = role["RoleId"]

    def check(self, life: Life) -> None:
        sagemaker, s3, iam = (life.client(name) for name in ("sagemaker", "s3", "iam"))
        for name, arn in self.models.items():
            assert sagemaker.describe_model(ModelName=name)["ModelArn"] == arn
            assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "n", "Value": name}]
        for key, body in self.objects.items():
            assert s3.get_object(Bucket="kept", Key=key)["Body"].read() == body
        for name, identity in self.roles.items():
            assert iam.get_role(RoleName=name)["Role"]["RoleId"] == identity


def _name(number: int) -> str:
    return f"thing-{number:05d}"


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(folder: Path) -> None:
    moments = random.Random(7)
    writer = Writer()
    life = Life(folder)
    life.client("s3").create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for _ in range(MOMENTS):
        thread = threading.Thread(target=writer.write, args=(life,))
        thread.start()
        seen, enough = len(writer.models), moments.randint(1, 20)
        until(lambda: len(writer.models) >= seen + enough)  # noqa: B023  asked before the next round
        thread.join(moments.uniform(0, 0.02))  # somewhere within a request
        life.kill()
        thread.join()
        for name in ("resources.sqlite", "behind.sqlite"):
            with contextlib.closing(sqlite3.connect(folder / "state" / name)) as file:
                assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        life = Life(folder)
        writer.since(seen).check(life)
    assert len(writer.models) >= MOMENTS
    writer.check(life)
    life.kill()


def test_a_job_whose_server_was_killed_has_lost_its_host_and_its_process(folder: Path) -> None:
    life = Life(folder)
    s3, sagemaker = life.client("s3"), life.client("sagemaker")
    s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    sagemaker.create_training_job(
        TrainingJobName="long",
        RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": "trainer:1", "TrainingInputMode": "File"},
        HyperParameters={"wait": "600"},
        OutputDataConfig={"S3OutputPath": "s3://kept/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 900},
    )
    until(lambda: any("trainer" in child.cmdline() for child in life.children()))
    children = life.children()
    life.kill()
    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    life = Life(folder)
    job = life.client("sagemaker").describe_training_job(TrainingJobName="long")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("InternalServerError")
    life.kill()


def test_it_ends_in_order_whichever_of_its_threads_the_signal_reaches(folder: Path) -> None:
    life = Life(folder)
    pid = life.process.pid
    other = next(thread.id for thread in psutil.Process(pid).threads() if thread.id != pid)
    assert ctypes.CDLL(None).tgkill(pid, other, signal.SIGTERM) == 0
    assert life.process.wait(timeout=30) == 0


def until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.NoSuchProcess):
            if condition():
                return
        time.sleep(0.02)
    raise AssertionError("it did not come")
