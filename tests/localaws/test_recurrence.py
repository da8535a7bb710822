"""When rate, cron and at expressions happen."""

from datetime import UTC, datetime
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws.events.recurrence import Recurrence, RecurrenceError

MONDAY = datetime(2026, 1, 5, tzinfo=UTC).timestamp()


def instants(expression: str, count: int = 3, *, zone: str = "UTC", begin: float = MONDAY) -> list[str]:
    recurrence = Recurrence(expression, begin, zone)

    def walk() -> list[float]:
        found = recurrence.next(begin)
        seen = []
        while found is not None and len(seen) < count:
            seen.append(found)
            found = recurrence.next(found)
        return seen

    return [f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" for at in islice(walk(), count)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 minute)", ["2026-01-05 00:01", "2026-01-05 00:02", "2026-01-05 00:03"]),
        ("rate(12 hours)", ["2026-01-05 12:00", "2026-01-06 00:00", "2026-01-06 12:00"]),
        ("cron(0 8 ? * MON-FRI *)", ["2026-01-05 08:00", "2026-01-06 08:00", "2026-01-07 08:00"]),
        ("cron(0 8 ? * 1 *)", ["2026-01-11 08:00", "2026-01-18 08:00", "2026-01-25 08:00"]),
        ("cron(0 8 ? * 2-4 *)", ["2026-01-05 08:00", "2026-01-06 08:00", "2026-01-07 08:00"]),
        ("cron(0 8 ? * 6L *)", ["2026-01-30 08:00", "2026-02-27 08:00", "2026-03-27 08:00"]),
        ("cron(0 8 ? * FRI#2 *)", ["2026-01-09 08:00", "2026-02-13 08:00", "2026-03-13 08:00"]),
        ("cron(30 0/6 L * ? *)", ["2026-01-31 00:30", "2026-01-31 06:30", "2026-01-31 12:30"]),
        ("cron(0 H ? * * *)".replace("H", "5"), ["2026-01-05 05:00", "2026-01-06 05:00", "2026-01-07 05:00"]),
        ("cron(0 0 1 1 ? 2027)", ["2027-01-01 00:00"]),
        ("at(2026-03-01T10:00:00)", ["2026-03-01 10:00"]),
        ("at(2025-03-01T10:00:00)", []),
    ],
)
def test_an_expression_happens_at_its_instants(expression: str, expected: list[str]) -> None:
    assert instants(expression) == expected


def test_a_schedule_keeps_local_time_through_a_clock_change() -> None:
    saturday = datetime(2026, 3, 28, tzinfo=UTC).timestamp()
    assert instants("cron(0 9 * * ? *)", zone="Europe/Berlin", begin=saturday) == [
        "2026-03-28 08:00",
        "2026-03-29 07:00",
        "2026-03-30 07:00",
    ]


def test_bounds_hold() -> None:
    recurrence = Recurrence("rate(1 hour)", MONDAY, begin=MONDAY + 86400, end=MONDAY + 86400 + 7200, at_once=True)
    assert recurrence.next(MONDAY) == MONDAY + 86400
    assert recurrence.next(MONDAY + 86400 + 3600) == MONDAY + 86400 + 7200
    assert recurrence.next(MONDAY + 86400 + 7200) is None


@given(st.integers(1, 90), st.sampled_from(["minutes", "hours"]), st.floats(0, 1e7))
@settings(max_examples=100)
def test_a_rate_always_comes_again_within_one_period_and_on_its_own_grid(number: int, unit: str, later: float) -> None:
    period = number * (60 if unit == "minutes" else 3600)
    found = Recurrence(f"rate({number} {unit})", MONDAY).next(MONDAY + later)
    assert found is not None
    assert MONDAY + later < found <= MONDAY + later + period
    assert (found - MONDAY) % period == pytest.approx(0, abs=1e-3) or (found - MONDAY) % period == pytest.approx(period)


@pytest.mark.parametrize(
    "expression",
    [
        "every 5 minutes",
        "rate(0 minutes)",
        "rate(5 weeks)",
        "cron(0 8 * * *)",
        "cron(0 8 * * * *)",
        "cron(0 8 15W * ? *)",
        "cron(99 8 ? * * *)",
        "at(2026-13-01T00:00:00)",
    ],
)
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(RecurrenceError):
        Recurrence(expression, MONDAY)


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(RecurrenceError, match="IANA"):
        Recurrence("cron(0 8 ? * * *)", MONDAY, zone="Mars/Olympus")
