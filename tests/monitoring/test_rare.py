"""Baselines of few rows and many levels: what they can and cannot say of rows to come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.records import Column, Schema
from monitoring.baseline import Rows, build, thinned
from monitoring.layout import RARE, UNSEEN, CategoryColumn, Counts, Layout, category_column
from monitoring.profile import Profile, count
from monitoring.rare import Rest, rest_of
from monitoring.verdict import Judge, Sums, judge, reference_of

Masses = np.typing.NDArray[np.float64]
Shape = Callable[[int], Masses]


def equal(levels: int) -> Masses:
    return np.ones(levels)


def zipf(levels: int) -> Masses:
    return 1 / np.arange(1, levels + 1)


every_shape = pytest.mark.parametrize("shape", [equal, zipf], ids=["equal levels", "Zipf's levels"])
every_source = pytest.mark.parametrize("teaching", [0, 700], ids=["own levels", "levels of other rows"])


@dataclass(frozen=True)
class Drawn:
    """A baseline, and what a new row of the same population holds."""

    profile: Profile
    mass: Masses  # of each cell

    def window(self, rows: int, mass: Masses | None = None) -> Sums:
        cells = np.rint((self.mass if mass is None else mass) * rows)[None, :]
        return Sums(cells, np.zeros(1), cells.sum())


def drawn(rng: np.random.Generator, mass: Masses, rows: int, teaching: int) -> Drawn:
    """A baseline of so many rows; its levels are those of as many teaching rows, or with none its own."""
    mass = mass / mass.sum()
    taught = rng.choice(len(mass), p=mass, size=teaching)
    held = rng.choice(len(mass), p=mass, size=rows)
    levels = sorted({str(level) for level in taught.tolist()})
    given = pl.Series("x", held).cast(pl.String)
    column = category_column("x", given, levels, "feature")
    cell = np.full(len(mass), UNSEEN)
    cell[[int(level) for level in column.levels]] = column.cell_of_level
    held_by_cell = np.bincount(cell, weights=mass, minlength=64).astype(np.float64)
    return Drawn(count(given.to_frame(), Layout((column,)), 1), held_by_cell)


@every_shape
@pytest.mark.parametrize("levels", [30, 100, 2_000])
@every_source
def test_a_small_baseline_of_many_levels_raises_nothing(shape: Shape, levels: int, teaching: int) -> None:
    rng = np.random.default_rng(levels + teaching)
    for rows in (225, 401, 1_000):
        for _ in range(6):
            made = drawn(rng, shape(levels), rows, teaching)
            found = judge([made.window(12_800)], [reference_of(made.profile)])
            assert found.status == "quiet", found.causes


@every_shape
@every_source
def test_on_average_the_range_holds_what_new_rows_bring(shape: Shape, teaching: int) -> None:
    rng = np.random.default_rng(7)
    low, high, true = np.zeros(2), np.zeros(2), np.zeros(2)
    for _ in range(60):
        made = drawn(rng, shape(300), 400, teaching)
        rest = rest_of(made.profile)
        low, high, true = low + rest.low[0], high + rest.high[0], true + made.mass[[RARE, UNSEEN]]
    assert (low <= true * 1.02).all()
    assert (true * 0.98 <= high).all()


@every_shape
def test_a_season_of_few_rows_raises_nothing_though_other_seasons_taught_its_levels(shape: Shape) -> None:
    rng = np.random.default_rng(11)
    for _ in range(8):
        made = drawn(rng, shape(2_000), 1_600, 0)
        share = rng.multivariate_hypergeometric(made.profile.levels[0], 400)
        column = made.profile.layout.columns[0]
        assert isinstance(column, CategoryColumn)
        cells = np.bincount(column.cell_of_level, weights=share, minlength=64).astype(np.int64)
        season = replace(made.profile, rows=400, cells=cells[None, :], levels={0: share})
        reference = reference_of(season, whole=made.profile)
        found = judge([made.window(12_800)], [reference])
        assert found.status == "quiet", found.causes
        assert reference.rest.high[0, 1] == (share[made.profile.levels[0] == 1].sum()) / 400


def test_a_real_change_is_found_beside_a_small_baseline_of_many_levels() -> None:
    made = drawn(np.random.default_rng(3), zipf(100), 400, 700)
    newcomers = made.mass * 0.9 + 0.1 * (np.arange(64) == UNSEEN)
    other_heads = np.where(np.arange(64) == 0, made.mass * 0.2, made.mass)
    for changed in (newcomers, other_heads / other_heads.sum()):
        assert judge([made.window(5_000, changed)], [reference_of(made.profile)]).status == "drift"


def test_fewer_new_levels_than_the_baseline_might_have_had_are_no_drift() -> None:
    """Every level came up, several of them once: the levels may be its own, or a schema's."""
    given = pl.Series("x", ["a"] * 390 + ["b"] * 20 + list("cdefgh"))
    column = category_column("x", given, list("abcdefgh"), "feature")
    profile = count(given.to_frame(), Layout((column,)), 1)
    window = count(pl.concat([given.to_frame()] * 50), profile.layout, 1)
    assert judge([Sums(window.cells, window.missing, np.array(window.rows))], [reference_of(profile)]).status == "quiet"


def test_levels_that_a_sample_taught_are_judged_by_the_rows_that_did_not_teach() -> None:
    column = category_column("x", pl.Series("x", ["a", "b"] * 50), (), "feature")
    profile = count(pl.DataFrame({"x": ["a", "b"] * 190 + ["new"] * 20}), Layout((column,)), 1)
    rest = rest_of(profile, {0: 0.5})
    assert rest.high[0, 1] == pytest.approx(20 / 200)
    assert rest.rows[0, 1] == pytest.approx(200)
    assert rest_of(profile).high[0, 1] == pytest.approx(20 / 400)


def test_a_baseline_knows_which_of_its_levels_a_sample_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.baseline.sampled.__defaults__", (100,))
    monkeypatch.setattr("monitoring.baseline.thinned.__defaults__", (100,))
    rng = np.random.default_rng(5)
    held = [str(level) for level in rng.integers(0, 300, 400)]
    frame = pl.DataFrame({"own": held, "named": held})
    schema = Schema(
        (Column("own", "category"), Column("named", "category", tuple(sorted(set(held))))), "y", "regression"
    )
    made = build(lambda: [Rows(frame)], schema)
    rest, cells = made.reference_at().rest, made.profile.cells
    assert rest.rows[0, 1] <= 200
    assert rest.high[0, 1] >= cells[0, UNSEEN] / 200
    assert rest.low[1, 1] == 0
    raised = judge([Sums(cells * 50, made.profile.missing, np.array(20_000))], [made.reference_at()])
    assert raised.status == "quiet"


@pytest.mark.parametrize(("rows", "stride"), [(1, 1), (200_000, 1), (200_001, 2), (400_000, 2), (1_000_000, 8)])
def test_a_large_table_is_thinned_by_halves(rows: int, stride: int) -> None:
    assert thinned(rows) == stride


counts_of_levels = st.lists(st.integers(0, 40), min_size=1, max_size=120)


@given(counts_of_levels, st.integers(0, 50))
def test_a_range_is_a_range_of_shares_and_worth_no_more_rows_than_there_are(counts: list[int], unseen: int) -> None:
    rest, rows = ranged(counts, unseen)
    assert (rest.low >= 0).all()
    assert (rest.low <= rest.high).all()
    assert (rest.high <= 1).all()
    assert (rest.rows <= rows + 1e-6).all()


@given(st.lists(st.integers(3, 40), min_size=1, max_size=60))
def test_levels_that_all_came_up_often_are_what_they_were_counted_to_be(counts: list[int]) -> None:
    rest, rows = ranged(counts, 0)
    assert rest.low.tolist() == rest.high.tolist() == [[0.0, 0.0]]
    assert rest.rows.tolist() == [[rows, rows]]


def ranged(counts: list[int], unseen: int) -> tuple[Rest, int]:
    levels = [f"{i:03d}" for i in range(len(counts))]
    held: Counts = np.repeat(np.arange(len(counts)), counts)
    given = pl.Series("x", [*(levels[int(i)] for i in held), *["new"] * unseen], pl.String)
    profile = count(given.to_frame(), Layout((category_column("x", given, levels, "feature"),)), 1)
    return rest_of(profile), max(len(given), 0)


def test_a_blend_of_ranges_is_a_blend_of_shares_worth_what_its_variance_says() -> None:
    one, two = (Rest(*(np.array([[value, 0.0]]) for value in values)) for values in ((0.1, 0.2, 100), (0.3, 0.6, 400)))
    both = Rest.blend([one, two], [0.75, 0.25])
    assert both.low[0, 0] == pytest.approx(0.15)
    assert both.high[0, 0] == pytest.approx(0.3)
    assert both.rows[0, 0] == pytest.approx(1 / (0.75**2 / 100 + 0.25**2 / 400))


def test_what_new_rows_bring_is_counted_by_leaving_one_out() -> None:
    """62 levels have a cell; the last of them came up no more often than the first that has none."""
    counts = [*[5] * 61, 2, 2, 1, 1]
    rest, rows = ranged(counts, 0)
    assert rows == 311
    # Without one of its two rows the last head is rare too; those seen once are unseen, if the levels are its own.
    assert (rest.low[0] * rows).tolist() == pytest.approx([4 - 2 + 2, 0])
    assert (rest.high[0] * rows).tolist() == pytest.approx([4 + 2, 2])
    rare, unseen = 6 * (1 - 6 / rows), 2 * (1 - 2 / rows)
    near_the_last = 2**2 + 2**2 + 1 + 1
    assert rest.rows[0].tolist() == pytest.approx(
        [rows * rare / (rare + 2 * 2 + near_the_last), rows * unseen / (unseen + 2 * 2)]
    )


def test_levels_of_other_rows_stay_known_without_their_only_row() -> None:
    counts = [*[5] * 61, 2, 2, 1, 1, 0]
    rest, rows = ranged(counts, 9)
    assert rows == 320
    assert (rest.low[0] * rows).tolist() == (rest.high[0] * rows).tolist() == pytest.approx([4 + 2, 9])
    rare = 6 * (1 - 6 / rows)
    assert rest.rows[0].tolist() == pytest.approx([rows * rare / (rare + 2**2 + 2**2 + 1 + 1), rows])


def test_a_head_pays_for_every_level_that_could_have_been_one() -> None:
    columns = [category_column("x", pl.Series("x", ["a"]), [f"{i:04d}" for i in range(n)], "feature") for n in (5, 620)]
    shares = Judge(Layout(tuple(columns))).level_share
    assert shares[0].tolist() == pytest.approx([0.8 / 64] * 64)
    assert shares[1].tolist() == pytest.approx([0.8 / 64 / 10] * 62 + [0.8 / 64] * 2)


def test_a_column_of_nothing_says_nothing() -> None:
    rest, _ = ranged([0, 0], 0)
    assert not rest.low.any()
    assert not rest.high.any()
    assert not rest.rows.any()
