"""A whole environment, by the real Terraform and the real provider, on the embedded AWS: up, in use, changed, down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from contract.release import Package, Release, Releases, Rollout, Variant
from delivery.engine import machine
from delivery.engine.cloud import Cloud, process_environment, reach
from delivery.engine.convert import synthesise
from delivery.engine.engine import Brought, Removal, down, left_behind, opened, up
from delivery.engine.events import Diagnosed, Event, Finished, Summary, read
from delivery.engine.recover import recover
from delivery.engine.removal import held_by_settings
from delivery.engine.with_terraform import WithTerraform
from delivery.local import until
from delivery.rules.check import recorded, sample
from infra.names import Names
from stacks.forms import declared_configurations
from stacks.settings import KEY, ROOT, load

pytestmark = [
    pytest.mark.long,
    pytest.mark.terraform,
    pytest.mark.skipif(
        machine.terraform() is None or machine.mirror() is None,
        reason=f"needs terraform on PATH and the AWS provider in a mirror ({machine.MIRROR})",
    ),
]

Inventory = Callable[[Cloud, str], Counter[str]]
ENDPOINT = "slipway-local-churn"
AT_ONCE = Rollout("all-at-once", bake_seconds=0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, reached: str) -> Path:
    """A checkout of its own: one environment, whose settings are those of local."""
    folder = tmp_path_factory.mktemp("checkout")
    settings = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())
    settings["config"][KEY]["models"]["churn"]["serving"]["scaling"] = {"least": 1, "most": 2}
    (folder / "Pulumi.local.yaml").write_text(yaml.safe_dump(settings))
    (folder / "releases").mkdir()
    return folder


@pytest.fixture(scope="module")
def cloud(root: Path) -> Cloud:
    return reach(load("local", root), root)


@pytest.fixture(scope="module")
def package(served_package: Callable[[Names, int], Package]) -> Callable[[int], Package]:
    names = load("local").names
    return lambda version: served_package(names, version)


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


def test_offline_no_command_hashes_the_provider_anew(brought: Brought, root: Path) -> None:
    """Half a second of processor each, five times in every `up`; on AWS the comparison stays."""
    lock = (root / ".slipway" / "local" / "terraform" / ".terraform.lock.hcl").read_text()
    assert 'version     = "5.' in lock
    assert "h1:" not in lock


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


def bucket(purpose: Any) -> str:
    return load("local").names.bucket(purpose)


def test_down_shows_what_will_go_and_leaves_nothing(
    brought: Brought, root: Path, cloud: Cloud, inventory: Inventory
) -> None:
    """With an experiment's configurations, a registered version and evidence under lock."""
    cloud.client("s3").put_object(Bucket=bucket("evidence"), Key="ledger/1.json", Body=b"{}")
    cloud.client("sagemaker").create_model_package(ModelPackageGroupName=ENDPOINT)
    assert inventory(cloud, "slipway-local")
    shown: list[Removal] = []

    def agreed(removal: Removal) -> bool:
        shown.append(removal)
        return True

    down("local", root, ask=agreed)
    told = "\n".join(shown[0].holding.lines)
    assert f"model version {ENDPOINT}/1" in told
    assert f"1 versions in {bucket('evidence')}, locked in governance mode" in told
    assert shown[0].plan.count("delete") > 90
    assert inventory(cloud, "slipway-local") == Counter()
    assert not (root / ".slipway" / "local").exists()
    assert not (root / "releases" / "local.yaml").exists()


def test_evidence_in_compliance_mode_holds_an_environment() -> None:
    """Governance mode lets go of evidence for who may bypass it; compliance mode lets go for nobody."""
    told = held_by_settings(load("prod"))
    assert told is not None
    assert "not even the account's owner can delete it" in told
    assert held_by_settings(load("dev")) is None


# Another region ---------------------------------------------------------------------------------------


def test_every_environment_plans_in_a_second_region(
    cloud: Cloud, terraform: Callable[..., str], tmp_path: Path, beside: Callable[..., dict[str, Any]]
) -> None:
    """One plan by the real provider of dev, staging and prod, every model in the middle of an experiment."""
    documents: dict[str, Mapping[str, Any]] = {}
    for name in ("dev", "staging", "prod"):
        moved = load(name).model_copy(update={"region": "us-east-1", "account": cloud.account})
        documents[name] = synthesise(recorded(moved, sample(moved))).document
    (tmp_path / "main.tf.json").write_text(json.dumps(beside(documents)))
    terraform(tmp_path, "init", "-input=false")
    said = terraform(tmp_path, "plan", "-input=false", "-no-color", "-json", **process_environment(cloud))
    seen = list(read(said.splitlines()))
    assert [each.text for each in seen if isinstance(each, Diagnosed) and each.severity == "error"] == []
    declared = sum(len(named) for each in documents.values() for named in each["resource"].values())
    assert [each.add for each in seen if isinstance(each, Summary)] == [declared]
