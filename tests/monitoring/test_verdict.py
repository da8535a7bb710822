"""The alarm: what raises it, what does not, and that its bounds are bounds."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from scipy import stats

from contract.records import Column
from monitoring import evidence
from monitoring.baseline import scatter_of
from monitoring.layout import lay_out
from monitoring.profile import count
from monitoring.verdict import Budget, Matters, Reference, Sums, Verdict, blend, judge, reference_of, sums_of

COLUMNS = (Column("x", "number"), Column("y", "number"), Column("level", "category"), Column("predicted", "number"))


def rows(number: int, seed: int, *, shift: float = 0.0, missing: float = 0.0, new: float = 0.0, rho: float = 0.0,
         predicted: float = 0.0) -> pl.DataFrame:  # fmt: skip
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(number)
    y = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(number)
    level = np.where(rng.random(number) < new, "new", rng.choice(["a", "b", "c"], p=[0.6, 0.3, 0.1], size=number))
    x = np.where(rng.random(number) < 0.02 + missing, np.nan, x + shift)
    return pl.DataFrame({"x": x, "y": y, "level": level, "predicted": rng.random(number) + predicted})


@pytest.fixture(scope="module")
def reference() -> Reference:
    baseline = rows(50_000, 1)
    layout = lay_out(baseline, COLUMNS[:3], COLUMNS[3:])
    return reference_of(count(baseline, layout), scatter_of(baseline, layout))


def verdict(reference: Reference, *windows: pl.DataFrame, **settings: object) -> Verdict:
    sums = [sums_of(count(window, reference.layout)) for window in windows]
    return judge(sums, [reference] * len(sums), **settings)  # type: ignore[arg-type]


def test_a_window_like_the_baseline_is_quiet(reference: Reference) -> None:
    found = verdict(reference, *[rows(1_000, seed) for seed in range(10, 30)])
    assert (found.status, found.predictions, found.causes) == ("quiet", "quiet", ())


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        ({"shift": 0.5}, ("x",)),
        ({"missing": 0.05}, ("x",)),
        ({"new": 0.02}, ("level",)),
        ({"rho": 0.4}, ("x", "y")),
    ],
    ids=["shift", "missing", "new level", "correlation"],
)
def test_a_change_that_matters_raises_the_alarm_and_names_its_columns(
    reference: Reference, change: dict[str, float], columns: tuple[str, ...]
) -> None:
    found = verdict(reference, rows(5_000, 11, **change))
    assert found.status == "drift"
    assert found.predictions == "quiet"
    assert [set(cause.columns) for cause in found.causes] == [set(columns)]


def test_predictions_have_a_verdict_of_their_own(reference: Reference) -> None:
    found = verdict(reference, rows(2_000, 12, predicted=0.2))
    assert (found.status, found.predictions) == ("quiet", "drift")


def test_a_negligible_shift_in_a_million_rows_raises_nothing(reference: Reference) -> None:
    assert verdict(reference, rows(1_000_000, 13, shift=0.02)).status == "quiet"


def test_a_negligible_shift_is_found_by_someone_to_whom_it_matters(reference: Reference) -> None:
    found = verdict(reference, rows(1_000_000, 13, shift=0.04), matters=Matters(gap=0.01))
    assert found.status == "drift"


def test_a_shift_too_small_for_one_window_is_found_in_their_sum(reference: Reference) -> None:
    quiet = [rows(1_000, seed) for seed in range(40, 44)]
    moved = [rows(1_000, seed, shift=0.15) for seed in range(50, 58)]
    assert verdict(reference, *quiet, moved[0]).status == "quiet"
    found = verdict(reference, *quiet, *moved)
    assert found.status == "drift"
    assert found.causes[0].span > 1


def test_too_few_rows_are_not_enough_data_however_different_they_look(reference: Reference) -> None:
    assert verdict(reference, rows(20, 14, shift=9.0)).status == "not enough data"


def test_an_empty_window_is_not_enough_data(reference: Reference) -> None:
    assert verdict(reference, rows(1_000, 15).clear()).status == "not enough data"


def test_a_smaller_budget_asks_for_more_evidence(reference: Reference) -> None:
    window = rows(400, 16, shift=0.35)
    assert verdict(reference, window, budget=Budget(per_year=50)).status == "drift"
    assert verdict(reference, window, budget=Budget(per_year=1e-9)).status == "quiet"


def test_a_verdict_is_plain_json(reference: Reference) -> None:
    document = json.loads(json.dumps(verdict(reference, rows(2_000, 17, shift=0.5)).to_json()))
    assert document["causes"][0]["columns"] == ["x"]


def test_a_season_is_compared_with_itself(reference: Reference) -> None:
    night, day = rows(20_000, 60, shift=-0.5), rows(20_000, 61, shift=0.5)
    layout = lay_out(pl.concat([night, day]), COLUMNS[:3], COLUMNS[3:])
    by_season = [reference_of(count(each, layout)) for each in (night, day)]
    pooled = reference_of(count(pl.concat([night, day]), layout))
    windows = [sums_of(count(rows(2_000, 70 + i, shift=(-0.5, 0.5)[i % 2]), layout)) for i in range(6)]
    assert judge(windows[:1], [pooled]).status == "drift"
    assert judge(windows, [by_season[i % 2] for i in range(6)]).status == "quiet"
    moved = [sums_of(count(rows(2_000, 80, shift=0.5), layout))]
    assert judge(moved, [by_season[0]]).status == "drift"


def test_a_blend_of_seasons_is_worth_no_more_rows_than_there_are() -> None:
    layout = lay_out(rows(1_000, 1), COLUMNS[:1])
    first, second = (reference_of(count(rows(size, 2), layout)) for size in (1_000, 3_000))
    window = Sums(np.zeros((1, 64)), np.zeros(1), np.array(500))
    assert float(blend([window, window], [first, second]).sums.rows) == pytest.approx(3_000)


def test_the_bound_on_a_share_is_above_the_exact_tail_and_near_it() -> None:
    for hits, n, base, m in [
        (30, 1_000, 1_000, 100_000),
        (9, 10, 10, 100),
        (5, 5_000, 0, 100_000),
        (70, 900, 400, 20_000),
    ]:
        bound = float(np.exp(evidence.share_above(*(np.array(each) for each in (hits, n, base, m)))))
        exact = float(stats.hypergeom.sf(hits - 1, n + m, hits + base, n))
        assert exact * (1 - 1e-6) <= bound <= exact * 1.2


def test_the_bound_on_a_mean_score_is_above_how_often_chance_exceeds_it() -> None:
    rng = np.random.default_rng(5)
    base, scores = np.full(64, 800), np.linspace(-2, 2, 64)
    draws = rng.multinomial(200, np.full(64, 1 / 64), size=20_000)
    log_p = evidence.mean_differs(draws, base, scores, screen=0.0)
    for level in (0.1, 0.01, 0.001):
        assert (np.exp(log_p) <= level).mean() <= level
    assert (np.exp(log_p) <= 0.05).mean() > 0.001  # a bound, not a constant


def test_a_reference_takes_levels_seen_once_for_those_never_seen() -> None:
    frame = pl.DataFrame({"level": ["a"] * 50 + ["b"] * 40 + ["once", "twice", "twice"]})
    reference = reference_of(count(frame, lay_out(frame, [Column("level", "category")])))
    assert reference.sums.cells[0, -1] == 1
    assert reference.sums.cells.sum() == 93
