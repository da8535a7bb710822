from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from contract.release import Package, Release, Releases, Rollout, Variant
from delivery.engine.convert import Synthesis, synthesise
from delivery.engine.recording import Recording, record
from delivery.engine.schema import outputs_of
from stacks.platform import Platform
from stacks.settings import KEY, ROOT, Settings, parse

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
            "github": {"repository": "an-organisation/slipway"},
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
