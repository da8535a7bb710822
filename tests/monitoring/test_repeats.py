"""How much repeats: the same for any split, exact below the limit and honest above it."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.records import Column
from monitoring.repeats import KEPT, Hashes, Repeats, hashes_of, hashes_of_rows

COLUMNS = (Column("a", "number"), Column("k", "category"))


def drawn(things: int, seed: int = 1) -> Hashes:
    return hashes_of(pl.Series(np.random.default_rng(seed).integers(0, 1 << 62, things)))


@given(st.lists(st.integers(0, 5_000), max_size=40), st.integers(1, 64), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_any_split_in_any_order_gives_the_same_bits(few: list[int], shards: int, chance: Random) -> None:
    things = hashes_of(pl.Series([*few, *range(3 * KEPT), *range(KEPT)]))
    parts = [Repeats().add(things[number::shards]) for number in range(shards)]
    chance.shuffle(parts)
    total = Repeats()
    for part in parts:
        total = total.merge(Repeats.from_json(json.loads(json.dumps(part.to_json()))))
    assert total == Repeats().add(things)
    assert len(total.hashes) == KEPT


def test_few_things_are_counted_exactly() -> None:
    met = Repeats().add(np.tile(drawn(60), 10))
    assert (met.things, met.distinct, met.share) == (600, 60, pytest.approx(0.9))


def test_many_things_that_all_differ_or_all_stand_twice_are_told_apart() -> None:
    assert Repeats().add(drawn(100_000)).share == 0
    assert Repeats().add(np.tile(drawn(50_000), 2)).share == pytest.approx(0.5, abs=0.01)


def test_one_thing_that_is_met_again_and_again_is_noticed_among_many() -> None:
    things = drawn(100_000)
    assert 0.1 < Repeats().add(np.concatenate([things, np.repeat(things[:1], 25_000)])).share < 0.2


def test_what_is_expected_of_so_many_things_follows_from_those_met() -> None:
    assert Repeats().add(drawn(20_000)).expected(600) == 600
    dice = hashes_of(pl.Series(np.random.default_rng(1).integers(0, 64, 20_000)))
    assert Repeats().add(dice).expected(600) == pytest.approx(64, abs=0.1)
    assert 35 < Repeats().add(dice).expected(60) < 42


def test_a_row_is_the_same_however_its_file_spelled_it() -> None:
    numbers = pl.DataFrame({"a": [1.5, 2.0, None, None], "k": ["x", "y", "z", None]})
    spelled = pl.DataFrame({"a": [" 1.50", "2", "", "nan"], "k": ["x", "y", "z", None]})
    assert hashes_of_rows(numbers, COLUMNS).tolist() == hashes_of_rows(spelled, COLUMNS).tolist()
    assert len(hashes_of_rows(numbers, COLUMNS)) == 3  # a row without any input cannot be told from another
    assert len(hashes_of_rows(pl.DataFrame({"predicted": ["yes"]}), COLUMNS)) == 0
