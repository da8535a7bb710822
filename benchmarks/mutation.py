"""Whether the tests would notice: small mistakes are made in the code on purpose, and some test must fail of each.

    python -m benchmarks.mutation statistics               every mistake that mutmut knows to make
    python -m benchmarks.mutation gates --sample 300       a seeded sample of them; its share comes with bounds

mutmut runs in an environment of its own on a copy of what the tests need. Its progress goes to `progress.log`, what was
not noticed to `survivors.diff`, both in the work folder that is printed; figures go to benchmarks/mutation.json
and docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.delivery.tables import write

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "mutation.json"
MUTMUT = "mutmut==3.8.1"
SEED = 20261120
FAILED = 1  # how mutmut notes that a test failed
QUIET = {0, None, 33, 34}  # all passed; not tried; no test comes by; left out
LONGEST = 180  # seconds that a mistake may take in a process of its own

# A failing example is enough: nobody reads the smallest one here, and looking for it takes minutes.
PROFILE = """
from hypothesis import Phase, settings

settings.register_profile("mutation", phases=[Phase.explicit, Phase.generate], database=None, deadline=None)
settings.load_profile("mutation")
"""


@dataclass(frozen=True)
class Target:
    """What is changed, which tests should notice, and which packages those need."""

    mutated: tuple[str, ...]
    tests: tuple[str, ...]
    packages: tuple[str, ...]
    lock: str
    deselected: str = ""


DELIVERY = (
    "benchmarks",
    "contract",
    "delivery",
    "infra",
    "localaws",
    "monitoring",
    "slipway",
    "stacks",
    "gates",
    "releases",
)
TARGETS = {
    "statistics": Target(
        (
            "monitoring/verdict.py", "monitoring/evidence.py", "monitoring/experiment/evidence.py",
            "monitoring/experiment/guardrails.py", "monitoring/experiment/judge.py", "monitoring/experiment/means.py",
            "monitoring/experiment/odds.py", "monitoring/experiment/sample_ratio.py",
            "monitoring/experiment/verdict.py", "monitoring/rare.py",
        ),
        (
            "tests/monitoring/conftest.py", "tests/monitoring/test_verdict.py", "tests/monitoring/test_evidence.py",
            "tests/monitoring/test_rare.py",
            *(
                f"tests/monitoring/experiment/test_{name}.py"
                for name in ("decision", "means", "odds", "sample_ratio", "verdict")
            ),
        ),
        ("contract", "monitoring"),
        "monitor",
        "million",
    ),
    "gates": Target(
        ("delivery/gates.py",), ("tests/delivery/conftest.py", "tests/delivery/test_gates.py"), DELIVERY, "dev"
    ),
    "release": Target(
        ("delivery/release.py", "contract/release.py"),
        ("tests/delivery/conftest.py", "tests/delivery/test_release.py", "tests/contract/test_release.py"),
        DELIVERY, "dev",
    ),
    "ledger": Target(
        ("delivery/ledger.py",), ("tests/delivery/conftest.py", "tests/delivery/test_ledger.py"), DELIVERY, "dev"
    ),
}  # fmt: skip


def environment(work: Path, lock: str) -> Path:
    """A Python with mutmut and what the target's process is locked to; made once."""
    place = work / f"env-{lock}"
    python = place / "bin" / "python"
    if not (place / "made").exists():
        install = ["uv", "pip", "install", "--quiet", "--python", str(python)]
        for command in (
            ["uv", "venv", "--quiet", "--clear", "--python", "3.11", str(place)],
            [*install, "-r", str(ROOT / "requirements" / f"{lock}.txt")],
            [*install, MUTMUT, "pytest", "hypothesis"],
        ):
            subprocess.run(command, check=True, cwd=work)
        (place / "made").touch()
    return python


def copied(target: Target, folder: Path) -> None:
    """Only what the tests of the target need, with a configuration of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in target.packages:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in target.tests:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "conftest.py").write_text(PROFILE)
    tests = [name for name in target.tests if not name.endswith("conftest.py")]
    sources = sorted({name.split("/")[0] for name in target.mutated})
    skipped = ["-k", f"not {target.deselected}"] if target.deselected else []
    tables: dict[str, dict[str, Any]] = {
        "tool.pytest.ini_options": {"addopts": ["--import-mode=importlib", "-p", "no:cacheprovider"]},
        "tool.mutmut": {
            "source_paths": sources,
            "only_mutate": list(target.mutated),
            "also_copy": ["conftest.py", *(name for name in target.packages if name not in sources)],
            "pytest_add_cli_args": skipped,
            "pytest_add_cli_args_test_selection": tests,
            "use_git_change_detection": False,
        },
    }
    lines: list[str] = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    (folder / "pyproject.toml").write_text("\n".join(lines) + "\n")


def mutmut(python: Path, folder: Path, *arguments: str, into: Path) -> int:
    with into.open("a") as out:
        command = [str(python), "-m", "mutmut", *arguments]
        return subprocess.run(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, check=False).returncode


def outcomes(folder: Path) -> dict[str, dict[str, int | None]]:
    """By file, how the run of each mistake ended; nothing for one that was not tried."""
    found = {}
    for path in sorted((folder / "mutants").rglob("*.meta")):
        name = path.relative_to(folder / "mutants").as_posix().removesuffix(".meta")
        found[name] = json.loads(path.read_text())["exit_code_by_key"]
    return {name: codes for name, codes in found.items() if codes}


def alone(python: Path, folder: Path, target: Target, mistake: str) -> bool:
    """Whether the tests notice it in a process of their own; one that never ends is noticed too.

    mutmut forks for every mistake, and a child whose parent had threads may hang or crash for that reason alone.
    """
    skipped = ["-k", f"not {target.deselected}"] if target.deselected else []
    tests = [name for name in target.tests if not name.endswith("conftest.py")]
    try:
        ran = subprocess.run(
            [str(python), "-m", "pytest", "-x", "-q", *skipped, *tests], cwd=folder / "mutants", capture_output=True,
            env=os.environ | {"MUTANT_UNDER_TEST": mistake}, timeout=LONGEST, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return True
    return ran.returncode not in {0, 4, 5}  # all passed; told nonsense; found no test


def measured(target: Target, work: Path, folder: Path, sample: int | None, children: int) -> dict[str, Any]:
    python, progress = environment(work, target.lock), folder / "progress.log"
    copied(target, folder)
    mutmut(python, folder, "run", "--max-children", str(children), "no such mistake", into=progress)
    every = [key for codes in outcomes(folder).values() for key in codes]
    if not every:
        raise SystemExit(f"mutmut made no mistakes: see {progress}")
    chosen = sorted(random.Random(SEED).sample(every, min(sample or len(every), len(every))))
    began = time.monotonic()
    mutmut(python, folder, "run", "--max-children", str(children), *chosen, into=progress)
    tried = set(chosen)
    if all(codes.get(key) is None for codes in outcomes(folder).values() for key in chosen):
        raise SystemExit(f"mutmut could not run the tests: see {progress}")
    files: dict[str, dict[str, int]] = {}
    survivors: list[str] = []
    for name, codes in outcomes(folder).items():
        ended = {key: code for key, code in codes.items() if key in tried}
        again = [key for key, code in ended.items() if code != FAILED and code not in QUIET]
        lost = {key for key, code in ended.items() if code in QUIET}
        lost |= {key for key in again if not alone(python, folder, target, key)}
        survivors += sorted(lost)
        files[name] = {
            "mistakes": len(codes), "tried": len(ended), "noticed": len(ended) - len(lost), "alone": len(again),
        }  # fmt: skip
    for key in survivors:
        mutmut(python, folder, "show", key, into=folder / "survivors.diff")
    return {"files": files, "seconds": round(time.monotonic() - began), "seed": SEED, "by": MUTMUT}


def shown(found: dict[str, Any]) -> str:
    rows = [*found["files"].items(), ("all", total(found))]
    return "\n".join(
        f"{name}: {each['noticed']} of {each['tried']} noticed ({each['noticed'] / max(each['tried'], 1):.1%})"
        + (f", of {each['mistakes']} possible" if each["mistakes"] != each["tried"] else "")
        for name, each in rows
    )


def page(kept: dict[str, Any]) -> str:
    """Every target's newest figures, for docs/benchmarks.md."""
    lines = ["| what | possible mistakes | tried | noticed | share |", "| --- | --- | --- | --- | --- |"]
    for name, each in kept.items():
        sums = total(each)
        counts = f"{sums['mistakes']} | {sums['tried']} | {sums['noticed']} | {sums['noticed'] / sums['tried']:.0%}"
        lines.append(f"| {name} | {counts} |")
    return "\n".join([*lines, "", f"{MUTMUT.replace('==', ' ')}; seed {SEED}."])


def total(found: dict[str, Any]) -> dict[str, int]:
    return {key: sum(each[key] for each in found["files"].values()) for key in ("mistakes", "tried", "noticed")}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--sample", type=int, metavar="N", help="try only so many, chosen by a seed")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "slipway-mutation")
    args = parser.parse_args(argv)
    args.work.mkdir(parents=True, exist_ok=True)
    folder = args.work / args.target
    found = measured(TARGETS[args.target], args.work, folder, args.sample, args.processes)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept = dict(sorted((kept | {args.target: found}).items()))
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    write("mutation", page(kept))
    sys.stdout.write(f"{shown(found)}\nprogress and survivors: {folder}\n")


if __name__ == "__main__":
    main()
