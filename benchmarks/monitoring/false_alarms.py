"""How often the alarm is false: endpoint-years of hourly windows without drift, at many sizes and widths.

    python -m benchmarks.monitoring.false_alarms --columns 50 --rows 1000 --years 30
    python -m benchmarks.monitoring.false_alarms --columns 50 --rows 100 --baseline 300 --teaching 1000

Each simulated year has its own baseline and its own seed, and is one line of the results file; years that are there are
not simulated again, so a run may be stopped at any time. Tables: `python -m benchmarks.monitoring.tables`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.monitoring import world
from monitoring.verdict import HOURS_PER_YEAR, SPANS, Budget, Findings, Judge, Limits, Reference, Sums, lasting, limits

RESULTS = Path(__file__).parent / "results" / "false_alarms.jsonl"
HISTORY = max(SPANS)


def spans_of(chunk: Sums, before: Sums | None) -> tuple[list[Sums], Sums]:
    """For each span the sums that end at each window of the chunk, and what the next chunk must remember."""
    held = (
        chunk
        if before is None
        else Sums(
            np.concatenate([before.cells, chunk.cells]),
            np.concatenate([before.missing, chunk.missing]),
            np.concatenate([before.rows, chunk.rows]),
            None
            if before.products is None or chunk.products is None
            else np.concatenate([before.products, chunk.products]),
        )
    )
    running = held.each(lambda part: np.concatenate([np.zeros_like(part[:1]), np.cumsum(part, 0)]))
    ends = np.arange(len(held.rows) - len(chunk.rows), len(held.rows)) + 1
    spans = [running.each(lambda part, by=span: part[ends] - part[np.maximum(ends - by, 0)]) for span in SPANS]
    return spans, held.each(lambda part: part[-HISTORY:])


def alarms(
    decide: Judge, sums: list[Sums], reference: Reference, bound: Limits, minimum: int
) -> np.typing.NDArray[np.bool_]:
    """At each window of the chunk, whether any span raises the alarm."""
    fired = np.zeros(len(sums[0].rows), np.bool_)
    newer: Findings | None = None
    for each in sums:
        raw = decide.find(each, reference)
        found, newer = lasting(raw, newer), raw
        over = (found.log_p < bound.columns).any(-1) | (found.pair_log_p < bound.pairs)
        fired |= over & (each.rows >= minimum)
    return fired


def year(
    columns: int, rows: int, seed: int, *, baseline: int, hours: int, share: float, pairs: bool, teaching: int
) -> dict[str, object]:
    rng = np.random.default_rng([20261120, columns, rows, baseline, seed])
    budget = Budget()
    population = world.make(rng, columns, baseline, share, teaching)
    decide, bound = Judge(population.layout), limits(population.layout, budget)
    chunk = int(np.clip(2_000_000 // (columns * max(rows if pairs else 64, 64)) * 10, 8, 512))
    fired: list[np.typing.NDArray[np.bool_]] = []
    before: Sums | None = None
    for start in range(0, hours, chunk):
        size = min(chunk, hours - start)
        drawn = world.windows(population, rng, size, rows, pairs=pairs)
        sums, before = spans_of(drawn, before)
        fired.append(alarms(decide, sums, population.reference, bound, budget.minimum_rows))
    series = np.concatenate(fired)
    onsets = int((series & ~np.concatenate([[False], series[:-1]])).sum())
    return {"alarms": onsets, "windows_in_alarm": int(series.sum()), "hours": hours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--years", type=int, default=30)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--baseline", type=int, default=100_000)
    parser.add_argument("--teaching", type=int, default=0, help="rows that levels are known from; 0: the baseline's")
    parser.add_argument("--hours", type=int, default=HOURS_PER_YEAR)
    parser.add_argument("--categories", type=float, default=0.2, help="share of the columns that are categories")
    parser.add_argument("--no-pairs", action="store_true", help="leave correlations out (rows are then never drawn)")
    args = parser.parse_args()
    setting = {
        "columns": args.columns, "rows": args.rows, "baseline": args.baseline,
        "categories": args.categories, "pairs": not args.no_pairs,
    } | ({"teaching": args.teaching} if args.teaching else {})  # fmt: skip
    RESULTS.parent.mkdir(exist_ok=True)
    done = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    for seed in range(args.first, args.first + args.years):
        if any(line["seed"] == seed and line["setting"] == setting for line in done):
            continue
        began = time.perf_counter()
        found = year(
            args.columns,
            args.rows,
            seed,
            baseline=args.baseline,
            hours=args.hours,
            share=args.categories,
            pairs=not args.no_pairs,
            teaching=args.teaching,
        )
        line = {"setting": setting, "seed": seed, **found, "seconds": round(time.perf_counter() - began, 1)}
        with RESULTS.open("a") as out:
            out.write(json.dumps(line) + "\n")
        print(line, flush=True)


if __name__ == "__main__":
    main()
