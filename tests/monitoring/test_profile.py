"""Profiles: what they count, and that sharding changes nothing."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.records import Column
from monitoring.bins import CELLS, cut
from monitoring.layout import PAIRED, UNSEEN, Layout, lay_out
from monitoring.profile import Names, Profile, ProfileError, count, merged

COLUMNS = (Column("amount", "number"), Column("age", "integer"), Column("region", "category"))


def table(rows: int, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(3, 2, rows)
    amount[rng.random(rows) < 0.1] = np.nan
    if rows > 50:
        amount[7], amount[8], amount[9] = np.inf, -np.inf, 1e300
    return pl.DataFrame(
        {
            "amount": pl.Series(amount, nan_to_null=True),
            "age": rng.integers(0, 99, rows),
            "region": pl.Series(rng.zipf(1.3, rows) % 500).cast(pl.String),
        }
    )


@pytest.fixture(scope="module")
def layout() -> Layout:
    return lay_out(table(5_000), COLUMNS)


@pytest.fixture(scope="module")
def window() -> pl.DataFrame:
    return table(3_000, seed=2)


def text(profile: Profile) -> str:
    return json.dumps(profile.to_json(), sort_keys=True)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_split_over_up_to_64_shards_in_any_order_gives_the_same_bits(
    data: st.DataObject, layout: Layout, window: pl.DataFrame
) -> None:
    cuts = data.draw(st.lists(st.integers(0, window.height), max_size=63))
    bounds = [0, *sorted(cuts), window.height]  # equal neighbours are empty shards, near ones of a row
    shards = [window[start:stop] for start, stop in pairwise(bounds)]
    order = data.draw(st.permutations(range(len(shards))))
    together = merged([count(shards[i], layout) for i in order], layout)
    assert text(together) == text(count(window, layout))


def test_sixty_four_shards_of_which_most_are_empty_or_hold_one_row_give_the_same_bits(
    layout: Layout, window: pl.DataFrame
) -> None:
    bounds = [*range(30), *[29] * 30, *range(2_996, 3_001)]
    shards = [window[start:stop] for start, stop in pairwise(bounds)]
    assert (len(shards), [shard.height for shard in shards].count(0)) == (64, 30)
    assert text(merged([count(shard, layout) for shard in reversed(shards)], layout)) == text(count(window, layout))


def test_rows_in_any_order_and_on_any_number_of_threads_give_the_same_bits(layout: Layout) -> None:
    rows = table(200_000, seed=3)
    assert text(count(rows, layout, threads=1)) == text(
        count(rows.sample(fraction=1, shuffle=True, seed=5), layout, threads=3)
    )


def test_a_profile_survives_its_json_form(layout: Layout, window: pl.DataFrame) -> None:
    profile = count(window, layout)
    again = Profile.from_json(json.loads(text(profile)), layout)
    assert text(again) == text(profile)


@pytest.mark.parametrize("position", range(3))
def test_a_profile_less_a_column_is_the_profile_that_never_had_it(
    layout: Layout, window: pl.DataFrame, position: int
) -> None:
    assert text(count(window, layout).without(position)) == text(count(window, layout.without(position)))


def test_correlations_go_where_leaving_a_column_out_would_let_another_in() -> None:
    frame = pl.DataFrame({f"n{i}": [0.0, 1.0, 2.0] for i in range(PAIRED + 1)})
    layout = lay_out(frame, [Column(name, "number") for name in frame.columns])
    assert len(layout.paired) == len(layout.without(PAIRED).paired) == PAIRED
    assert text(count(frame, layout).without(0)) == text(count(frame, layout.without(0)))
    assert layout.without(0).paired == ()


def test_every_row_is_counted_once_in_every_column(layout: Layout, window: pl.DataFrame) -> None:
    profile = count(window, layout)
    assert (profile.cells.sum(1) + profile.missing == window.height).all()


def test_mean_and_deviation_are_those_of_the_finite_values() -> None:
    values = np.random.default_rng(1).normal(1.7e9, 100, 50_000)
    frame = pl.DataFrame({"t": np.concatenate([values, [np.inf, -np.inf, np.nan]])})
    profile = count(frame, lay_out(frame, [Column("t", "number")]))
    assert profile.mean(0) == pytest.approx(values.mean(), abs=1e-3)
    assert profile.deviation(0) == pytest.approx(values.std(), rel=1e-3)
    assert (profile.missing[0], profile.infinite[0]) == (1, 2)


def test_bins_agree_with_a_search_of_the_edges_on_every_kind_of_column() -> None:
    rng = np.random.default_rng(3)
    normal = rng.normal(size=20_000)
    for values in (
        normal, np.exp(4 * normal), rng.poisson(90, 20_000).astype(float), np.where(normal < 0, 0.0, normal),
        np.full(20_000, 7.0), 1.7e9 + normal, normal * 1e-300, np.array([1.0]), np.array([]), normal * 1e307,
    ):  # fmt: skip
        bins = cut(values[:5_000])
        probe = np.concatenate([values, bins.edges, [np.inf, -np.inf, 0.0, 1e308, -1e308]])
        assert (bins.find(probe) == np.searchsorted(bins.edges, probe, side="right")).all()
        assert bins.count <= CELLS


def test_a_heavy_value_has_a_bin_of_its_own() -> None:
    values = np.where(np.arange(10_000) % 3 == 0, 0.0, np.random.default_rng(1).exponential(size=10_000))
    bins = cut(values)
    alone = values[bins.find(values) == bins.find(np.zeros(1))[0]]
    assert set(alone.tolist()) == {0.0}


def test_unseen_levels_are_counted_and_named(layout: Layout) -> None:
    rows = pl.DataFrame({"amount": [1.0] * 4, "age": [1] * 4, "region": ["nowhere", "nowhere", "0", ""]})
    profile = count(rows, layout)
    assert profile.cells[2, UNSEEN] == 2
    assert profile.unseen[2].counts == {"nowhere": 2}
    assert profile.missing[2] == 1


def test_text_in_a_column_of_numbers_is_missing_and_counted_as_unreadable(layout: Layout) -> None:
    rows = pl.DataFrame({"amount": ["1.5", "n/a", "", " 2 "], "age": ["true", "false", None, "x"], "region": ["0"] * 4})
    profile = count(rows, layout)
    assert profile.unreadable.tolist() == [1, 1, 0]
    assert profile.missing.tolist() == [2, 2, 0]


def test_a_column_that_vanished_is_missing_in_every_row(layout: Layout) -> None:
    assert count(pl.DataFrame({"age": [1, 2]}), layout).missing.tolist() == [2, 0, 2]


def test_profiles_of_different_layouts_are_not_added(layout: Layout) -> None:
    other = lay_out(table(100, seed=9), COLUMNS)
    with pytest.raises(ProfileError, match="Count both with the same baseline"):
        Profile.empty(layout).merge(Profile.empty(other))


def test_a_profile_of_another_version_is_refused(layout: Layout) -> None:
    with pytest.raises(ProfileError, match="version 99"):
        Profile.from_json({**Profile.empty(layout).to_json(), "version": 99}, layout)


@given(st.lists(st.tuples(st.integers(0, 600).map(str), st.integers(1, 5)), max_size=700), st.integers(0, 700))
@settings(max_examples=40)
def test_kept_names_do_not_depend_on_how_they_were_gathered(pairs: list[tuple[str, int]], split: int) -> None:
    def gathered(some: list[tuple[str, int]]) -> Names:
        names = Names()
        for name, rows in some:
            names = names.add({name: rows})
        return names

    assert gathered(pairs[:split]).merge(gathered(pairs[split:])) == gathered(pairs[::-1])


def test_the_number_of_distinct_names_is_estimated_when_not_all_are_kept() -> None:
    names = Names().add({f"user-{i}": 1 for i in range(20_000)})
    assert math.isclose(names.distinct, 20_000, rel_tol=0.2)
