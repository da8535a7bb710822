"""How soon a real change is found: shifts of several sizes and kinds, after months of quiet windows.

    python -m benchmarks.monitoring.detection --runs 400

Every run has its own baseline. The changed column is one of 50: the alarm's limits are those of 50 columns.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.monitoring.false_alarms import HISTORY, spans_of
from contract.records import Column
from monitoring.layout import lay_out
from monitoring.profile import Profile, count
from monitoring.verdict import Budget, Findings, Judge, Limits, Reference, Sums, lasting, limits, reference_of, sums_of

RESULTS = Path(__file__).parent / "results" / "detection.jsonl"
COLUMNS = 50

Draw = Callable[[np.random.Generator, int], pl.DataFrame]


@dataclass(frozen=True)
class Case:
    """A change, the windows it comes in, and after how many of them it should have been found."""

    name: str
    rows: int
    windows: int
    kind: str
    before: Draw
    after: Draw
    goal: str


def shift(sigma: float) -> Draw:
    return lambda rng, rows: pl.DataFrame({"x": rng.standard_normal(rows) + sigma})


def levels(new: float) -> Draw:
    def draw(rng: np.random.Generator, rows: int) -> pl.DataFrame:
        known = rng.choice(["a", "b", "c", "d", "e"], p=[0.5, 0.2, 0.15, 0.1, 0.05], size=rows)
        return pl.DataFrame({"x": np.where(rng.random(rows) < new, "new", known)})

    return draw


def missing(share: float) -> Draw:
    return lambda rng, rows: pl.DataFrame(
        {"x": pl.Series(np.where(rng.random(rows) < share, np.nan, rng.standard_normal(rows)), nan_to_null=True)}
    )


def unit(factor: float) -> Draw:
    return lambda rng, rows: pl.DataFrame({"x": factor * (20 + 5 * rng.standard_normal(rows))})


def pair(rho: float) -> Draw:
    def draw(rng: np.random.Generator, rows: int) -> pl.DataFrame:
        x, y = rng.standard_normal((2, rows))
        return pl.DataFrame({"x": x, "y": rho * x + np.sqrt(1 - rho * rho) * y})

    return draw


CASES = (
    Case("shift of 0.5 sigma", 100, 5, "number", shift(0), shift(0.5), "95 % within 500 rows"),
    Case("shift of 0.25 sigma", 1000, 2, "number", shift(0), shift(0.25), "95 % within 2,000 rows"),
    Case("shift of 0.1 sigma", 1000, 12, "number", shift(0), shift(0.1), "median within 6 windows"),
    Case("new category, 1 %", 1000, 5, "category", levels(0), levels(0.01), "95 % within 5,000 rows"),
    Case("missing 2 to 5 %", 1000, 5, "number", missing(0.02), missing(0.05), "95 % within 5,000 rows"),
    Case("unit change, C to F", 1000, 5, "number", unit(1.0), unit(1.8), "95 % within 5,000 rows"),
    Case("correlation only, 0 to 0.3", 1000, 5, "number", pair(0.0), pair(0.3), "95 % within 5,000 rows"),
    Case("negligible, 0.02 sigma", 1_000_000, 1, "number", shift(0), shift(0.02), "nothing found"),
)


def fifty(layout_limits: Limits, columns: int) -> Limits:
    """The limits of 50 columns (and of all their pairs), for a table of one or two of them."""
    pairs = COLUMNS * (COLUMNS - 1) / 2 / max(columns * (columns - 1) / 2, 1)
    return Limits(layout_limits.columns - np.log(COLUMNS / columns), layout_limits.pairs - np.log(pairs))


def run(case: Case, seed: int) -> int | None:
    """After how many changed windows the alarm was raised, or nothing."""
    rng = np.random.default_rng([20261120, CASES.index(case), seed])
    sample = case.before(rng, 100_000)
    layout = lay_out(
        sample, [Column(name, "category" if case.kind == "category" else "number") for name in sample.columns]
    )
    base = count(sample, layout, 1)
    reference = reference_of(base)
    bound = fifty(limits(layout, Budget()), len(layout.columns))
    history = HISTORY if case.rows < 100_000 else 0
    profiles = [count(case.before(rng, case.rows), layout, 1) for _ in range(history)]
    profiles += [count(case.after(rng, case.rows), layout, 1) for _ in range(case.windows)]
    for number, found in enumerate(fired(profiles, reference, bound)[history:], 1):
        if found:
            return number
    return None


def fired(profiles: list[Profile], reference: Reference, bound: Limits) -> list[bool]:
    each = [sums_of(profile) for profile in profiles]
    series = Sums(
        np.stack([one.cells for one in each]),
        np.stack([one.missing for one in each]),
        np.stack([one.rows for one in each]),
        np.stack([one.products for one in each if one.products is not None]),
    )
    decide, found = Judge(reference.layout), np.zeros(len(profiles), np.bool_)
    newer: Findings | None = None
    for span in spans_of(series, None)[0]:
        raw = decide.find(span, reference)
        result, newer = lasting(raw, newer), raw
        found |= (result.log_p < bound.columns).any(-1) | (result.pair_log_p < bound.pairs)
    return [bool(one) for one in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    args = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    done = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    for case in CASES:
        if any(line["case"] == case.name and line["runs"] >= args.runs for line in done):
            continue
        runs = min(args.runs, 20) if case.rows >= 100_000 else args.runs
        after = [run(case, seed) for seed in range(runs)]
        line = {"case": case.name, "goal": case.goal, "rows": case.rows, "windows": case.windows, "runs": args.runs,
                "simulated": runs, "after": after}  # fmt: skip
        with RESULTS.open("a") as out:
            out.write(json.dumps(line) + "\n")
        hit = sum(one is not None for one in after)
        delays = sorted(one if one is not None else case.windows + 1 for one in after)
        print(f"{case.name}: {hit}/{runs}, median {delays[len(delays) // 2]} windows; goal: {case.goal}", flush=True)


if __name__ == "__main__":
    main()
