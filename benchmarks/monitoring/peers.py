"""Other drift libraries, each in an environment of its own that is made here, asked the same questions.

    python -m benchmarks.monitoring.peers --runs 40      the detection table at their defaults

What does not install is named and left out. The code that runs inside an environment is in `peer_workers.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from contract.records import Column, Schema
from monitoring import drift
from monitoring.baseline import Rows, build
from monitoring.profile import count
from monitoring.report.window import different
from monitoring.verdict import judge, sums_of

PLACE = Path(os.environ.get("SLIPWAY_PEERS", Path(tempfile.gettempdir()) / "slipway-peers"))
WORKERS = Path(__file__).with_name("peer_workers.py")
RESULTS = Path(__file__).parent / "results" / "peers.json"
NEEDS: dict[str, list[str]] = {
    "readers": ["duckdb==2.0.0", "pyarrow==26.0.1", "orjson==3.13.0", "polars==2.1.0", "numpy"],
    "evidently": ["evidently==0.7.23", "pandas<3", "pyarrow"],
    "nannyml": ["nannyml==0.13.1", "statsmodels", "pyarrow"],
    "alibi-detect": ["alibi-detect==0.13.0", "pandas", "pyarrow<21"],
    "frouros": ["frouros==0.9.0", "pandas", "pyarrow"],
}
DRIFT = ("nannyml", "frouros", "alibi-detect", "evidently")
SEED = 20261120
LEVELS = (5, 20, 100, 1_000, 10_000)


def environment(peer: str) -> Path | None:
    """The peer's Python, installing it at the first call; nothing when it does not install."""
    python = PLACE / peer / "bin" / "python"
    if not (PLACE / f"{peer}.done").exists():
        PLACE.mkdir(parents=True, exist_ok=True)
        for command in (
            ["uv", "venv", "--quiet", "--python", "3.11", str(PLACE / peer)],
            ["uv", "pip", "install", "--quiet", "--python", str(python), *NEEDS[peer]],
        ):
            made = subprocess.run(command, check=False, capture_output=True, text=True)
            if made.returncode:
                print(f"{peer} does not install: {made.stderr.strip().splitlines()[-1:]}")
                return None
        (PLACE / f"{peer}.done").touch()
    return python


def run(peer: str, arguments: list[str], limit: int = 900) -> dict[str, Any]:
    """What the peer's worker printed last, as JSON."""
    python = environment(peer)
    if python is None:
        return {"error": "does not install"}
    quiet = {
        "NML_DISABLE_USAGE_LOGGING": "1",
        "DO_NOT_TRACK": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONWARNINGS": "ignore",
    }
    try:
        done = subprocess.run(
            [str(python), str(WORKERS), peer, *arguments], check=False, capture_output=True, text=True, timeout=limit,
            env=dict(os.environ, **quiet),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"not done in {limit} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return {"error": (done.stderr.strip().splitlines() or ["nothing printed"])[-1][:200]}
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


# --- The same windows for everyone.


def table(rng: np.random.Generator, rows: int, case: str = "none") -> pl.DataFrame:
    numbers = {f"n{i}": rng.standard_normal(rows) for i in range(20)}
    missing = 0.05 if case == "missing 2 to 5 %" else 0.02
    if case == "0.1 sigma in one":
        numbers["n0"] += 0.1
    if case == "0.25 sigma in one":
        numbers["n0"] += 0.25
    if case == "0.02 sigma in all":
        numbers = {name: values + 0.02 for name, values in numbers.items()}
    if case == "unit change":
        numbers["n2"] = 1.8 * numbers["n2"] + 32
    if case == "correlation only":
        numbers["n4"] = 0.3 * numbers["n3"] + np.sqrt(1 - 0.09) * numbers["n4"]
    numbers["n1"] = np.where(rng.random(rows) < missing, np.nan, numbers["n1"])
    levels: dict[str, pl.Series] = {}
    for i, known in enumerate(LEVELS):
        mass = 1 / np.arange(1, known + 1)
        drawn = np.searchsorted(np.cumsum(mass / mass.sum()), rng.random(rows) * (1 - 1e-12)).astype(str).astype(object)
        if case == "new category, 1 %" and i == 1:
            drawn[rng.random(rows) < 0.01] = "new"
        levels[f"c{i}"] = pl.Series(drawn.astype(str))
    return pl.DataFrame({**{name: pl.Series(values, nan_to_null=True) for name, values in numbers.items()}, **levels})


CASES = (
    "none", "0.1 sigma in one", "0.25 sigma in one", "new category, 1 %", "missing 2 to 5 %", "unit change",
    "correlation only", "0.02 sigma in all",
)  # fmt: skip


def ours(reference: pl.DataFrame, windows: list[Path]) -> tuple[list[bool], list[bool]]:
    """For each window: does the alarm sound, and does the report list anything?"""
    columns = (
        *(Column(f"n{i}", "number") for i in range(20)),
        *(Column(f"c{i}", "category") for i in range(len(LEVELS))),
    )
    baseline = build(lambda: [Rows(reference)], Schema(columns, "y", "regression"))
    alarms: list[bool] = []
    listed: list[bool] = []
    for path in windows:
        window = count(pl.read_parquet(path), baseline.layout)
        verdict = judge([sums_of(window)], [baseline.reference_at()])
        measured = drift.measure(drift.Table(baseline.reference_at(), baseline.profile, window))
        alarms.append(verdict.status == "drift")
        listed.append(any(verdict.effects[name] >= 1 for name in different(measured)) or alarms[-1])
    return alarms, listed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 5_000])
    parser.add_argument(
        "--only", nargs="+", choices=("ours", *DRIFT), default=("ours", *DRIFT), help="others keep theirs"
    )
    args = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"seed": SEED, "table": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = table(np.random.default_rng(SEED), 100_000)
        reference.write_parquet(folder / "reference.parquet")
        for rows in args.rows:
            for number, case in enumerate(CASES):
                for seed in range(args.runs):
                    rng = np.random.default_rng([SEED, rows, number, seed])
                    table(rng, rows, case).write_parquet(folder / f"{rows}-{number}-{seed:03d}.parquet")
        for each in args.only:
            told = answers_of_ours(reference, folder) if each == "ours" else detected(each, folder, args.runs)
            print(each, json.dumps(told)[:300], flush=True)
            keep(found, each, told)
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(found, indent=1))


def detected(peer: str, folder: Path, runs: int) -> dict[str, Any]:
    return run(peer, ["detect", str(folder / "reference.parquet"), str(folder), str(runs)], 2400)


def answers_of_ours(reference: pl.DataFrame, folder: Path) -> dict[str, Any]:
    groups: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*-*-*.parquet")):
        groups.setdefault(path.stem.rsplit("-", 1)[0], []).append(path)
    both = {key: ours(reference, paths) for key, paths in groups.items()}
    return {
        "shares": {key: float(np.mean(alarms)) for key, (alarms, _) in both.items()},
        "listed": {key: float(np.mean(listed)) for key, (_, listed) in both.items()},
        "runs": len(next(iter(groups.values()))),
    }


def keep(found: dict[str, Any], who: str, told: dict[str, Any]) -> None:
    names = {"shares": who if who != "ours" else "ours: alarm that pages", "listed": "ours: listed in the report"}
    for kind, name in names.items():
        for key, share in told.get(kind, {}).items():
            rows, number = key.split("-")
            found["table"].setdefault(rows, {}).setdefault(CASES[int(number)], {})[name] = share
            found.setdefault("runs", {})[name] = told["runs"]
    found.setdefault("errors", {}).pop(who, None)
    if "error" in told:
        found["errors"][who] = told["error"]


if __name__ == "__main__":
    main()
