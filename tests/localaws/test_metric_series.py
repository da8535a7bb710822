"""Series: namespaces kept apart, clock-aligned periods, retention on the clock."""

from hypothesis import given
from hypothesis import strategies as st

from localaws.metrics.series import DAY, HOUR, Metrics, Series, grain_at, metric_key
from localaws.metrics.statistic import statistic

NOON = 1_767_614_400 // DAY * DAY + 12 * HOUR
LATENCY = metric_key("AWS/SageMaker", "ModelLatency", {"VariantName": "a", "EndpointName": "shop"})


class Hands:
    """A clock's hands, set by the test."""

    def __init__(self) -> None:
        self.at = float(NOON)

    def now(self) -> float:
        return self.at


def made() -> tuple[Hands, Metrics]:
    hands = Hands()
    return hands, Metrics(hands.now)


def sums(metrics: Metrics, period: int, begin: float, end: float) -> list[tuple[int, float | None]]:
    return [(start, statistic("Sum")(found)) for start, found in metrics.periods(LATENCY, period, begin, end)]


def test_dimensions_in_any_order_are_one_metric() -> None:
    assert metric_key("AWS/SageMaker", "ModelLatency", {"EndpointName": "shop", "VariantName": "a"}) == LATENCY


def test_periods_start_on_the_clock_not_at_the_first_datum() -> None:
    _, metrics = made()
    metrics.put(LATENCY, [(1, 1)], at=NOON + 61)
    metrics.put(LATENCY, [(2, 1)], at=NOON + 119.9)
    metrics.put(LATENCY, [(4, 1)], at=NOON + 120)
    assert sums(metrics, 60, NOON, NOON + 600) == [(NOON + 60, 3), (NOON + 120, 4)]
    assert sums(metrics, 300, NOON, NOON + 600) == [(NOON, 7)]


def test_the_end_is_not_included() -> None:
    _, metrics = made()
    metrics.put(LATENCY, [(1, 1)], at=NOON)
    assert sums(metrics, 60, NOON - 60, NOON) == []


def test_namespaces_are_kept_apart() -> None:
    _, metrics = made()
    metrics.put(metric_key("Mine", "ModelLatency", dict(LATENCY.dimensions)), [(5, 1)])
    assert metrics.periods(LATENCY, 60, 0, NOON + 60) == []
    assert [key.namespace for key in metrics.listed()] == ["Mine"]


def test_data_that_arrives_late_falls_into_its_own_period() -> None:
    _, metrics = made()
    for minute in (3, 1, 2):
        metrics.put(LATENCY, [(minute, 1)], at=NOON + minute * 60)
    assert sums(metrics, 60, NOON, NOON + 600) == [(NOON + 60 * minute, minute) for minute in (1, 2, 3)]


def test_units_can_be_asked_for_or_taken_together() -> None:
    _, metrics = made()
    metrics.put(LATENCY, [(1, 1)], unit="Seconds")
    metrics.put(LATENCY, [(1000, 1)], unit="Milliseconds")
    assert metrics.units(LATENCY) == ["Milliseconds", "Seconds"]
    [(_, only)] = metrics.periods(LATENCY, 60, NOON, NOON + 60, unit="Seconds")
    assert only.total == 1


def test_late_data_is_kept_as_fine_as_its_age_allows() -> None:
    hands, metrics = made()
    metrics.put(LATENCY, [(1, 1)])
    hands.at += 20 * DAY
    for second in (1, 2, 70):
        metrics.put(LATENCY, [(1, 1)], at=NOON + second)
    assert sums(metrics, 1, NOON, NOON + HOUR) == [(NOON, 4)]


@given(st.lists(st.tuples(st.floats(0, 100 * DAY), st.floats(0, 90 * DAY)), max_size=30))
def test_however_time_passes_every_datum_is_kept_once_and_as_fine_as_its_age_allows(
    steps: list[tuple[float, float]],
) -> None:
    metrics, hands = Metrics(lambda: hands.at), Hands()
    for passes, late in steps:
        hands.at += passes
        metrics.put(LATENCY, [(1, 1)], at=hands.at - late)
    for series in metrics._series.get(LATENCY, {}).values():
        assert_compacted(series)
        kept = [at for at in arrivals(steps) if series.compacted - at < 455 * DAY]
        assert len(kept) <= sum(bucket.count for bucket in series.buckets.values()) <= len(steps)


def arrivals(steps: list[tuple[float, float]]) -> list[float]:
    """The instants that data were put for."""
    now, found = float(NOON), list[float]()
    for passes, late in steps:
        now += passes
        found.append(now - late)
    return found


def assert_compacted(series: Series) -> None:
    assert series.starts == sorted(series.buckets)
    assert all(start % grain_at(series.compacted - start) == 0 for start in series.starts)


def test_old_data_becomes_coarser_and_is_forgotten_as_the_clock_moves() -> None:
    hands, metrics = made()
    for second in (1, 2, 70):
        metrics.put(LATENCY, [(1, 1)], at=NOON + second)
    hands.at += 4 * HOUR
    metrics.put(LATENCY, [(1, 1)])
    assert sums(metrics, 1, NOON, NOON + HOUR) == [(NOON, 2), (NOON + 60, 1)]
    hands.at += 16 * DAY
    metrics.put(LATENCY, [(1, 1)])
    assert sums(metrics, 60, NOON, NOON + HOUR) == [(NOON, 3)]
    hands.at += 456 * DAY
    metrics.put(LATENCY, [(1, 1)])
    assert sums(metrics, 60, 0, hands.at) == []


def test_a_metric_without_data_for_two_weeks_is_no_longer_listed() -> None:
    hands, metrics = made()
    metrics.put(LATENCY, [(1, 1)])
    assert metrics.listed("AWS/SageMaker") == [LATENCY]
    hands.at += 15 * DAY
    assert metrics.listed("AWS/SageMaker") == []
