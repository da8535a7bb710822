"""The conformance suite: every file in monitoring/drift is found here and must keep these promises."""

from __future__ import annotations

import doctest
import importlib
import math
import pkgutil
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from monitoring import drift
from monitoring.drift import DriftMetric, Score, Table, compare

ROWS = 4_000
METRICS = sorted(drift.metrics().values(), key=lambda metric: metric.name)
every_metric = pytest.mark.parametrize("metric", METRICS, ids=[metric.name for metric in METRICS])


def table(
    seed: int, rows: int = ROWS, change: Callable[[pl.DataFrame], pl.DataFrame] = lambda frame: frame
) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    amount = np.exp(rng.standard_normal(rows))
    levels = rng.choice([f"level {i}" for i in range(300)], p=(w := 1 / np.arange(1, 301)) / w.sum(), size=rows)
    frame = pl.DataFrame(
        {
            "x": pl.Series(np.where(rng.random(rows) < 0.03, np.nan, x), nan_to_null=True),
            "amount": amount,
            "kind": rng.choice(["a", "b", "c"], p=[0.7, 0.2, 0.1], size=rows),
            "many": levels,
        }
    )
    return change(frame)


def everything_moved(frame: pl.DataFrame) -> pl.DataFrame:
    """A change every metric must see."""
    rng = np.random.default_rng(99)
    x = pl.Series(
        np.where(rng.random(frame.height) < 0.3, np.nan, rng.standard_normal(frame.height) + 1.5), nan_to_null=True
    )
    return frame.with_columns(
        x.alias("x"),
        (x.fill_null(0.0) * 100 + rng.standard_normal(frame.height)).alias("amount"),
        pl.Series("kind", rng.choice(["a", "z"], size=frame.height)),
        pl.Series("many", rng.choice(["level 7", "nowhere"], size=frame.height)),
    )


def scores(metric: DriftMetric, beside: Table) -> list[Score]:
    if metric.of_table is not None:
        return [metric.of_table(beside)]
    assert metric.of_pair is not None
    return [metric.of_pair(pair) for pair in beside.columns if metric.applies_to(pair.column)]


@pytest.fixture(scope="module")
def same() -> Table:
    return compare(table(1), table(2))


@pytest.fixture(scope="module")
def moved() -> Table:
    return compare(table(1), table(2, change=everything_moved))


def test_each_metric_file_is_found_and_named_after_its_file() -> None:
    files = {each.name for each in pkgutil.iter_modules(drift.__path__) if not each.name.startswith("_")}
    assert {metric.name for metric in METRICS} == files
    assert len(files) >= 10


@every_metric
def test_a_metric_says_what_it_is_and_shows_it_in_an_example_that_runs(metric: DriftMetric) -> None:
    module = importlib.import_module(f"monitoring.drift.{metric.name}")
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0
    assert metric.says.endswith(".")
    assert (metric.of_pair is None) != (metric.of_table is None)


@every_metric
def test_a_score_is_a_number_with_an_interval_and_a_p_value(metric: DriftMetric, same: Table, moved: Table) -> None:
    for score in scores(metric, same) + scores(metric, moved):
        assert math.isfinite(score.value)
        assert score.low <= score.high
        assert 0 <= score.p <= 1


@every_metric
def test_what_moved_scores_higher_and_is_surprising(metric: DriftMetric, same: Table, moved: Table) -> None:
    before, after = scores(metric, same), scores(metric, moved)
    assert max(abs(score.value) for score in after) > 2 * max(abs(score.value) for score in before) or (
        metric.name == "domain_classifier" and after[0].value > before[0].value + 0.2
    )
    assert min(score.p for score in after) <= 0.001


@every_metric
def test_a_metric_gives_the_same_answer_twice(metric: DriftMetric, same: Table) -> None:
    assert scores(metric, same) == scores(metric, compare(table(1), table(2)))


@every_metric
@pytest.mark.parametrize("rows", [0, 1, 2, 19], ids=lambda rows: f"{rows} rows")
def test_a_tiny_window_is_measured_without_a_surprise(metric: DriftMetric, rows: int) -> None:
    for score in scores(metric, compare(table(1), table(2, rows=max(rows, 1)).head(rows))):
        assert not math.isnan(score.value)
        assert score.p >= 1e-4


@every_metric
@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.with_columns(pl.lit(None, pl.Float64).alias("x"), pl.lit(None, pl.String).alias("kind")),
        lambda frame: frame.with_columns(pl.lit(7.0).alias("x"), pl.lit("a").alias("kind")),
        lambda frame: frame.with_columns(pl.lit(math.inf).alias("x"), pl.lit(-1e300).alias("amount")),
        lambda frame: frame.drop("x", "many"),
    ],
    ids=["all missing", "constant", "infinite", "vanished"],
)
def test_garbage_gives_a_score_and_never_an_error(
    metric: DriftMetric, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    for score in scores(metric, compare(table(1), table(2, rows=500, change=change))):
        assert not math.isnan(score.value)
        assert 0 <= score.p <= 1


@every_metric
@pytest.mark.parametrize("rows", [60, 1_000], ids=lambda rows: f"{rows} rows")
def test_p_values_are_honest_at_the_size_of_the_window(metric: DriftMetric, rows: int) -> None:
    baseline = table(1, rows=20_000)
    first = compare(baseline, table(1_000, rows=rows))
    small, total = 0, 0
    for seed in range(60):
        window = drift.count(table(1_000 + seed, rows=rows), first.window.layout, 1)
        found = scores(metric, Table(first.reference, first.baseline, window))
        small += sum(score.p <= 0.02 for score in found)
        total += len(found)
    # Three standard deviations above 2 %, so that a fair metric passes always.
    assert small <= 0.02 * total + 3 * math.sqrt(0.02 * 0.98 * total) + 1


def test_all_scores_of_a_window_are_plain_values(moved: Table) -> None:
    measured = drift.measure(moved)
    assert set(measured.columns) == {"x", "amount", "kind", "many"}
    assert measured.p_values["kind"] < 1e-6
    assert "psi" in measured.to_json()["columns"]["x"]


def test_simes_pays_for_looking_at_several_metrics() -> None:
    assert drift.simes([0.01, 0.5, 0.9]) == pytest.approx(0.03)
    assert drift.simes([]) == 1.0
