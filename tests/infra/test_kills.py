"""`up` killed at random moments, its engine and provider with it: afterwards cloud and state are made to agree."""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.infra.measure import ALL_OF_LOCAL
from contract.release import Package, Release, Releases, Rollout, Variant
from delivery.engine import machine
from delivery.engine.cloud import Cloud, reach
from delivery.engine.engine import preview, up
from delivery.engine.errors import EngineError
from delivery.engine.machine import Workplace
from delivery.engine.recover import recover
from infra.names import Names
from stacks.settings import KEY, ROOT, load

pytestmark = [
    pytest.mark.story,
    pytest.mark.skipif(
        machine.terraform() is None or machine.mirror() is None,
        reason=f"needs terraform on PATH and the AWS provider in a mirror ({machine.MIRROR})",
    ),
]

KILLS = int(os.environ.get("SLIPWAY_KILLS", "3"))
SEED = int(os.environ.get("SLIPWAY_SEED", "0"))
ENDING = re.compile(r"-[0-9a-f]{8}((-[0-9a-f]{4}){3}-[0-9a-f]{12})?$")
LOCAL: Mapping[str, Any] = {}
# Without lifecycle rules, for which the provider waits a minute each time.
ALL = {**ALL_OF_LOCAL, "storage": {**ALL_OF_LOCAL["storage"], "old_versions_days": None}}
RECORDED_SECONDS = 2.0  # before this nothing is asked of the cloud


@dataclass(frozen=True)
class Checkout:
    """A folder with environments of its own, each once the same small platform: one model that serves."""

    root: Path
    package: Callable[[Names, int], Package]

    def environment(self, name: str, options: Mapping[str, Any] = LOCAL) -> Cloud:
        settings = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())
        settings["config"][KEY].update(options)
        (self.root / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump(settings))
        variants = (Variant("champion", self.package(load(name, self.root).names, 1), 1.0, 1),)
        release = Release("steady", variants, Rollout("all-at-once", bake_seconds=0))
        text = yaml.safe_dump(Releases({"churn": release}).to_json())
        (self.root / "releases" / f"{name}.yaml").write_text(text)
        return reach(load(name, self.root), self.root)

    def begin(self, name: str) -> subprocess.Popen[bytes]:
        """`slipway up`, in a group of its own that can be ended at once."""
        return subprocess.Popen(
            [sys.executable, "-m", "delivery.cli", "up", name, "--yes", "--engine", "terraform", "--root", self.root],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def undisturbed(self, name: str) -> float:
        started = time.monotonic()
        assert self.begin(name).wait(timeout=600) == 0
        return time.monotonic() - started

    def killed(self, name: str, seconds: float) -> bool:
        """End command, engine and provider after a while; false when it was done before."""
        process = self.begin(name)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        return False


@pytest.fixture(scope="module")
def checkout(
    tmp_path_factory: pytest.TempPathFactory, reached: str, served_package: Callable[[Names, int], Package]
) -> Checkout:
    root = tmp_path_factory.mktemp("checkout")
    (root / "releases").mkdir()
    return Checkout(root, served_package)


def same_for_all(found: Counter[str], name: str) -> Counter[str]:
    """An inventory without the environment's own name, the hashes of contents that mention it, and AWS's own ids."""

    def plain(key: str) -> str:
        return ENDING.sub("-#", re.sub(rf"slipway-{name}(?![a-z0-9])", "slipway-*", key))

    return Counter({plain(key): count for key, count in found.items()})


def test_a_killed_up_is_recovered_from_wherever_it_was(
    checkout: Checkout, inventory: Callable[[Cloud, str], Counter[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Converged, nothing twice, nothing left over: the cloud holds by kind and name what an undisturbed run makes."""
    cloud = checkout.environment("calm")
    longest = checkout.undisturbed("calm")
    wanted = same_for_all(inventory(cloud, "slipway-calm"), "calm")
    assert wanted
    moments, numbers, kills = random.Random(SEED), itertools.count(), 0
    wrong: dict[str, object] = {}
    while kills < KILLS:
        name = f"k{next(numbers)}"
        cloud = checkout.environment(name)
        moment = moments.uniform(RECORDED_SECONDS, longest)
        if not checkout.killed(name, moment):
            longest = moment  # it was done before, on a machine that is less busy now
            continue
        kills += 1
        before = sum(inventory(cloud, f"slipway-{name}").values())
        try:
            lines = recover(name, checkout.root)
            up(name, checkout.root)
            ahead = preview(name, checkout.root)
        except EngineError as problem:
            wrong[f"{name} at {moment:.1f} s"] = str(problem)
            continue
        found = same_for_all(inventory(cloud, f"slipway-{name}"), name)
        with capsys.disabled():
            adopted = sum(line.startswith("adopted") for line in lines)
            sys.stdout.write(f"\nkill {kills} at {moment:.1f} s: there={before} adopted={adopted}")
        if found != wanted or not ahead.plan.is_empty:
            wrong[f"{name} at {moment:.1f} s"] = (found - wanted, wanted - found, ahead.plan, lines)
    assert wrong == {}


@pytest.mark.parametrize(("name", "options"), [("torn", LOCAL), ("full", ALL)], ids=["as local", "every option"])
def test_a_state_lost_at_its_first_write_is_found_again_in_the_cloud(
    checkout: Checkout, inventory: Callable[[Cloud, str], Counter[str]], name: str, options: Mapping[str, Any]
) -> None:
    """The worst a kill can do: all is made, nothing is remembered."""
    cloud = checkout.environment(name, options)
    checkout.undisturbed(name)
    wanted = same_for_all(inventory(cloud, f"slipway-{name}"), name)
    place = Workplace(checkout.root, name)
    place.state.write_text('{"version": 4, "res')
    place.state.with_suffix(".tfstate.backup").unlink(missing_ok=True)
    recover(name, checkout.root)
    up(name, checkout.root)
    assert preview(name, checkout.root).plan.is_empty
    assert same_for_all(inventory(cloud, f"slipway-{name}"), name) == wanted
