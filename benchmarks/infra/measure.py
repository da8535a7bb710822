"""How long the engines' work takes and how it grows, and whether a killed `up` can always be recovered.

    python benchmarks/infra/measure.py times [--models 1 10 100] [--up]
    python benchmarks/infra/measure.py kills [--kills 30] [--seed 0]

Times are wall clock on this machine, the middle of three where that is bearable; `--up` also brings `local` up on an
embedded AWS of its own. `kills` ends `slipway up` with SIGKILL at random moments, command, Terraform and provider, each
time from nothing; then `recover` and `up`: converged, nothing twice, nothing left.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from delivery.engine import machine
from delivery.engine.cloud import Cloud, embedded
from delivery.engine.convert import synthesise
from delivery.rules.check import recorded
from stacks.settings import KEY, ROOT, Settings, load

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


def middle(what: Callable[[], object], times: int = 3) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        what()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def many(count: int) -> Settings:
    prod = load("prod")
    one = prod.models["churn"]
    return prod.model_copy(update={"models": {f"m{number}": one for number in range(count)}})


def validate(folder: Path, document: object) -> None:
    (folder / "main.tf.json").write_text(json.dumps(document))
    environment = {
        "PATH": os.environ["PATH"],
        "TF_CLI_CONFIG_FILE": str(machine.cli_config(folder)),
        "CHECKPOINT_DISABLE": "1",
    }
    for arguments in (["init", "-input=false"], ["validate"]):
        subprocess.run(["terraform", *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


def bring_up(counts: list[int]) -> None:
    print("models up_s again_s preview_s down_s")
    for count in counts:
        with tempfile.TemporaryDirectory() as name, embedded_aws(Path(name)) as url:
            os.environ["AWS_ENDPOINT_URL"] = url
            root = checkout(Path(name) / "checkout")
            path = root / "Pulumi.local.yaml"
            document = yaml.safe_load(path.read_text())
            models = document["config"][KEY]["models"]
            document["config"][KEY]["models"] = {f"m{number}": models["churn"] for number in range(count)}
            path.write_text(yaml.safe_dump(document))
            taken = []
            for words in (
                ["up", "local", "--yes"],
                ["up", "local", "--yes"],
                ["preview", "local"],
                ["down", "local", "--yes"],
            ):
                started = time.perf_counter()
                done = slipway(root, *words)
                taken.append(time.perf_counter() - started)
                if done.returncode != 0:
                    print(done.stderr[-1500:])
            print(f"{count:6d} " + " ".join(f"{each:6.1f}" for each in taken), flush=True)


def times(counts: list[int], up: bool) -> int:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"load of the machine at the start: {os.getloadavg()[0]:.1f}")
    print("models resources record_s convert_s validate_s")
    for count in counts:
        settings = many(count)
        recording = recorded(settings)
        record = middle(lambda settings=settings: recorded(settings), 3 if count < 100 else 1)
        convert = middle(lambda recording=recording: synthesise(recording))
        with tempfile.TemporaryDirectory() as name:
            started = time.perf_counter()
            validate(Path(name), synthesise(recording).document)
            taken = time.perf_counter() - started
        print(f"{count:6d} {len(recording.resources):9d} {record:8.2f} {convert:9.3f} {taken:10.1f}", flush=True)
    if up:
        bring_up(counts)
    return 0


def kills(count: int, seed: int) -> int:
    moments = random.Random(seed)
    good = 0
    wanted: Counter[str] | None = None
    longest = 30.0
    for number in range(count + 1):
        with tempfile.TemporaryDirectory() as name, embedded_aws(Path(name)) as url:
            os.environ["AWS_ENDPOINT_URL"] = url
            root = checkout(Path(name) / "checkout")
            if wanted is None:
                started = time.monotonic()
                print("undisturbed:", slipway(root, "up", "local", "--yes").stdout.strip(), flush=True)
                longest = time.monotonic() - started
                wanted = held(embedded(load("local"), url))
                continue
            moment = moments.uniform(2, longest)
            was_killed = killed_up(root, moment)
            recovered = slipway(root, "recover", "local", "--yes")
            again = slipway(root, "up", "local", "--yes")
            empty = slipway(root, "preview", "local", "--detailed-exit").returncode == 0
            found = held(embedded(load("local"), url))
            fine = again.returncode == 0 and empty and found == wanted
            good += fine
            adopted = sum(line.startswith("adopted") for line in recovered.stdout.splitlines())
            print(
                f"kill {number} at {moment:5.1f} s: killed={was_killed} adopted={adopted} converged={fine}", flush=True
            )
            if not fine:
                print(recovered.stderr, again.stderr[-2000:], found, wanted)
    print(f"{good} of {count} converged, seed {seed}")
    return 0 if good == count else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = parser.add_subparsers(dest="word", required=True)
    for_times = words.add_parser("times")
    for_times.add_argument("--models", type=int, nargs="*", default=[1, 10, 100])
    for_times.add_argument("--up", action="store_true")
    for_kills = words.add_parser("kills")
    for_kills.add_argument("--kills", type=int, default=30)
    for_kills.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    return times(given.models, given.up) if given.word == "times" else kills(given.kills, given.seed)


if __name__ == "__main__":
    sys.exit(main())
