"""The table of signals is complete and consistent."""

from __future__ import annotations

from contract.signals import TABLE


def test_keys_are_distinct() -> None:
    assert len({signal.key for signal in TABLE}) == len(TABLE)


def test_a_watched_signal_says_what_its_alarm_means() -> None:
    assert [signal.key for signal in TABLE if signal.watch is not None and not signal.alarm_means] == []


def test_an_alarm_never_asks_for_more_breaches_than_periods() -> None:
    assert all(each.watch is None or each.watch.breaching_periods <= each.watch.periods for each in TABLE)
