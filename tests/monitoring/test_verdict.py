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
from monitoring.layout import NumericColumn, lay_out
from monitoring.profile import count
from monitoring.verdict import (
    Budget,
    Findings,
    Judge,
    Matters,
    Reference,
    Sums,
    Verdict,
    blend,
    judge,
    limits,
    reference_of,
    sums_of,
)

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


@pytest.mark.parametrize("after", [1, 3, 7])
def test_what_is_over_raises_no_alarm_again(reference: Reference, after: int) -> None:
    """Summed with the windows after it, a wrong hour stays certain for days."""
    wrong, right = rows(2_000, 90, shift=1.5, predicted=0.5), [rows(2_000, 91 + number) for number in range(after)]
    assert verdict(reference, wrong).status == "drift"
    found = verdict(reference, wrong, *right)
    assert (found.status, found.predictions) == ("quiet", "quiet")
    assert verdict(reference, *right, wrong).status == "drift"


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
    assert reference.sums.cells[0, -1] == 0
    assert reference.rest.high[0, -1] == pytest.approx(1 / 93)
    assert reference.rest.rows[0, -1] == pytest.approx(93 / 3)  # a level seen twice makes it less certain


# --- What a verdict is made of, against the same sums written another way.


def found_in(reference: Reference, window: pl.DataFrame, matters: Matters | None = None) -> Findings:
    return Judge(reference.layout, matters).find(sums_of(count(window, reference.layout)), reference)


def test_an_hour_has_the_budget_of_a_year_shared_over_looks_and_spans() -> None:
    assert Budget().per_look == pytest.approx(np.log(0.5 / 8760 / 8))
    assert Budget(2.0, 365).per_look == pytest.approx(np.log(2.0 / 365 / 8))


def test_the_budget_is_shared_over_columns_pairs_and_predictions(reference: Reference) -> None:
    bound = limits(reference.layout, Budget())
    shares = np.exp(bound.columns - Budget().per_look)
    assert shares.tolist() == pytest.approx([0.65 / 3] * 3 + [0.2])
    assert float(np.exp(bound.pairs - Budget().per_look)) == pytest.approx(0.15)


def test_effects_are_in_units_of_what_matters(reference: Reference) -> None:
    frame = rows(4_000, 21, shift=0.3, missing=0.02, new=0.01, rho=0.3)
    window = count(frame, reference.layout)
    found = found_in(reference, frame)
    base = reference.sums
    for column in (1, 3):
        now = np.cumsum(window.cells[column]) / window.cells[column].sum()
        then = np.cumsum(base.cells[column]) / base.cells[column].sum()
        assert found.effect[column] == pytest.approx(np.abs(now - then).max() / 0.03)
    gap = abs(window.missing[0] / window.rows - base.missing[0] / base.rows) / 0.005
    now, then = (np.cumsum(each[0]) / each[0].sum() for each in (window.cells, base.cells))
    assert found.effect[0] == pytest.approx(max(gap, np.abs(now - then).max() / 0.03))
    shares = [each[2] / each[2].sum() for each in (window.cells, base.cells)]
    moved = np.abs(shares[0] - shares[1]) / np.where(np.arange(64) == 63, 0.002, 0.02)
    assert found.effect[2] == pytest.approx(moved.max())


def test_each_test_of_a_number_pays_its_share(reference: Reference) -> None:
    frame = rows(3_000, 22, shift=0.3)
    cells = count(frame, reference.layout).cells[0]
    base, scores = reference.sums.cells[0], Judge(reference.layout).scores[0]
    centre = (base * scores).sum() / base.sum()
    below, base_below = np.cumsum(cells)[:-1], np.cumsum(base)[:-1]
    gaps = np.abs(below / cells.sum() - base_below / base.sum())
    where = evidence.share_differs_screened(below, cells.sum(), base_below, base.sum())
    expected = min(
        float(evidence.mean_differs(cells, base, scores)) - np.log(0.4),
        float(evidence.mean_differs(cells, base, (scores - centre) ** 2)) - np.log(0.1),
        float(np.where(gaps >= 0.03, where, 0.0).min()) - np.log(0.3 / 63),
    )
    assert found_in(reference, frame).log_p[0] == pytest.approx(expected)


def test_a_spread_that_grew_is_found_by_its_own_test(reference: Reference) -> None:
    frame = rows(3_000, 26).with_columns(y=pl.col("y") * 1.8)
    assert found_in(reference, frame).log_p[1] < -60


def test_levels_and_missing_values_pay_their_shares(reference: Reference) -> None:
    frame = rows(5_000, 23, missing=0.04, new=0.02)
    window, base = count(frame, reference.layout), reference.sums
    found = found_in(reference, frame)
    effect = np.abs(window.cells[2] / window.cells[2].sum() - base.cells[2] / base.cells[2].sum())
    limits_of = np.where(np.arange(64) == 63, 0.002, 0.02)
    p = evidence.share_differs_screened(window.cells[2], window.cells[2].sum(), base.cells[2], base.cells[2].sum())
    assert found.log_p[2] == pytest.approx(np.where(effect >= limits_of, p, 0.0).min() - np.log(0.8 / 64))
    missing = evidence.share_differs_screened(window.missing[0], np.array(window.rows), base.missing[0], base.rows)
    assert found.log_p[0] == pytest.approx(float(missing) - np.log(0.2))


def test_an_effect_that_does_not_matter_has_no_evidence(reference: Reference) -> None:
    frame = rows(5_000, 24, shift=0.4, missing=0.05, new=0.05, rho=0.4, predicted=0.4)
    nothing = Matters(gap=0.9, level=0.9, missing=0.9, unseen=0.9, correlation=1.9)
    found = found_in(reference, frame, nothing)
    assert (found.log_p == 0).all()
    assert float(found.pair_log_p) == 0
    assert (found_in(reference, frame).log_p[[0, 2, 3]] < -20).all()


def test_a_pair_is_judged_from_five_hundred_rows_on_and_pays_for_all_pairs(reference: Reference) -> None:
    judge_of = Judge(reference.layout)
    frame = rows(500, 25, rho=0.5)
    sums = sums_of(count(frame, reference.layout))
    found = judge_of.find(sums, reference)
    now, then = (judge_of.correlations(each)[0, 1] for each in (sums, reference.sums))
    assert then == pytest.approx(0.0, abs=0.02)
    assert reference.scatter is not None
    spread = np.array(max(float(reference.scatter[0, 1]), 1.0))
    expected = evidence.correlation_differs(np.array(now), np.array(500), np.array(then), np.array(50_000), spread)
    assert float(found.pair_log_p) == pytest.approx(float(expected))
    assert float(found.pair_effect) == pytest.approx(abs(now - then) / 0.1)
    assert found.pair.tolist() == [0, 1]
    assert float(found_in(reference, frame.head(499)).pair_log_p) == 0


def test_correlations_from_sums_are_those_of_the_scores(reference: Reference) -> None:
    frame = rows(5_000, 27, rho=0.6)
    judge_of = Judge(reference.layout)
    scores = np.zeros((2, 5_000))
    for i, name in enumerate("xy"):
        column, values = reference.layout.columns[i], frame[name].to_numpy()
        there = ~np.isnan(values)
        assert isinstance(column, NumericColumn)
        scores[i, there] = np.array(column.scores)[column.bins.find(values[there])]
    found = judge_of.correlations(sums_of(count(frame, reference.layout)))
    assert found[0, 1] == pytest.approx(float(stats.pearsonr(*scores).statistic))
    with pytest.raises(ValueError, match="sums without products hold no correlations"):
        judge_of.correlations(Sums(np.zeros((4, 64)), np.zeros(4), np.array(0)))


def test_causes_are_told_surest_first_with_the_span_that_is_surest(reference: Reference) -> None:
    windows = [rows(2_000, seed, shift=0.25, predicted=0.3) for seed in range(90, 94)]
    found = verdict(reference, *windows)
    assert [cause.log_p for cause in found.causes] == sorted(cause.log_p for cause in found.causes)
    assert {cause.columns for cause in found.causes} == {("x",), ("predicted",)}
    assert [cause.span for cause in found.causes] == [4, 4]
    assert (found.status, found.predictions, found.rows) == ("drift", "drift", 2_000)
    assert found.effects["x"] == pytest.approx(float(found_in(reference, windows[-1]).effect[0]))
    told = found.to_json()
    assert told["causes"][0] == {
        "columns": list(found.causes[0].columns), "effect": found.causes[0].effect,
        "log_p": found.causes[0].log_p, "windows": 4,
    }  # fmt: skip
    assert {name: told[name] for name in ("status", "predictions", "rows")} == {
        "status": "drift", "predictions": "drift", "rows": 2_000
    }  # fmt: skip
    assert told["effects"] == found.effects


def test_small_windows_are_enough_data_together(reference: Reference) -> None:
    small = [rows(16, seed) for seed in range(100, 102)]
    assert verdict(reference, small[0]).status == "not enough data"
    assert verdict(reference, *small).status == "quiet"
    assert verdict(reference, rows(29, 103)).status == "not enough data"
    assert verdict(reference, rows(30, 103)).status == "quiet"


def test_every_window_needs_a_reference(reference: Reference) -> None:
    window = sums_of(count(rows(100, 104), reference.layout))
    with pytest.raises(ValueError, match="1 windows and 2 references: give one reference for each window"):
        judge([window], [reference, reference])
    with pytest.raises(ValueError, match="0 windows and 0 references"):
        judge([], [])


def test_a_blend_holds_each_season_in_the_proportion_of_its_windows_rows() -> None:
    layout = lay_out(rows(1_000, 1), COLUMNS[:1])
    first, second = (reference_of(count(rows(size, 2 + size), layout)) for size in (1_000, 4_000))
    windows = [Sums(np.zeros((1, 64)), np.zeros(1), np.array(each)) for each in (300, 100)]
    found = blend(windows, [first, second])
    worth = 1 / (0.75**2 / 1_000 + 0.25**2 / 4_000)
    assert float(found.sums.rows) == pytest.approx(worth)
    expected = worth * (0.75 * first.sums.cells / 1_000 + 0.25 * second.sums.cells / 4_000)
    np.testing.assert_allclose(found.sums.cells, expected)
    empty = [Sums(np.zeros((1, 64)), np.zeros(1), np.array(0))] * 2
    assert float(blend(empty, [first, second]).sums.rows) == pytest.approx(1 / (0.25 / 1_000 + 0.25 / 4_000))
    assert blend(windows, [first, first]) is first


def test_sums_add_part_by_part() -> None:
    one = Sums(np.ones((1, 64)), np.ones(1), np.array(1), np.ones((1, 1)))
    bare = Sums(np.ones((1, 64)), np.ones(1), np.array(1))
    both = one.plus(one)
    assert (both.cells.sum(), both.missing.sum(), both.rows) == (128, 2, 2)
    assert both.products is not None
    assert both.products.sum() == 2
    assert one.plus(bare).products is None
    assert bare.plus(one).products is None
    assert bare.each(lambda part: part * 3).rows == 3
