"""How long the platform's engines take, and how that grows with the number of models.

    python -m benchmarks.infra.measure [--models 1 10 100] [--up 1 10 100] [--write]

Wall clock on this machine. Recording and synthesis are of prod with every option on and every model in the middle of an
experiment, the middle of three; `up`, `preview` and `down` are the commands as a person types them, their start
included, on `local` and an embedded AWS of its own with Terraform. `--write` puts the tables into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import platform
import pstats
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from benchmarks.delivery.tables import write
from delivery.engine import machine, recording
from delivery.engine.convert import synthesise
from delivery.rules.check import recorded
from stacks.settings import KEY, ROOT, Settings, parse

SLIPWAY = [sys.executable, "-m", "delivery.cli"]
PEOPLE = ("data-scientist", "operator", "approver", "auditor")
# On top of prod: every component, whatever it costs.
EVERYTHING: Mapping[str, Any] = {
    "identity": {
        "people": {who: ["arn:aws:iam::333333333333:role/sso"] for who in PEOPLE},
        "github": {"repository": "your-organisation/slipway"},
    },
    "alerts": {"emails": ["team@example.com"], "pager": "https://pager.example.com/key"},
    "tracking": {"kind": "server"},
    "governance": {
        "budget": {"monthly_usd": 4000000, "stops_training": True},
        "anomaly_usd": 200,
        "feature_groups": {
            "customers": {"record_id": "id", "features": {"id": "String", "event_time": "String", "age": "Integral"}}
        },
    },
}
# On top of local: everything but TLS, which is asked of no plain HTTP.
ALL_OF_LOCAL: Mapping[str, Any] = {
    "storage": {
        "empty_on_destroy": True,
        "tls_only": False,
        "old_versions_days": 30,
        "evidence_lock": {"mode": "GOVERNANCE", "days": 1},
        "replica_region": "eu-central-1",
    },
    "network": {"kind": "create", "zones": 3},
    "identity": {
        "people": {who: ["arn:aws:iam::123456789012:role/sso"] for who in PEOPLE},
        "github": {"repository": "your-organisation/slipway"},
        "boundary": True,
    },
    "alerts": {"emails": ["team@example.com"]},
    "tracking": {"kind": "server"},
    "governance": {**EVERYTHING["governance"], "trail": True},
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure, and what it should be at most."""

    what: str
    seconds: float
    at_most: float | None = None

    @property
    def row(self) -> str:
        limit = "" if self.at_most is None else f"{self.at_most:g}"
        return f"| {self.what} | {self.seconds:.2f} | {limit} |"


@contextmanager
def embedded_aws(folder: Path) -> Iterator[str]:
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "localaws", "--port", "0", "--containers", str(ROOT), "--ready-file", str(ready)]
    process = subprocess.Popen(
        [*command, "--work", str(folder / "work")], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not ready.exists():
        time.sleep(0.05)
    yield json.loads(ready.read_text())["url"]
    process.terminate()
    process.wait()


def took(what: Callable[[], object]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def middle(what: Callable[[], object], times: int = 3) -> float:
    return statistics.median(took(what) for _ in range(times))


# The program -----------------------------------------------------------------------------------------


def everything(models: int) -> Settings:
    given: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())["config"][KEY]
    one = given["models"]["churn"]
    named = {f"m{number}": one for number in range(models)}
    return parse({**given, **EVERYTHING, "models": named}, "prod", "Pulumi.prod.yaml")


def own_share(settings: Settings) -> float:
    """The share of a recording that is spent in this repository's code and not below it."""
    profile = cProfile.Profile()
    plain = recording._record  # noqa: SLF001 - it runs in a thread of its own, which is where to look

    def profiled(*given: Any) -> Any:
        with profile:
            return plain(*given)

    with patch.object(recording, "_record", profiled):
        recorded(settings)
    spent: Any = pstats.Stats(profile)
    below = str(ROOT / ".venv")
    ours = sum(row[2] for (file, _, _), row in spent.stats.items() if file.startswith(str(ROOT)) and below not in file)
    return ours / spent.total_tt


def program() -> list[Measured]:
    settings = everything(1)
    first = took(lambda: recorded(settings))
    warm = middle(lambda: recorded(settings))
    return [
        Measured("recording of the whole program, every option on, first in a process", first),
        Measured("the same, warm", warm, 5),
        Measured("of it in our own code", warm * own_share(settings), 1),
        Measured("`slipway synth prod`, then the provider's `init` and `validate`", synthesised_and_validated(), 15),
    ]


def synthesised_and_validated() -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {
            "PATH": os.environ["PATH"],
            "TF_CLI_CONFIG_FILE": str(machine.cli_config(folder)),
            "CHECKPOINT_DISABLE": "1",
        }

        def both() -> None:
            subprocess.run([*SLIPWAY, "synth", "prod", "--out", str(folder / "main.tf.json")], cwd=ROOT, check=True)
            for arguments in (["init", "-backend=false", "-input=false"], ["validate"]):
                subprocess.run(
                    ["terraform", *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL
                )

        return took(both)


def growth(counts: list[int]) -> list[str]:
    lines = ["| models | resources | record s | synthesise s | per model ms |", "| --- | --- | --- | --- | --- |"]
    for count in counts:
        settings = everything(count)
        declared = recorded(settings)
        times = 3 if count < 100 else 1
        record = middle(lambda settings=settings: recorded(settings), times)
        convert = middle(lambda declared=declared: synthesise(declared), times)
        each = 1000 * (record + convert) / count
        lines.append(f"| {count} | {len(declared.resources)} | {record:.2f} | {convert:.3f} | {each:.0f} |")
    return lines


# The commands ----------------------------------------------------------------------------------------


def checkout(folder: Path, models: int, options: Mapping[str, Any]) -> Path:
    """A folder with `local` of so many models."""
    folder.mkdir()
    (folder / "releases").mkdir()
    document = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())
    settings = document["config"][KEY]
    one = settings["models"]["churn"]
    document["config"][KEY] = {**settings, **options, "models": {f"m{number}": one for number in range(models)}}
    (folder / "Pulumi.local.yaml").write_text(yaml.safe_dump(document))
    return folder


def typed(root: Path, *words: str) -> float:
    """A command of a person, its start included; what fails ends the benchmark with its words."""
    started = time.perf_counter()
    done = subprocess.run(
        [*SLIPWAY, *words, "--engine", "terraform", "--root", str(root)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"slipway {' '.join(words)} failed:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    return time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class Cycle:
    """From nothing to everything and back."""

    models: int
    first_preview: float
    up: float
    again: float
    preview: float
    down: float

    @property
    def row(self) -> str:
        times = (self.first_preview, self.up, self.again, self.preview, self.down)
        return f"| {self.models} | " + " | ".join(f"{each:.1f}" for each in times) + " |"


def cycle(models: int) -> Cycle:
    with tempfile.TemporaryDirectory() as name, embedded_aws(Path(name)) as url:
        os.environ["AWS_ENDPOINT_URL"] = url
        root = checkout(Path(name) / "checkout", models, {})
        before = typed(root, "preview", "local")
        shutil.rmtree(root / ".slipway")  # so that `up` links its provider itself
        return Cycle(
            models,
            before,
            typed(root, "up", "local", "--yes"),
            typed(root, "up", "local", "--yes"),
            typed(root, "preview", "local"),
            typed(root, "down", "local", "--yes"),
        )


def up_with_everything() -> float:
    with tempfile.TemporaryDirectory() as name, embedded_aws(Path(name)) as url:
        os.environ["AWS_ENDPOINT_URL"] = url
        return typed(checkout(Path(name) / "checkout", 1, ALL_OF_LOCAL), "up", "local", "--yes")


def cycles(counts: list[int]) -> tuple[list[Measured], list[str]]:
    done = [cycle(count) for count in counts]
    figures: list[Measured] = []
    if done and done[0].models == 1:
        figures = [
            Measured("offline `up` of `local` from nothing", done[0].up, 90),
            Measured("the second `up`", done[0].again, 25),
            Measured("the same with every option on (but TLS)", up_with_everything(), 120),
        ]
    figures += [
        Measured(f"`preview` with {each.models} models up", each.preview, 90) for each in done if each.models == 100
    ]
    lines = [
        "| models | preview of nothing yet s | up s | up again s | preview s | down s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [each.row for each in done]
    return figures, lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, nargs="*", default=[1, 10, 100])
    parser.add_argument("--up", type=int, nargs="*", default=[])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    busy = os.getloadavg()[0]
    figures, ups = cycles(given.up)
    rows = [each.row for each in [*program(), *figures]]
    where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    text = "\n".join(
        [
            f"{where}, {time.strftime('%Y-%m-%d')}, load before the start {busy:.1f}.",
            "",
            "| what | s | at most s |",
            "| --- | --- | --- |",
            *rows,
            "",
            *growth(given.models),
            *(["", *ups] if given.up else []),
        ]
    )
    print(text)
    if given.write:
        write("platform", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
