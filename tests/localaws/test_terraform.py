"""The real Terraform binary with the real AWS provider: every type of resource the platform needs, its whole life."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from delivery.engine.machine import cli_config
from delivery.engine.terraform import SELDOM
from localaws.app import App

ROOT = Path(__file__).parent.parent.parent
PROGRAM = Path(__file__).parent / "terraform" / "main.tf"
AS_READ = "-refresh=false"  # the plan right before has read everything
EVERYTHING = os.environ.get("SLIPWAY_TF_EVERYTHING", "")  # any value: also what the provider waits long for


class Terraform:
    """One folder with the program, its state, and a URL."""

    def __init__(self, folder: Path, url: str, config: Path) -> None:
        self.folder = folder
        shutil.copy(PROGRAM, folder)
        (folder / "model.tar.gz").write_bytes(archive())
        self.environment = os.environ | {
            "TF_CLI_CONFIG_FILE": str(config),
            "TF_IN_AUTOMATION": "1",
            "GOGC": SELDOM,
            "TF_VAR_url": url,
            "TF_VAR_everything": "true" if EVERYTHING else "false",
        }

    def run(self, *arguments: str, release: str = "one") -> tuple[int, str]:
        result = subprocess.run(
            ["terraform", *arguments, "-no-color"],
            cwd=self.folder,
            env=self.environment | {"TF_VAR_release": release},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        return result.returncode, result.stdout + result.stderr

    def apply(self, release: str, *more: str) -> None:
        code, text = self.run("apply", "-auto-approve", "-parallelism=20", *more, release=release)
        assert code == 0, text[-3000:]

    def plan_is_empty(self, release: str) -> bool:
        code, text = self.run("plan", "-detailed-exitcode", release=release)
        assert code == 0, text[-3000:]
        return "No changes" in text


def archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("empty"))
    return packed.getvalue()


@pytest.fixture
def terraform(app: App, tmp_path: Path) -> Terraform:
    config = cli_config(tmp_path / "config")
    if shutil.which("terraform") is None or config is None:
        pytest.skip("needs terraform and a mirror of the AWS provider (SLIPWAY_TF_MIRROR)")
    folder = tmp_path / "program"
    folder.mkdir()
    terraform = Terraform(folder, app.url, config)
    code, text = terraform.run("init", "-input=false")
    assert code == 0, text
    return terraform


class Load:
    """Requests to the endpoint, one after the other, until told to stop."""

    def __init__(self, runtime: Any) -> None:
        self.versions: set[str] = set()
        self.failures: list[str] = []
        self._runtime = runtime
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._runtime.invoke_endpoint(EndpointName="harbour", ContentType="text/csv", Body=b"1,2")
                self.versions.add(json.loads(answer["Body"].read())["version"])
            except Exception as error:  # noqa: BLE001  every kind of failure counts
                self.failures.append(str(error))
            self._stop.wait(0.05)


@pytest.mark.long
@pytest.mark.terraform
def test_the_platform_is_applied_updated_under_load_and_destroyed(
    terraform: Terraform, app: App, client: Callable[..., Any]
) -> None:
    terraform.apply("one")
    assert terraform.plan_is_empty("one")
    with Load(client("sagemaker-runtime")) as load:
        terraform.apply("two", AS_READ)
    assert load.failures == []
    assert load.versions == {"one", "two"}
    assert terraform.plan_is_empty("two")
    terraform.apply("two", AS_READ, "-destroy")
    assert terraform.run("state", "list")[1].strip() == ""
    assert what_is_left(app, client) == {}
    assert app.plane.runner.names() == []


KEPT_BY_AWS = {"alarm-history"}  # for a month


def what_is_left(app: App, client: Callable[..., Any]) -> dict[str, Any]:
    """Every resource that somebody made, by where it was found; what AWS itself keeps for a while is not counted."""
    ours = [
        row.arn
        for scope in app.plane.store.scopes()
        for (account, region, kind) in list(app.plane.store._kinds)
        if (account, region) == (scope.account, scope.region)
        for row in scope.all(kind)
        if kind not in KEPT_BY_AWS
        and row.name not in {"default", "default/default"}  # a bus and a group of schedules that every account has
    ]
    ec2, iam, kms = client("ec2"), client("iam"), client("kms")
    aliases = kms.list_aliases()["Aliases"]
    by_aws = {alias.get("TargetKeyId") for alias in aliases if alias["AliasName"].startswith("alias/aws/")}
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    found = {
        "ours": ours,
        "buckets": client("s3").list_buckets()["Buckets"],
        "topics": client("sns").list_topics()["Topics"],
        "queues": client("sqs").list_queues().get("QueueUrls", []),
        "repositories": client("ecr").describe_repositories()["repositories"],
        "secrets": client("secretsmanager").list_secrets()["SecretList"],
        "parameters": client("ssm").describe_parameters()["Parameters"],
        "trails": client("cloudtrail").describe_trails()["trailList"],
        "log groups": client("logs").describe_log_groups(logGroupNamePrefix="/harbour")["logGroups"],
        "networks": [vpc for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]],
        "endpoints": [each for each in ec2.describe_vpc_endpoints()["VpcEndpoints"] if each["State"] == "available"],
        "roles": iam.list_roles()["Roles"],
        "policies": iam.list_policies(Scope="Local")["Policies"],
        "identity providers": iam.list_open_id_connect_providers()["OpenIDConnectProviderList"],
        "keys": [key for key in keys if key["KeyState"] != "PendingDeletion" and key["KeyId"] not in by_aws],
        "aliases": [alias for alias in aliases if not alias["AliasName"].startswith("alias/aws/")],
    }
    return {where: left for where, left in found.items() if left}


def test_the_program_has_every_type_that_the_platform_declares() -> None:
    declared = platform_types()
    assert declared - set(re.findall(r'^resource "(\w+)"', PROGRAM.read_text(), re.MULTILINE)) == set()
    assert len(declared) > 40


def platform_types() -> set[str]:
    """What the environment that uses the most declares, as `slipway synth` writes it."""
    command = [sys.executable, "-m", "delivery.cli", "synth", "prod"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(json.loads(said[said.index("{") :])["resource"])
