from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from contract.release import Package, Release, Releases, Rollout, Variant
from delivery.engine import machine
from delivery.engine.cloud import Cloud, embedded
from delivery.engine.convert import Synthesis, synthesise
from delivery.engine.recording import Recording, record
from delivery.engine.schema import outputs_of
from delivery.engine.terraform import SELDOM
from delivery.local import alive, until
from delivery.rules.plan import apart, prefix
from infra.names import Names
from stacks.platform import Platform
from stacks.settings import KEY, ROOT, Settings, load, parse

DIGEST = "sha256:" + "a" * 64
MINIMAL: Mapping[str, Any] = {
    "account": "123456789012",
    "region": "eu-west-1",
    "tags": {"owner": "tests", "cost_center": "1"},
    "images": {"training": DIGEST, "inference": DIGEST, "monitoring": DIGEST},
    "models": {"churn": {"family": "hist_gradient_boosting", "target": "churned"}},
}

Records = Callable[..., Recording]


@pytest.fixture(scope="session")
def minimal() -> Mapping[str, Any]:
    """The fewest settings an environment can have."""
    return json.loads(json.dumps(MINIMAL))


@pytest.fixture(scope="session")
def package() -> Callable[[int], Package]:
    def make(version: int) -> Package:
        return Package(
            version=version,
            arn=f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/slipway-test-churn/{version}",
            image=f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/slipway-test/inference@{DIGEST}",
            artifact=f"s3://slipway-test-artifacts-123456789012-eu-west-1/runs/churn/{version}/model.tar.gz",
            artifact_hash=f"{version:064x}",
            evidence=f"evidence/churn/{version}.json",
        )

    return make


@pytest.fixture(scope="session")
def steady(package: Callable[[int], Package]) -> Release:
    return Release("steady", (Variant("champion", package(1), 1.0, 2),))


@pytest.fixture(scope="session")
def experiment(package: Callable[[int], Package]) -> Release:
    variants = (Variant("champion", package(1), 0.8, 2), Variant("challenger", package(2), 0.2, 1))
    return Release("experiment", variants, Rollout("all-at-once"), experiment="v2-against-v1")


@pytest.fixture(scope="session")
def records() -> Records:
    """Record the platform of some settings and releases, as `slipway synth` would."""

    def make(settings: Settings, releases: Releases | None = None, *, preview: bool = False) -> Recording:
        def program() -> None:
            pulumi.export("platform", Platform(settings, releases or Releases()).outputs)

        return record(program, settings.environment, outputs_of, preview=preview)

    return make


@pytest.fixture(scope="session")
def everything(minimal: Mapping[str, Any]) -> Settings:
    """Every option on."""
    return parse(full(minimal), "test", "test")


def full(minimal: Mapping[str, Any]) -> dict[str, Any]:
    people = ("data-scientist", "operator", "approver", "auditor")
    return {
        **minimal,
        "protect": True,
        "storage": {"replica_region": "eu-central-1"},
        "network": {"kind": "create", "zones": 3},
        "identity": {
            "people": {who: ["arn:aws:iam::123456789012:role/sso"] for who in people},
            "github": {"repository": "an-organisation/slipway", "promotes_to": "prod"},
        },
        "images": {**minimal["images"], "pull_accounts": ["210987654321"]},
        "alerts": {"emails": ["team@example.com"], "pager": "https://pager.example.com/key"},
        "governance": {
            "budget": {"monthly_usd": 20000, "stops_training": True},
            "anomaly_usd": 100,
            "feature_groups": {
                "customers": {
                    "record_id": "id",
                    "features": {"id": "String", "event_time": "String", "age": "Integral"},
                }
            },
        },
        "tracking": {"kind": "server"},
        "models": {
            "churn": {
                "family": "hist_gradient_boosting",
                "target": "churned",
                "training": {"schedule": "cron(0 3 * * ? *)", "on_drift": True, "spot": True},
                "serving": {
                    "scaling": {
                        "least": 2,
                        "most": 4,
                        "schedule": {"night": {"at": "cron(0 22 * * ? *)", "least": 2, "most": 2}},
                    }
                },
            },
            "queue": {
                "family": "xgboost",
                "target": "price",
                "serving": {"form": "async", "scaling": {"least": 0, "most": 2}},
            },
            "small": {
                "family": "logistic_regression",
                "target": "clicked",
                "serving": {"form": "serverless", "isolated": False, "capture_percent": 0, "scaling": None},
                "monitor": None,
            },
        },
    }


@pytest.fixture(scope="session")
def served(package: Callable[[int], Package], experiment: Release, steady: Release) -> Releases:
    """An experiment, a steady release and a shadow, one for each form."""
    shadowed = Release("rolling", steady.variants, Rollout("linear", 20), shadow=Variant("shadow", package(3), 0.5, 1))
    return Releases({"churn": experiment, "queue": shadowed, "small": steady})


@pytest.fixture(scope="session")
def whole(records: Records, everything: Settings, served: Releases) -> Recording:
    """The platform with every option on and every model serving."""
    return records(everything, served)


@pytest.fixture(scope="session")
def document(whole: Recording) -> Mapping[str, Any]:
    return synthesise(whole).document


@pytest.fixture(scope="session")
def synthesises() -> Callable[[Recording], Synthesis]:
    return synthesise


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The files of a checkout that the platform program reads, to change at will."""
    for path in [*ROOT.glob("Pulumi*.yaml")]:
        shutil.copy(path, tmp_path)
    shutil.copytree(ROOT / "releases", tmp_path / "releases")
    return tmp_path


@pytest.fixture
def rewrites(repository: Path) -> Callable[[str, Callable[[dict[str, Any]], None]], None]:
    """Change an environment's settings file."""

    def rewrite(environment: str, change: Callable[[dict[str, Any]], None]) -> None:
        path = repository / f"Pulumi.{environment}.yaml"
        document = yaml.safe_load(path.read_text())
        change(document["config"][KEY])
        path.write_text(yaml.safe_dump(document))

    return rewrite


@pytest.fixture(scope="session")
def terraform() -> Callable[..., str]:
    """The real binary in a folder, with the provider of the mirror; its stdout."""

    def run(folder: Path, *arguments: str, **variables: str) -> str:
        own = {"TF_CLI_CONFIG_FILE": str(machine.cli_config(folder)), "CHECKPOINT_DISABLE": "1"}
        environment = own | {"PATH": os.environ["PATH"], "GOGC": SELDOM} | variables
        done = subprocess.run(
            ["terraform", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout

    return run


@pytest.fixture(scope="session")
def validates(terraform: Callable[..., str]) -> Callable[[Mapping[str, Any], Path], list[str]]:
    """What the real provider says against a document."""

    def refusals(document: Mapping[str, Any], folder: Path) -> list[str]:
        (folder / "main.tf.json").write_text(json.dumps(document))
        terraform(folder, "init", "-input=false")
        answer = json.loads(terraform(folder, "validate", "-json"))
        return [
            f"{each['summary']}: {each.get('detail')}" for each in answer["diagnostics"] if each["severity"] == "error"
        ]

    return refusals


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


@pytest.fixture(scope="session")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest thing that serves."""
    root = tmp_path_factory.mktemp("containers")
    (root / "inference").mkdir()
    (root / "inference" / "__init__.py").touch()
    (root / "inference" / "__main__.py").write_text(SERVER)
    (root / "inference" / "Dockerfile").write_text('FROM scratch\nENTRYPOINT ["python", "-m", "inference"]\n')
    return root


@pytest.fixture(scope="session")
def url(containers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded AWS of these tests' own; nothing of it is left afterwards."""
    folder = tmp_path_factory.mktemp("localaws")
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "localaws", "--port", "0", "--containers", str(containers)]
    command += ["--interpreter", sys.executable, "--ready-file", str(ready), "--work", str(folder / "work")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    assert until(ready.exists, 60)
    yield json.loads(ready.read_text())["url"]
    process.terminate()
    process.wait(timeout=300)  # what it started ends first, on a busy machine slowly
    assert not alive(process.pid)


@pytest.fixture(scope="session")
def artifact(url: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """Artifacts in a bucket that is there before any environment is."""
    folder = tmp_path_factory.mktemp("artifacts")
    cloud = embedded(load("local"), url)
    client = cloud.client("s3")
    client.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": cloud.region})

    def make(version: int) -> str:
        archive = folder / f"{version}.tar.gz"
        (folder / "note.txt").write_text(str(version))
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(folder / "note.txt", "note.txt")
        client.upload_file(str(archive), "models", f"{version}/model.tar.gz")
        return f"s3://models/{version}/model.tar.gz"

    return make


@pytest.fixture(scope="session")
def served_package(artifact: Callable[[int], str]) -> Callable[[Names, int], Package]:
    """A version that the embedded AWS can really serve."""

    def make(names: Names, version: int) -> Package:
        return Package(
            version=version,
            arn=names.arn("sagemaker", f"model-package/{names.package_group('churn')}/{version}"),
            image=names.image("inference", "sha256:" + "0" * 64),
            artifact=artifact(version),
            artifact_hash=f"{version:064x}",
            evidence="none",
        )

    return make


@pytest.fixture(scope="module")
def reached(url: str) -> Iterator[str]:
    """Environments of these tests stand on this embedded AWS."""
    before = os.environ.get("AWS_ENDPOINT_URL")
    os.environ["AWS_ENDPOINT_URL"] = url
    yield url
    if before is None:
        del os.environ["AWS_ENDPOINT_URL"]
    else:
        os.environ["AWS_ENDPOINT_URL"] = before


@pytest.fixture(scope="session")
def inventory() -> Callable[[Cloud, str], Counter[str]]:
    """Everything that stands in a cloud under a prefix, by kind and name: twice the same would show."""

    def look(cloud: Cloud, prefix: str) -> Counter[str]:
        found: Counter[str] = Counter()
        ours = re.compile(rf"{prefix}(?![a-z0-9])")
        for kind, names in standing(cloud):
            found.update(f"{kind} {name}" for name in names if ours.search(name))
        return found

    return look


COPIES = "eu-central-1"
IN_NETWORKS = {
    "describe_vpcs": "Vpcs",
    "describe_subnets": "Subnets",
    "describe_route_tables": "RouteTables",
    "describe_security_groups": "SecurityGroups",
    "describe_security_group_rules": "SecurityGroupRules",
    "describe_vpc_endpoints": "VpcEndpoints",
    "describe_flow_logs": "FlowLogs",
}


def standing(cloud: Cloud) -> Iterator[tuple[str, list[str]]]:
    """Kinds of resources, each with the names of all there are."""
    lists = {
        "bucket": ("s3", "list_buckets", "Buckets", "Name", {}),
        "role": ("iam", "list_roles", "Roles", "RoleName", {}),
        "policy": ("iam", "list_policies", "Policies", "PolicyName", {"Scope": "Local"}),
        "alias": ("kms", "list_aliases", "Aliases", "AliasName", {}),
        "repository": ("ecr", "describe_repositories", "repositories", "repositoryName", {}),
        "log group": ("logs", "describe_log_groups", "logGroups", "logGroupName", {}),
        "topic": ("sns", "list_topics", "Topics", "TopicArn", {}),
        "dashboard": ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName", {}),
        "alarm": ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName", {}),
        "group of alarms": (
            "cloudwatch", "describe_alarms", "CompositeAlarms", "AlarmName", {"AlarmTypes": ["CompositeAlarm"]},
        ),
        "rule": ("events", "list_rules", "Rules", "Name", {}),
        "schedule group": ("scheduler", "list_schedule_groups", "ScheduleGroups", "Name", {}),
        "schedule": ("scheduler", "list_schedules", "Schedules", "Name", {}),
        "parameter": ("ssm", "describe_parameters", "Parameters", "Name", {}),
        "pipeline": ("sagemaker", "list_pipelines", "PipelineSummaries", "PipelineName", {}),
        "package group": (
            "sagemaker", "list_model_package_groups", "ModelPackageGroupSummaryList", "ModelPackageGroupName", {},
        ),
        "package": ("sagemaker", "list_model_packages", "ModelPackageSummaryList", "ModelPackageArn", {}),
        "model": ("sagemaker", "list_models", "Models", "ModelName", {}),
        "configuration": ("sagemaker", "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", {}),
        "endpoint": ("sagemaker", "list_endpoints", "Endpoints", "EndpointName", {}),
        "scaling": (
            "application-autoscaling", "describe_scalable_targets", "ScalableTargets", "ResourceId",
            {"ServiceNamespace": "sagemaker"},
        ),
        "feature group": ("sagemaker", "list_feature_groups", "FeatureGroupSummaries", "FeatureGroupName", {}),
        "tracking": ("sagemaker", "list_mlflow_tracking_servers", "TrackingServerSummaries", "TrackingServerName", {}),
        "budget": ("budgets", "describe_budgets", "Budgets", "BudgetName", {"AccountId": cloud.account}),
        "watch on cost": ("ce", "get_anomaly_monitors", "AnomalyMonitors", "MonitorName", {}),
        "word on cost": ("ce", "get_anomaly_subscriptions", "AnomalySubscriptions", "SubscriptionName", {}),
        "trail": ("cloudtrail", "describe_trails", "trailList", "Name", {}),
    }  # fmt: skip
    for kind, (service, call, member, name, arguments) in lists.items():
        client = cloud.client(service)
        pages = (
            client.get_paginator(call).paginate(**arguments)
            if client.can_paginate(call)
            else [getattr(client, call)(**arguments)]
        )
        yield kind, [each[name].replace("/slipway/", "slipway-") for page in pages for each in page[member]]
    for region in (cloud.region, COPIES):
        kms = replace(cloud, region=region).client("kms")
        keys = [kms.describe_key(KeyId=each["KeyId"])["KeyMetadata"] for each in kms.list_keys()["Keys"]]
        yield "key", [each["Description"] for each in keys if each["KeyState"] == "Enabled"]
    budgets, mine = cloud.client("budgets"), {"AccountId": cloud.account}
    names = [each["BudgetName"] for each in budgets.describe_budgets(**mine).get("Budgets", ())]
    asked = [budgets.describe_budget_actions_for_budget(**mine, BudgetName=name) for name in names]
    yield "budget action", [each["BudgetName"] for answer in asked for each in answer["Actions"]]
    ec2 = cloud.client("ec2")
    for call, member in IN_NETWORKS.items():
        tags = [tag for each in getattr(ec2, call)()[member] for tag in each.get("Tags", ())]
        yield member, [tag["Value"] for tag in tags if tag["Key"] == "Name"]


@pytest.fixture(scope="session")
def beside() -> Callable[[Mapping[str, Mapping[str, Any]]], dict[str, Any]]:
    """Documents of several environments in one, their resources kept apart by a prefix."""

    def together(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        resources: dict[str, dict[str, Any]] = {}
        providers: dict[str, Any] = {}
        for name, document in documents.items():
            for each in document["provider"]["aws"]:
                providers.setdefault(each.get("alias", ""), each)
            for kind, named in apart(document, name)["resource"].items():
                for label, body in named.items():
                    needs = [each.replace(".", f".{prefix(name)}", 1) for each in body.get("depends_on", ())]
                    resources.setdefault(kind, {})[label] = body | ({"depends_on": needs} if needs else {})
        first = next(iter(documents.values()))["terraform"]
        terraform = {key: first[key] for key in ("required_version", "required_providers")}
        return {"terraform": terraform, "provider": {"aws": list(providers.values())}, "resource": resources}

    return together
