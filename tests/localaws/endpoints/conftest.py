"""An embedded AWS with models to serve, and what tests do with it, in few words."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
from botocore.exceptions import ClientError

from localaws.app import App

Make = Callable[..., Any]


def until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def archive(**files: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


class Traffic:
    """Requests without a pause from a few threads, from entering the context to leaving it."""

    def __init__(self, ask: Callable[[], dict[str, Any]], threads: int = 3) -> None:
        self._ask = ask
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        self.answers: list[dict[str, Any]] = []
        self.failures: list[Exception] = []

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.answers.append(self._ask())
            except Exception as error:  # noqa: BLE001  every failure counts
                self.failures.append(error)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


class World:
    """What tests do with the API, in few words."""

    def __init__(self, app: App, client: Make) -> None:
        self.app, self.client = app, client
        self.sm, self.runtime, self.s3 = client("sagemaker"), client("sagemaker-runtime"), client("s3")
        self.cloudwatch = client("cloudwatch")
        self.until = until

    def prepare(self) -> World:
        """A bucket with a model in it, and two models named by their version."""
        self.bucket("models")
        self.s3.put_object(Bucket="models", Key="model.tar.gz", Body=archive(name="the model"))
        for version in ("one", "two"):
            self.model(version)
        return self

    def bucket(self, name: str) -> None:
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def model(self, name: str, **environment: str) -> str:
        container = {
            "Image": "1.dkr.ecr.eu-west-1.amazonaws.com/slipway/echo:1",
            "ModelDataUrl": "s3://models/model.tar.gz",
            "Environment": {"VERSION": name, **environment},
        }
        self.sm.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        return name

    def config(self, name: str, variants: dict[str, tuple[str, float, int]], **more: Any) -> str:
        self.sm.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[variant(v, *what) for v, what in variants.items()],
            **more,
        )
        return name

    def endpoint(self, name: str, config: str, **more: Any) -> str:
        self.sm.create_endpoint(EndpointName=name, EndpointConfigName=config, **more)
        return name

    def up(self, name: str, variants: dict[str, tuple[str, float, int]], **more: Any) -> str:
        self.endpoint(name, self.config(f"{name}-config", variants, **more))
        self.settled(name)
        return name

    def settled(self, name: str) -> dict[str, Any]:
        busy = {"Creating", "Updating", "RollingBack", "SystemUpdating"}
        assert until(lambda: self.describe(name)["EndpointStatus"] not in busy), self.describe(name)
        return self.describe(name)

    def describe(self, name: str) -> dict[str, Any]:
        return self.sm.describe_endpoint(EndpointName=name)

    def gone(self, name: str) -> bool:
        def check() -> bool:
            try:
                self.describe(name)
            except ClientError as error:
                return "Could not find endpoint" in str(error)
            return False

        return until(check)

    def down(self, name: str) -> None:
        self.sm.delete_endpoint(EndpointName=name)
        assert self.gone(name)

    def update(self, name: str, config: str, **more: Any) -> None:
        self.sm.update_endpoint(EndpointName=name, EndpointConfigName=config, **more)

    def statistic(self, name: str, endpoint: str, variant: str, stat: str = "Sum", **more: str) -> float:
        dimensions = {"EndpointName": endpoint, "VariantName": variant, **more}
        now = self.app.plane.clock.now()
        points = self.cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=now - 3600,
            EndTime=now + 60,
            Period=3600,
            Statistics=[stat],
        )["Datapoints"]
        return sum(point[stat] for point in points)

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        listed = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
        return {o["Key"]: self.s3.get_object(Bucket=bucket, Key=o["Key"])["Body"].read() for o in listed}

    def traffic(self, name: str, **wishes: Any) -> Traffic:
        return Traffic(lambda: self.ask(name, dict(wishes)))

    def ask(self, name: str, wishes: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        body = json.dumps(wishes or {})
        answer = self.runtime.invoke_endpoint(EndpointName=name, Body=body, ContentType="application/json", **more)
        said: dict[str, Any] = json.loads(answer["Body"].read())
        return said | {"variant": answer.get("InvokedProductionVariant"), "answer": answer}

    def pids(self, name: str) -> list[int]:
        """Containers of this world with something in their environment; other tests of this machine have theirs."""
        found, own = [], str(self.app.plane.settings.work).encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                said = path.read_bytes()
                ours = own in said and f"{name}\0".encode() in said
                if ours and "echo" in (path.parent / "cmdline").read_text():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found


ROLE = "arn:aws:iam::123456789012:role/sagemaker"


def variant(name: str, model: str, weight: float = 1.0, count: int = 1) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InitialInstanceCount": count,
        "InstanceType": "ml.m5.large",
        "InitialVariantWeight": weight,
    }


@pytest.fixture(scope="module")
def make_world() -> Callable[[App, Make], World]:
    """A world on an embedded AWS that the test started itself."""
    return World


@pytest.fixture(scope="module")
def world(app: App, client: Make) -> World:
    return World(app, client)
