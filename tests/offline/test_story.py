"""The whole way, for real: from nothing to a served prediction, a second version by canary, back, and down again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from contract.release import Rollout
from delivery.cli.exits import EXIT
from delivery.engine import machine
from delivery.engine.cloud import Cloud, local_cloud, reach
from delivery.engine.engine import preview
from delivery.local import LocalCloud, alive, until
from delivery.traffic import Endpoint
from stacks.settings import load

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("contract", "families", "training", "inference", "monitoring", "infra", "stacks", "delivery", "localaws",
           "slipway", "requirements")  # fmt: skip
pytestmark = [
    pytest.mark.story,
    pytest.mark.skipif(machine.terraform() is None, reason="terraform is not on PATH"),
    pytest.mark.skipif(machine.mirror() is None, reason=f"no provider mirror: name one in {machine.MIRROR}"),
]


@dataclass(frozen=True)
class Differences:
    """What a plan would change, and what a refresh alone would: program, state and cloud compared."""

    to_do: list[str] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Repository:
    """A copy of the repository, so that nothing of a developer's is touched."""

    root: Path

    def type(self, *words: str, expect: int = 0) -> str:
        """What a person would type after `slipway`; its stdout."""
        ran = subprocess.run(
            [sys.executable, "-c", "import sys; from delivery.cli import main; sys.exit(main())", *words],
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": str(self.root), "SLIPWAY_WHO": "ana"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == expect, f"{words}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.type(*words, "--json"))

    def changes(self) -> list[Any]:
        return self.json("preview", "local")["changes"]

    def differences(self) -> Differences:
        """What is left after everything was read again: to do, or remembered otherwise than it is."""
        plan = preview("local", self.root).plan
        changes = [f"{each.verb}: {each.address}" for each in plan.changes]
        return Differences([*changes, *(["outputs"] if plan.outputs_change else [])], sorted(plan.drifted))

    @property
    def cloud(self) -> Cloud:
        return reach(load("local", self.root), self.root)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    root = tmp_path_factory.mktemp("repository")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [*ROOT.glob("Pulumi*.yaml"), ROOT / "pyproject.toml"]:
        shutil.copy(path, root)
    shutil.copytree(ROOT / "gates", root / "gates")
    yield Repository(root)
    LocalCloud(root / ".slipway" / "local", root).stop()


def test_from_nothing_to_a_prediction_and_on_to_a_second_version_and_back(repository: Repository) -> None:
    launched = repository.json("launch")
    assert json.loads(launched["prediction"])["predictions"][0]["label"] in ("yes", "no")
    assert repository.changes() == []

    again = repository.json("launch")
    assert again["prediction"] == launched["prediction"]

    sample = str(next((repository.root / ".slipway" / "sample").iterdir()))
    second = repository.json("run", "churn", "--data", sample, "--family", "logistic_regression")
    assert second["version"] == 2
    repository.type("deploy", "churn", "2", expect=4)  # nobody approved it yet
    repository.type("models", "approve", "churn", "2", "--note", "another family")
    deployed = repository.json("deploy", "churn", "2", "--strategy", "canary", "--traffic", "50", "--bake", "1")
    assert (deployed["state"], deployed["variants"][0]["package"]["version"]) == ("steady", 2)
    assert repository.changes() == []

    back = repository.json("rollback", "churn", "--reason", "a rehearsal")
    assert (back["state"], back["variants"][0]["package"]["version"]) == ("rolled_back", 1)
    assert repository.changes() == []
    row = ["invoke", "churn", "--row", launched["row"]]
    assert repository.type(*row).strip() == launched["prediction"]

    why = [event["decision"]["what"] for event in repository.json("why", "churn")]
    assert why[0] == "rollback"
    assert {"deploy", "gate", "run"} <= set(why)


def test_no_event_of_a_lifecycle_leaves_anything_to_do(repository: Repository) -> None:
    """Infrastructure as code and live traffic never fight: what moves while it serves is nobody's drift."""
    repository.type("launch")
    events: dict[str, Callable[[], object]] = {
        "experiment": lambda: repository.type("experiment", "start", "churn", "2", "--name", "spring"),
        "weight move": lambda: repository.type("experiment", "move", "churn", "--traffic", "30"),
        "capacity move": lambda: repository.type("scale", "churn", "--instances", "2"),
        "promotion": lambda: repository.type("experiment", "promote", "churn", "--strategy", "all-at-once"),
        "rollback by alarm": lambda: rolled_back(repository),
        "trial by alarm": lambda: taken_back(repository),
        "canary": lambda: repository.type("deploy", "churn", "1", "--traffic", "50", "--bake", "1"),
        "rollback": lambda: repository.type("rollback", "churn", "--reason", "a rehearsal"),
        "up": lambda: repository.type("up", "local", "--yes"),
        "alarm": lambda: fire(repository.cloud, "errors"),
        "monitor run": lambda: judge(repository.cloud),
        "retrain": lambda: repository.type("retrain", "churn", "--reason", "a rehearsal"),
    }
    left = {}
    for name, happen in events.items():
        happen()
        left[name] = repository.differences()
    guards = sorted(f"aws_cloudwatch_metric_alarm.churn-rollback-{key.replace('_', '-')}" for key in Rollout().alarms)
    by_alarm = left.pop("rollback by alarm")  # aimed anew by deploy; an engine that saw it going back read that already
    assert by_alarm.to_do == []
    assert by_alarm.refreshed in ([], guards)
    # No engine is asked to go back; `up` reads it back.
    behind = Differences(refreshed=[*guards, "aws_sagemaker_endpoint.churn"])
    assert left == dict.fromkeys(left, Differences()) | {"rollback": behind}


def rolled_back(repository: Repository) -> None:
    release = alarmed(repository, "deploy", "churn", "1", "--traffic", "50", "--bake", "600")
    assert (release["state"], release["variants"][0]["package"]["version"]) == ("rolled_back", 2)


def taken_back(repository: Repository) -> None:
    """A challenger under the rollout before it: with as long to bake."""
    release = alarmed(repository, "experiment", "start", "churn", "1", "--name", "autumn")
    assert (release["state"], [each["package"]["version"] for each in release["variants"]]) == ("steady", [2])


def alarmed(repository: Repository, *words: str) -> Any:
    """A guard goes off while a new version bakes; the engine that waits for it may or may not see it going back."""
    endpoint = Endpoint(repository.cloud.client("sagemaker"), "slipway-local-churn", lambda: None)
    guard = {"AlarmName": "slipway-local-churn-rollback-errors", "StateValue": "ALARM", "StateReason": "a rehearsal"}
    with ThreadPoolExecutor(1) as hand:
        asked = hand.submit(repository.type, *words, "--json", expect=EXIT["rolled_back"])
        assert until(lambda: "Baking" in endpoint.live().stages, 120)
        repository.cloud.client("cloudwatch").set_alarm_state(**guard)
        return json.loads(asked.result(timeout=300))


def fire(cloud: Cloud, key: str) -> None:
    """An alarm of the champion goes off, as CloudWatch would say it."""
    name = f"slipway-local-churn-champion-{key}"
    client = cloud.client("cloudwatch")
    client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a rehearsal")
    assert client.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"] == "ALARM"


def judge(cloud: Cloud) -> None:
    """The monitor judges a window, and ends."""
    client = cloud.client("sagemaker")
    run = client.start_pipeline_execution(PipelineName="slipway-local-churn-monitor")["PipelineExecutionArn"]

    def status() -> str:
        return client.describe_pipeline_execution(PipelineExecutionArn=run)["PipelineExecutionStatus"]

    assert until(lambda: status() not in ("Executing", "Stopping"), 120)
    assert status() == "Succeeded"


def test_down_leaves_no_resource_no_process_and_no_state(repository: Repository) -> None:
    """With versions registered, evidence locked and an endpoint serving."""
    cloud = repository.cloud
    running = local_cloud(repository.root).find()
    assert running is not None
    assert cloud.client("sagemaker").list_model_packages(ModelPackageGroupName="slipway-local-churn")
    removed = repository.type("down", "local", "--yes")
    assert "removed" in removed
    assert until(lambda: not alive(running.pid), 30)
    assert not (repository.root / ".slipway" / "local").exists()
    assert not (repository.root / "releases" / "local.yaml").exists()
