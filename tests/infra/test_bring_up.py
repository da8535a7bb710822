"""A whole environment, by the real Terraform and the real provider, on the embedded AWS: up, in use, changed, down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from contract.release import Package, Release, Releases, Rollout, Variant
from delivery.engine import machine
from delivery.engine.cloud import Cloud, reach
from delivery.engine.engine import Brought, left_behind, opened, up
from delivery.engine.events import Event, Finished
from delivery.engine.recover import recover
from delivery.engine.with_terraform import WithTerraform
from delivery.local import alive, until
from stacks.forms import declared_configurations
from stacks.settings import KEY, ROOT, load

pytestmark = [
    pytest.mark.terraform,
    pytest.mark.skipif(
        machine.terraform() is None or machine.mirror() is None,
        reason=f"needs terraform on PATH and the AWS provider in a mirror ({machine.MIRROR})",
    ),
]

ENDPOINT = "slipway-local-churn"
AT_ONCE = Rollout("all-at-once", bake_seconds=0)

SERVER = """
import http.server, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    do_GET = do_POST = answer
    def log_message(self, *_): pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest thing that serves."""
    root = tmp_path_factory.mktemp("containers")
    (root / "inference").mkdir()
    (root / "inference" / "__init__.py").touch()
    (root / "inference" / "__main__.py").write_text(SERVER)
    (root / "inference" / "Dockerfile").write_text('FROM scratch\nENTRYPOINT ["python", "-m", "inference"]\n')
    return root


@pytest.fixture(scope="module")
def url(containers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded AWS of this module's own."""
    folder = tmp_path_factory.mktemp("localaws")
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "localaws", "--port", "0", "--containers", str(containers)]
    command += ["--interpreter", sys.executable, "--ready-file", str(ready), "--work", str(folder / "work")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    assert until(ready.exists, 60)
    yield json.loads(ready.read_text())["url"]
    process.terminate()
    process.wait(timeout=30)
    assert not alive(process.pid)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[Path]:
    """A checkout of its own: one environment, whose settings are those of local."""
    folder = tmp_path_factory.mktemp("checkout")
    settings = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())
    settings["config"][KEY]["models"]["churn"]["serving"]["scaling"] = {"least": 1, "most": 2}
    (folder / "Pulumi.local.yaml").write_text(yaml.safe_dump(settings))
    (folder / "releases").mkdir()
    before = os.environ.get("AWS_ENDPOINT_URL")
    os.environ["AWS_ENDPOINT_URL"] = url
    yield folder
    if before is None:
        del os.environ["AWS_ENDPOINT_URL"]
    else:
        os.environ["AWS_ENDPOINT_URL"] = before


@pytest.fixture(scope="module")
def cloud(root: Path) -> Cloud:
    return reach(load("local", root), root)


@pytest.fixture(scope="module")
def package(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Package]:
    """Two artifacts in a bucket that is there before the environment is."""
    folder = tmp_path_factory.mktemp("artifacts")
    client = cloud.client("s3")
    client.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": cloud.region})
    names = load("local").names

    def make(version: int) -> Package:
        archive = folder / f"{version}.tar.gz"
        (folder / "note.txt").write_text(str(version))
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(folder / "note.txt", "note.txt")
        client.upload_file(str(archive), "models", f"{version}/model.tar.gz")
        return Package(
            version=version,
            arn=names.arn("sagemaker", f"model-package/{names.package_group('churn')}/{version}"),
            image=names.image("inference", "sha256:" + "0" * 64),
            artifact=f"s3://models/{version}/model.tar.gz",
            artifact_hash=f"{version:064x}",
            evidence="none",
        )

    return make


def release(root: Path, given: Release) -> None:
    (root / "releases" / "local.yaml").write_text(yaml.safe_dump(Releases({"churn": given}).to_json()))


def quiet() -> Console:
    return Console(quiet=True)


def changes(root: Path) -> list[str]:
    return [f"{each.verb} {each.address}" for each in WithTerraform().preview("local", root, quiet()).plan.changes]


def described(cloud: Cloud) -> Any:
    return cloud.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)


def serving(cloud: Cloud) -> str:
    return str(described(cloud)["EndpointConfigName"])


def in_service(cloud: Cloud) -> bool:
    return described(cloud)["EndpointStatus"] == "InService"


def weights(cloud: Cloud) -> dict[str, float]:
    return {each["VariantName"]: round(each["CurrentWeight"], 6) for each in described(cloud)["ProductionVariants"]}


def declared(root: Path) -> dict[str, str]:
    return declared_configurations(load("local", root), root)


@pytest.fixture(scope="module")
def brought(root: Path, package: Callable[[int], Package]) -> Brought:
    """Everything up, an experiment running."""
    variants = (Variant("champion", package(1), 0.8, 1), Variant("challenger", package(2), 0.2, 1))
    release(root, Release("experiment", variants, AT_ONCE, experiment="v2"))
    return WithTerraform().up("local", root, quiet())


def test_up_makes_everything_with_the_weights_of_the_release(brought: Brought, root: Path, cloud: Cloud) -> None:
    assert brought.plan.count("create") > 90
    assert brought.warnings == ()
    assert serving(cloud) == declared(root)["churn"]
    assert weights(cloud) == {"champion": 0.8, "challenger": 0.2}


def test_after_a_traffic_and_a_capacity_move_nothing_is_to_do(brought: Brought, root: Path, cloud: Cloud) -> None:
    client = cloud.client("sagemaker")
    move = {"VariantName": "champion", "DesiredWeight": 0.37, "DesiredInstanceCount": 2}
    client.update_endpoint_weights_and_capacities(EndpointName=ENDPOINT, DesiredWeightsAndCapacities=[move])
    assert until(lambda: in_service(cloud), 60)
    assert changes(root) == []


def test_an_interrupted_create_is_adopted(brought: Brought, root: Path) -> None:
    """What a kill between the answer and the state leaves: made, and not remembered."""
    lost = ["aws_iam_role.monitoring", "aws_kms_alias.key", "aws_sagemaker_pipeline.churn-train", "aws_s3_bucket.data"]
    opened("local", root).terraform.forget(lost)
    lines = recover("local", root)
    assert sorted(line.split()[1] for line in lines if line.startswith("adopted")) == sorted(lost)


def test_a_new_champion_is_served_before_the_old_configuration_goes(
    brought: Brought, root: Path, cloud: Cloud, package: Callable[[int], Package]
) -> None:
    """The endpoint never stands on a configuration that is gone."""
    before = f"aws_sagemaker_endpoint_configuration.churn-{serving(cloud).rpartition('-')[2]}"
    release(root, Release("steady", (Variant("champion", package(2), 1.0, 1),), AT_ONCE))
    seen: list[Event] = []
    again = up("local", root, applying=lambda _: seen.append)
    done = [(each.verb, each.address) for each in seen if isinstance(each, Finished)]
    assert done.index(("delete", before)) > done.index(("update", "aws_sagemaker_endpoint.churn"))
    assert serving(cloud) == declared(root)["churn"]
    assert left_behind(cloud, again.outputs, declared(root)) == []


def test_an_endpoint_that_serves_another_configuration_is_reported(brought: Brought, cloud: Cloud) -> None:
    """As after a rollback by alarm: declared is one, serving is another."""
    told = left_behind(cloud, brought.outputs, {"churn": "slipway-local-churn-declared"})
    assert len(told) == 1
    assert "rolled back" in told[0]


def test_down_leaves_nothing(brought: Brought, root: Path, cloud: Cloud) -> None:
    WithTerraform().down("local", root, quiet())
    state = root / ".slipway" / "local" / "terraform" / "terraform.tfstate"
    assert json.loads(state.read_text())["resources"] == []
    assert [each["Name"] for each in cloud.client("s3").list_buckets()["Buckets"]] == ["models"]
    assert cloud.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert cloud.client("sagemaker").list_models()["Models"] == []
    assert cloud.client("iam").list_roles()["Roles"] == []
