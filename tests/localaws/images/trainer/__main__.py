"""A tiny training container that reports what it was given; hyperparameters tell it how to behave."""
# ruff: noqa: T201

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def load(name: str) -> dict[str, object]:
    path = BASE / "input" / "config" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def main() -> None:
    wishes = load("hyperparameters")
    host = load("resourceconfig").get("current_host", "algo-1")
    seen = {
        "argv": sys.argv[1:],
        "hyperparameters": wishes,
        "channels": load("inputdataconfig"),
        "resources": load("resourceconfig"),
        "files": sorted(
            str(p.relative_to(BASE / "input/data")) for p in (BASE / "input/data").rglob("*") if p.is_file()
        ),
        "checkpoints": sorted(p.name for p in (BASE / "checkpoints").glob("*")),
        "environment": {
            key: value for key, value in os.environ.items() if key.startswith(("TRAINING_", "AWS_", "MY_"))
        },
    }
    (BASE / "model").mkdir(parents=True, exist_ok=True)
    (BASE / "model" / f"{host}.json").write_text(json.dumps(seen))
    (BASE / "output" / "data").mkdir(parents=True, exist_ok=True)
    (BASE / "output" / "data" / "notes.txt").write_text("trained")
    for value in str(wishes.get("losses", "0.5,0.25")).split(","):
        print(f"loss={value};", flush=True)
    if "quadratic" in wishes:  # an objective for tuning, best at x = 2
        print(f"score={-((float(str(wishes['x'])) - 2) ** 2)};", flush=True)
    for epoch in range(int(str(wishes.get("epochs", 0)))):  # the same, getting nearer from epoch to epoch
        print(f"score={-((float(str(wishes['x'])) - 2) ** 2) - 1 / (epoch + 1)};", flush=True)
        time.sleep(0.25)
    if "checkpoint" in wishes:
        (BASE / "checkpoints").mkdir(exist_ok=True)
        (BASE / "checkpoints" / str(wishes["checkpoint"])).write_text("half way")
    if "fail" in wishes and wishes.get("fail_on", host) == host:
        (BASE / "output" / "failure").write_text(str(wishes["fail"]))
        sys.exit(7)
    if "wait" in wishes and not seen["checkpoints"]:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print("waiting", flush=True)
        time.sleep(float(str(wishes["wait"])))


if __name__ == "__main__":
    main()
