"""Statistics over what a series remembers, against numpy and against plain definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws.metrics import distribution
from localaws.metrics.distribution import Distribution
from localaws.metrics.statistic import StatisticError, statistic

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3))
few = settings(max_examples=30)
lists = st.lists(numbers, min_size=1, max_size=200)


@few
@given(lists, st.floats(0, 100).map(lambda p: round(p, 2)))
def test_percentiles_are_numpys(values: list[float], percent: float) -> None:
    got = statistic(f"p{percent:g}")(distribution.of(values))
    assert got == pytest.approx(np.percentile(values, float(f"{percent:g}")), abs=1e-6)


@few
@given(lists)
def test_the_basic_five_are_what_they_say(values: list[float]) -> None:
    kept = distribution.of(values)
    assert statistic("SampleCount")(kept) == len(values)
    assert statistic("Sum")(kept) == pytest.approx(sum(values), abs=1e-3)
    assert statistic("Average")(kept) == pytest.approx(np.mean(values), abs=1e-6)
    assert statistic("Minimum")(kept) == min(values)
    assert statistic("Maximum")(kept) == max(values)


@few
@given(st.lists(lists, min_size=1, max_size=5))
def test_merging_periods_is_the_same_as_adding_all_values(parts: list[list[float]]) -> None:
    merged = Distribution()
    for part in parts:
        merged.merge(distribution.of(part))
    whole = distribution.of([value for part in parts for value in part])
    assert merged.values == whole.values
    assert merged.count == whole.count
    assert statistic("p90")(merged) == statistic("p90")(whole)


@few
@given(lists, lists.map(len))
def test_counts_stand_for_repeated_values(values: list[float], count: int) -> None:
    repeated = Distribution()
    for value in values:
        repeated.add(value, count)
    assert statistic("p75")(repeated) == pytest.approx(np.percentile(np.repeat(values, count), 75), abs=1e-6)


def test_trimmed_statistics_keep_the_part_they_name() -> None:
    kept = distribution.of(range(1, 101))
    assert statistic("TM(:10)")(kept) == pytest.approx(5.5)
    assert statistic("TC(91:)")(kept) == 10
    assert statistic("TS(1:4)")(kept) == 10
    assert statistic("PR(:25)")(kept) == 25
    assert statistic("tm50")(kept) == pytest.approx(25.5)
    assert statistic("IQM")(kept) == pytest.approx(50.5)
    assert statistic("WM(:50)")(kept) == pytest.approx((sum(range(1, 51)) + 50 * 50) / 100)


def test_very_many_values_keep_percentiles_within_a_thousandth() -> None:
    values = np.random.default_rng(7).lognormal(8, 1.2, 20_000)
    kept = distribution.of(values.tolist())
    assert len(kept.values) < 12_000
    for percent in (1, 50, 99, 99.9):
        assert statistic(f"p{percent}")(kept) == pytest.approx(np.percentile(values, percent), rel=0.002)
    assert statistic("Average")(kept) == pytest.approx(values.mean())


def test_a_statistic_set_has_an_average_but_no_percentile_unless_all_its_values_are_one() -> None:
    kept = Distribution()
    kept.add_set(count=4, total=10, minimum=1, maximum=4)
    assert statistic("Average")(kept) == 2.5
    assert statistic("p50")(kept) is None
    same = Distribution()
    same.add_set(count=4, total=8, minimum=2, maximum=2)
    assert statistic("p50")(same) == 2


@pytest.mark.parametrize("name", ["p101", "median", "tm", "TM(:)", "px", ""])
def test_an_unknown_statistic_names_those_there_are(name: str) -> None:
    with pytest.raises(StatisticError, match=r"p99\.9"):
        statistic(name)
