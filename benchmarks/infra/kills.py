"""Kill `slipway up` with SIGKILL at random moments, then recover and bring up: converged, nothing twice, nothing left.

    python benchmarks/infra/kills.py --kills 30 --seed 0

Each time from nothing, on an embedded AWS of its own. The whole process group is killed: command, Terraform, provider.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from delivery.engine.cloud import Cloud, embedded
from stacks.settings import ROOT, load

SLIPWAY = [sys.executable, "-m", "delivery.cli"]


@contextmanager
def embedded_aws(folder: Path) -> Iterator[str]:
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "localaws", "--port", "0", "--containers", str(ROOT), "--ready-file", str(ready)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not ready.exists():
        time.sleep(0.05)
    yield json.loads(ready.read_text())["url"]
    process.terminate()
    process.wait()


def checkout(folder: Path) -> Path:
    folder.mkdir()
    shutil.copy(ROOT / "Pulumi.local.yaml", folder)
    (folder / "releases").mkdir()
    return folder


def slipway(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*SLIPWAY, *arguments, "--root", str(root)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def killed_up(root: Path, seconds: float) -> bool:
    """Bring up and kill after a while; false when it was done before."""
    command = [*SLIPWAY, "up", "local", "--yes", "--root", str(root)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def held(cloud: Cloud) -> Counter[str]:
    """What stands in the cloud, by kind: twice the same would show."""
    kms: Any = cloud.client("kms")
    keys = [kms.describe_key(KeyId=each["KeyId"])["KeyMetadata"] for each in kms.list_keys()["Keys"]]
    count = Counter(f"key {each['Description']}" for each in keys if each["KeyState"] == "Enabled")
    count["buckets"] = len(cloud.client("s3").list_buckets()["Buckets"])
    count["roles"] = len(cloud.client("iam").list_roles()["Roles"])
    count["pipelines"] = len(cloud.client("sagemaker").list_pipelines()["PipelineSummaries"])
    count["topics"] = len(cloud.client("sns").list_topics()["Topics"])
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    good = 0
    wanted: Counter[str] | None = None
    longest = 30.0
    for number in range(options.kills + 1):
        with tempfile.TemporaryDirectory() as name, embedded_aws(Path(name)) as url:
            os.environ["AWS_ENDPOINT_URL"] = url
            root = checkout(Path(name) / "checkout")
            if wanted is None:
                started = time.monotonic()
                print("undisturbed:", slipway(root, "up", "local", "--yes").stdout.strip())
                longest = time.monotonic() - started
                wanted = held(embedded(load("local"), url))
                continue
            moment = moments.uniform(2, longest)
            was_killed = killed_up(root, moment)
            recovered = slipway(root, "recover", "local", "--yes")
            again = slipway(root, "up", "local", "--yes")
            empty = slipway(root, "preview", "local", "--detailed-exit").returncode == 0
            same = held(embedded(load("local"), url)) == wanted
            fine = again.returncode == 0 and empty and same
            good += fine
            adopted = sum(line.startswith("adopted") for line in recovered.stdout.splitlines())
            print(
                f"kill {number} at {moment:5.1f} s: killed={was_killed} adopted={adopted} converged={fine}", flush=True
            )
            if not fine:
                print(recovered.stderr, again.stderr[-2000:], held(embedded(load("local"), url)) - wanted)
    print(f"{good} of {options.kills} converged, seed {options.seed}")
    return 0 if good == options.kills else 1


if __name__ == "__main__":
    sys.exit(main())
