"""The whole way, for real: from nothing to a served prediction, a second version by canary, and back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from delivery.engine import machine
from delivery.local import LocalCloud

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("contract", "families", "training", "inference", "monitoring", "infra", "stacks", "delivery", "localaws",
           "slipway", "requirements")  # fmt: skip
pytestmark = [
    pytest.mark.story,
    pytest.mark.skipif(machine.terraform() is None, reason="terraform is not on PATH"),
    pytest.mark.skipif(machine.mirror() is None, reason=f"no provider mirror: name one in {machine.MIRROR}"),
]


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
