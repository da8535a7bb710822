"""How long recording, synthesis, validation and bringing up take, and how they grow with the number of models.

    python benchmarks/infra/measure.py [--models 1 10 100] [--up]

Times are wall clock on this machine, each the middle of three; `--up` also brings `local` up on an embedded AWS.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent))

from kills import checkout, embedded_aws, slipway

from delivery.engine import machine
from delivery.engine.convert import synthesise
from delivery.rules.check import recorded
from stacks.settings import KEY, Settings, load


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="*", default=[1, 10, 100])
    parser.add_argument("--up", action="store_true")
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    print("models resources record_s convert_s validate_s")
    for count in options.models:
        settings = many(count)
        recording = recorded(settings)
        record = middle(lambda settings=settings: recorded(settings), 3 if count < 100 else 1)
        convert = middle(lambda recording=recording: synthesise(recording))
        with tempfile.TemporaryDirectory() as name:
            started = time.perf_counter()
            validate(Path(name), synthesise(recording).document)
            taken = time.perf_counter() - started
        print(f"{count:6d} {len(recording.resources):9d} {record:8.2f} {convert:9.3f} {taken:10.1f}", flush=True)
    if options.up:
        bring_up(options.models)
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
