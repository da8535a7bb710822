"""Other drift libraries, each in an environment of its own that is made here, asked the same questions.

    python -m benchmarks.monitoring.peers      ours and theirs, at their defaults, on the same seeded windows: one table

What does not install is named and left out. The code that runs inside an environment is in `peer_workers.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
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
    "gbstats": ["gbstats==0.8.0", "numpy<2", "pandas<2"],
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


@dataclass(frozen=True)
class Case:
    """A change, and the rows within which it should be found; without one, nothing should be."""

    name: str
    rows: int

    @property
    def label(self) -> str:
        return f"{self.name}, {self.rows:,} rows"

    def runs(self, asked: int) -> int:
        """The largest windows take some libraries a minute each."""
        return min(asked, 2 if self.rows >= 1_000_000 else 5 if self.rows >= 100_000 else asked)


CASES = (
    *(Case("no drift", rows) for rows in (20, 100, 1_000, 100_000)),
    Case("0.02 sigma in all", 1_000_000),
    Case("0.5 sigma in one", 500),
    Case("0.25 sigma in one", 2_000),
    Case("0.1 sigma in one", 6_000),
    *(Case(name, 5_000) for name in ("new category, 1 %", "missing 2 to 5 %", "unit change", "correlation only")),
)  # fmt: skip
NUMBERS, CATEGORIES = 40, 10
REFERENCE = 100_000


def table(rng: np.random.Generator, rows: int, case: str = "no drift") -> pl.DataFrame:
    numbers = {f"n{i}": rng.standard_normal(rows) for i in range(NUMBERS)}
    missing = 0.05 if case == "missing 2 to 5 %" else 0.02
    if case.endswith("sigma in one"):
        numbers["n0"] += float(case.split(maxsplit=1)[0])
    if case == "0.02 sigma in all":
        numbers = {name: values + 0.02 for name, values in numbers.items()}
    if case == "unit change":
        numbers["n2"] = 1.8 * numbers["n2"] + 32
    if case == "correlation only":
        numbers["n4"] = 0.3 * numbers["n3"] + np.sqrt(1 - 0.09) * numbers["n4"]
    numbers["n1"] = np.where(rng.random(rows) < missing, np.nan, numbers["n1"])
    levels: dict[str, pl.Series] = {}
    for i in range(CATEGORIES):
        mass = 1 / np.arange(1, LEVELS[i % len(LEVELS)] + 1)
        drawn = np.searchsorted(np.cumsum(mass / mass.sum()), rng.random(rows) * (1 - 1e-12)).astype(str).astype(object)
        if case == "new category, 1 %" and i == 1:
            drawn[rng.random(rows) < 0.01] = "new"
        levels[f"c{i}"] = pl.Series(drawn.astype(str))
    return pl.DataFrame({**{name: pl.Series(values, nan_to_null=True) for name, values in numbers.items()}, **levels})


def ours(reference: pl.DataFrame, windows: list[Path]) -> tuple[list[bool], list[bool]]:
    """For each window: does the alarm sound, and does the report list anything?"""
    columns = (
        *(Column(f"n{i}", "number") for i in range(NUMBERS)),
        *(Column(f"c{i}", "category") for i in range(CATEGORIES)),
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
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument(
        "--only", nargs="+", choices=("ours", *DRIFT), default=("ours", *DRIFT), help="others keep theirs"
    )
    args = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found = found if found.get("cases") == [case.label for case in CASES] else {}
    found |= {"seed": SEED, "cases": [case.label for case in CASES]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table(np.random.default_rng(SEED), REFERENCE).write_parquet(folder / "reference.parquet")
        for number, case in enumerate(CASES):
            for seed in range(case.runs(args.runs)):
                rng = np.random.default_rng([SEED, number, seed])
                table(rng, case.rows, case.name).write_parquet(folder / f"{number:02d}-{seed:03d}.parquet")
        for each in args.only:
            told = answers_of_ours(folder) if each == "ours" else detected(each, folder, args.runs)
            keep(found, each, told)
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(found, indent=1))
            print(f"{each}: {told.get('error', 'done')}", flush=True)
    print(shown(found))


def detected(peer: str, folder: Path, runs: int) -> dict[str, Any]:
    return run(peer, ["detect", str(folder / "reference.parquet"), str(folder), str(runs)], 3600)


def answers_of_ours(folder: Path) -> dict[str, Any]:
    groups: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*-*.parquet")):
        groups.setdefault(path.stem.split("-")[0], []).append(path)
    reference = pl.read_parquet(folder / "reference.parquet")
    both = {key: ours(reference, paths) for key, paths in groups.items()}
    return {
        "shares": {key: [sum(alarms), len(alarms)] for key, (alarms, _) in both.items()},
        "listed": {key: [sum(listed), len(listed)] for key, (_, listed) in both.items()},
    }


def keep(found: dict[str, Any], who: str, told: dict[str, Any]) -> None:
    names = {"shares": who if who != "ours" else "ours: the alarm", "listed": "ours: the report"}
    for kind, name in names.items():
        for key, hits in told.get(kind, {}).items():
            found.setdefault("table", {}).setdefault(CASES[int(key)].label, {})[name] = hits
    found.setdefault("errors", {}).pop(who, None)
    if "error" in told:
        found["errors"][who] = told["error"]


def shown(found: Mapping[str, Any]) -> str:
    """Windows with any alarm, of the windows asked about; ours and theirs side by side."""
    rows = found.get("table", {})
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [["windows of 50 columns", *names], ["---"] * (len(names) + 1)]
    for label in found.get("cases", ()):
        hits = [rows.get(label, {}).get(name) for name in names]
        lines.append([label, *("-" if each is None else f"{each[0]} of {each[1]}" for each in hits)])
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    errors = [f"- {peer}: {why}" for peer, why in found.get("errors", {}).items()]
    return "\n".join([table, *(["", "Not measured:", "", *errors] if errors else [])])


if __name__ == "__main__":
    main()
