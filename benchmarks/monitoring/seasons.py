"""The same for a population with a daily season: a baseline of its own for each hour, and for comparison one for all.

    python -m benchmarks.monitoring.seasons --years 5

Every numeric column moves by half a standard deviation up and down within a day. Lines go to the same results file.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import polars as pl

from benchmarks.monitoring import world
from benchmarks.monitoring.false_alarms import HISTORY, RESULTS, spans_of
from contract.records import Column
from monitoring.layout import Layout, NumericColumn, lay_out
from monitoring.profile import count, merged
from monitoring.verdict import HOURS_PER_YEAR, SPANS, Budget, Judge, Reference, Sums, blend, limits, reference_of

HOURS = 24
SWING = 0.5


def shift(hour: int) -> float:
    return SWING * float(np.sin(2 * np.pi * hour / HOURS))


def draw(rng: np.random.Generator, columns: int, rows: int, hour: int) -> pl.DataFrame:
    return pl.DataFrame({f"n{i}": world.numeric("normal", rng, rows, shift(hour)) for i in range(columns)})


def day(layout: Layout, rng: np.random.Generator, days: int, rows: int) -> Sums:
    """Whole days of windows, in order."""
    number = days * HOURS
    cells = np.zeros((number, len(layout.columns), 64), np.int32)
    missing = np.zeros((number, len(layout.columns)), np.int64)
    moved = np.array([shift(hour) for hour in range(HOURS)] * days)[:, None]
    for i, column in enumerate(layout.columns):
        if isinstance(column, NumericColumn):
            drawn = world.numeric("normal", rng, number * rows).reshape(number, rows) + moved
            world.fill(cells, missing, i, column, drawn)
    return Sums(cells.astype(np.int64), missing, np.full(number, rows))


def year(columns: int, rows: int, seed: int, *, baseline: int, days: int) -> dict[str, Any]:
    rng = np.random.default_rng([20261121, columns, rows, baseline, seed])
    frames = [draw(rng, columns, baseline // HOURS, hour) for hour in range(HOURS)]
    layout = lay_out(pl.concat(frames), [Column(name, "number") for name in frames[0].columns])
    profiles = [count(frame, layout) for frame in frames]
    own, pooled = [reference_of(each) for each in profiles], reference_of(merged(profiles, layout))
    one = Sums(np.zeros((columns, 64)), np.zeros(columns), np.array(rows))
    budget = Budget()
    decide, bound = Judge(layout), limits(layout, budget)

    def over(sums: Sums, reference: Reference) -> np.typing.NDArray[np.bool_]:
        return (decide.find(sums, reference).log_p < bound.columns).any(-1) & (sums.rows >= budget.minimum_rows)

    blended = {
        (hour, span): blend([one] * span, [own[(hour - back) % HOURS] for back in reversed(range(span))])
        for hour in range(HOURS)
        for span in SPANS
    }
    fired: list[np.typing.NDArray[np.bool_]] = []
    pooled_share, before = 0.0, None
    for start in range(0, days, 10):
        size = min(10, days - start)
        sums, before = spans_of(day(layout, rng, size, rows), before)
        found = np.zeros(size * HOURS, np.bool_)
        for span, held in zip(SPANS, sums, strict=True):
            for hour in range(HOURS):
                found[hour::HOURS] |= over(held.each(lambda part, at=hour: part[at::HOURS]), blended[hour, span])
        if start == 0:
            pooled_share = float(np.mean(np.any([over(held, pooled) for held in sums], axis=0)))
        fired.append(found)
    series = np.concatenate(fired)[HISTORY:]  # before that, the longer spans are not yet full of hours
    onsets = int((series & ~np.concatenate([[False], series[:-1]])).sum())
    return {
        "alarms": onsets,
        "windows_in_alarm": int(series.sum()),
        "hours": len(series),
        "pooled_share": pooled_share,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--years", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--baseline", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=HOURS_PER_YEAR // HOURS)
    args = parser.parse_args()
    setting = {"columns": args.columns, "rows": args.rows, "baseline": args.baseline}
    setting |= {"categories": 0.0, "pairs": False, "season": "yes"}
    RESULTS.parent.mkdir(exist_ok=True)
    done = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    for seed in range(args.first, args.first + args.years):
        if any(line["seed"] == seed and line["setting"] == setting for line in done):
            continue
        began = time.perf_counter()
        found = year(args.columns, args.rows, seed, baseline=args.baseline, days=args.days)
        line = {"setting": setting, "seed": seed, **found, "seconds": round(time.perf_counter() - began, 1)}
        with RESULTS.open("a") as out:
            out.write(json.dumps(line) + "\n")
        print(line, flush=True)


if __name__ == "__main__":
    main()
