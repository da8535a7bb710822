"""Measure what the quality of outcomes promises: the watch over decay, the bounds of measures, the estimate.

    python benchmarks/monitoring/simulate_outcomes.py

Writes docs/statistics-outcomes.md. One seed a section.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from monitoring.outcomes import measures
from monitoring.outcomes.decay import STEPS, Misses, Watch, restarted
from monitoring.outcomes.estimate import estimate_of_two_classes

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "statistics-outcomes.md"
YEAR, WEEK = 8760, 24 * 7  # in hourly looks
RATE = 0.2  # of misses
CLASSES = ("no", "yes")


def bounded(hits: int, runs: int) -> str:
    """A share with its exact 95 % bounds."""
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, runs - hits + 1))
    high = 1.0 if hits == runs else float(beta.ppf(0.975, hits + 1, runs - hits))
    return f"{100 * hits / runs:.3g} % ({100 * low:.3g} to {100 * high:.3g} %)"


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def first_alarms(labels: int, rows: int, changed: float, at: int, runs: int) -> NDArray[np.int64]:
    """The look at which each run alarms, or -1 in a year without; misses change at a look.

    Every run draws its own reference; outcomes of one of two classes arrive each hour, the other class stays as it is.
    """
    rng = np.random.default_rng([labels, rows, round(1e4 * changed)])
    watches = [
        Watch({"yes": Misses(rows, int(each)), "no": Misses(rows, int(each))})
        for each in rng.binomial(rows, RATE, runs)
    ]
    limits = np.array([watch.limits["yes"] for watch in watches])
    evidence = np.zeros((runs, len(STEPS)))
    first = np.full(runs, -1)
    for look in range(YEAR):
        missed = rng.binomial(labels, changed if look >= at else RATE, runs)
        evidence = restarted(evidence, labels, missed, limits)
        first[(evidence.mean(axis=1) >= watches[0].threshold) & (first < 0)] = look
        if (first >= 0).all():
            break
    return first


def delay(labels: int, rows: int, changed: float) -> str:
    first = first_alarms(labels, rows, changed, WEEK, 100)
    if (first < 0).mean() > 0.5:
        return "more than a year"
    return f"{np.median(np.where(first < 0, YEAR, first) - WEEK + 1):,.0f}"


def watch() -> str:
    rows = []
    for labels in (3, 30, 300):
        for size in (200, 2000):
            false = int((first_alarms(labels, size, RATE, YEAR, 300) >= 0).sum())
            delays = [delay(labels, size, worse) for worse in (0.3, 0.4)]
            rows.append([str(labels), f"{size:,}", bounded(false, 300), *delays])
            print(rows[-1], flush=True)
    heads = [
        "outcomes an hour",
        "reference rows of the class",
        "alarm in a year",
        "hours to see 20 to 30 %",
        "20 to 40 %",
    ]
    return table(heads, rows)


def bounds() -> str:
    rng = np.random.default_rng(1)
    chance = rng.beta(2, 3, 1_000_000)
    actual = rng.random(len(chance)) < chance

    def measured(part: slice) -> dict[str, measures.Measure]:
        predicted, named = np.where(chance[part] > 0.5, "yes", "no"), np.where(actual[part], "yes", "no")
        return measures.of_classes(predicted, named, chance[part], CLASSES)

    truth = measured(slice(None))
    names = [name for name, each in truth.items() if each.low is not None]
    rows = []
    for size in (50, 500):
        parts = [measured(slice(start, start + size)) for start in range(0, 1000 * size, size)]
        for name in names:
            value = truth[name].value or 0.0
            held = [each[name] for each in parts if each[name].low is not None]
            inside = sum((each.low or 0.0) <= value <= (each.high or 0.0) for each in held)
            rows.append([name, str(size), bounded(inside, len(held)) if held else "no bounds"])
    return table(["measure", "rows", "bounds hold the true value"], rows)


def estimates() -> str:
    rng = np.random.default_rng(2)
    rows = []
    for name, shape, believed in (
        ("as in the reference", (0.7, 0.7), 1.0),
        ("harder inputs, probabilities still right", (3.0, 3.0), 1.0),
        ("inputs mean something else (concept drift)", (0.7, 0.7), 0.3),
    ):
        chance = rng.beta(*shape, 20_000)
        actual = rng.random(len(chance)) < 0.5 + believed * (chance - 0.5)
        expected = estimate_of_two_classes(chance, chance > 0.5)
        known = measures.of_classes(np.where(chance > 0.5, "yes", "no"), np.where(actual, "yes", "no"), chance, CLASSES)
        for measure in ("accuracy", "f1", "auc"):
            values = [found[measure].value for found in (expected, known)]
            rows.append([name, measure, *("-" if each is None else f"{each:.3f}" for each in values)])
    return table(["live inputs", "measure", "estimate", "truth, later"], rows)


def main() -> int:
    page = f"""# Outcomes: the promises, measured

Written by `benchmarks/monitoring/simulate_outcomes.py` ({platform.machine()}, {os.cpu_count()} cores, Python
{platform.python_version()}, numpy {np.__version__}); do not edit.

## The watch over decay

Two classes with a miss rate of 20 %, hourly looks for a year, one false alarm per {YEAR:,} looks asked for over both;
300 runs, each with a reference of its own, no decay: runs with an alarm. Then a decay after a week, 100 runs: median
looks to the alarm. One point more than the reference's upper bound is tolerated, so a small reference sees small decays
late.

{watch()}

## Bounds of measures

1,000 samples of a calibrated model's predictions, nominal 95 %.

{bounds()}

## The estimate before outcomes

20,000 predictions. The estimate follows inputs that became harder; it cannot see concept drift.

{estimates()}
"""
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
