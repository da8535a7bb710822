"""When an alarm fires: AWS's own tables for missing data, and properties that hold for every alarm."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws.alarms.composite import RuleError, parse_rule
from localaws.alarms.judge import Condition, Missing, State, judge

OK, ALARM, LACK, STAY = State.OK, State.ALARM, State.INSUFFICIENT_DATA, None
MEANING = {"0": 0.0, "X": 1.0, "-": None}


def condition(n: int, m: int, missing: Missing) -> Condition:
    return Condition("GreaterThanThreshold", 0.5, n, m, missing)


def judged(drawn: str, n: int, m: int) -> list[State | None]:
    points = [MEANING[mark] for mark in drawn.split()]
    return [judge(points, condition(n, m, missing)).state for missing in Missing]


@pytest.mark.parametrize(
    ("drawn", "missing", "ignore", "breaching", "not_breaching"),
    [
        ("0 - X - X", OK, OK, OK, OK),
        ("0 - - - -", OK, OK, OK, OK),
        ("- - - - -", LACK, STAY, ALARM, OK),
        ("0 X X - X", ALARM, ALARM, ALARM, ALARM),
        ("- - X - -", ALARM, STAY, ALARM, OK),
        ("- - - - X", STAY, STAY, ALARM, OK),
        ("- - - X -", STAY, STAY, ALARM, OK),
    ],
)
def test_three_of_three_follows_the_published_table(
    drawn: str, missing: State | None, ignore: State | None, breaching: State | None, not_breaching: State | None
) -> None:
    assert judged(drawn, 3, 3) == [missing, ignore, breaching, not_breaching]


@pytest.mark.parametrize(
    ("drawn", "missing", "ignore", "breaching", "not_breaching"),
    [
        ("0 - X - X", ALARM, ALARM, ALARM, ALARM),
        ("0 0 X 0 X", ALARM, ALARM, ALARM, ALARM),
        ("0 - X - -", OK, OK, ALARM, OK),
        ("- - - - 0", OK, OK, ALARM, OK),
        ("- - - X -", ALARM, STAY, ALARM, OK),
    ],
)
def test_two_of_three_follows_the_published_table(
    drawn: str, missing: State | None, ignore: State | None, breaching: State | None, not_breaching: State | None
) -> None:
    assert judged(drawn, 3, 2) == [missing, ignore, breaching, not_breaching]


points = st.lists(st.sampled_from([0.0, 1.0, None]), min_size=3, max_size=12)


@given(points, st.data(), st.sampled_from(Missing))
@settings(max_examples=200)
def test_more_breaching_data_never_takes_an_alarm_back(
    found: list[float | None], data: st.DataObject, missing: Missing
) -> None:
    n = len(found) - 2
    m = data.draw(st.integers(1, n))
    if judge(found, condition(n, m, missing)).state is not ALARM:
        return
    worse = [1.0 if value == 0.0 else value for value in found]
    assert judge(worse, condition(n, m, missing)).state is ALARM


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=3, max_size=12), st.data())
@settings(max_examples=100)
def test_without_gaps_the_treatment_of_missing_data_does_not_matter(found: list[float], data: st.DataObject) -> None:
    n = len(found) - 2
    m = data.draw(st.integers(1, n))
    states = {judge(found, condition(n, m, missing)).state for missing in Missing}
    assert states == {ALARM if sum(found[-n:]) >= m else OK}


@given(points, st.data())
@settings(max_examples=200)
def test_the_treatments_are_ordered(found: list[float | None], data: st.DataObject) -> None:
    n = len(found) - 2
    m = data.draw(st.integers(1, n))
    gentle = judge(found, condition(n, m, Missing.NOT_BREACHING)).state
    strict = judge(found, condition(n, m, Missing.BREACHING)).state
    assert not (gentle is ALARM and strict is not ALARM)
    if gentle is ALARM:
        assert judge(found, condition(n, m, Missing.MISSING)).state is ALARM


STATES = {"errors high": "ALARM", "slow": "OK", "quiet": "INSUFFICIENT_DATA"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('ALARM("errors high")', True),
        ("ALARM(slow)", False),
        ('ALARM("errors high") AND NOT OK(slow)', False),
        ('ALARM("errors high") AND (OK(slow) OR OK(quiet))', True),
        ('NOT ALARM(slow) AND ALARM("errors high") OR FALSE', True),
        ("INSUFFICIENT_DATA(quiet) AND TRUE", True),
        ("ALARM(arn:aws:cloudwatch:eu-west-1:123456789012:alarm:slow)", False),
        ('AT_LEAST(2, ALARM, (slow, quiet, "errors high"))', False),
        ('AT_LEAST(50%, NOT OK, (slow, quiet, "errors high"))', True),
    ],
)
def test_a_rule_over_other_alarms_holds_or_not(text: str, holds: bool) -> None:
    assert parse_rule(text).holds(STATES.__getitem__) is holds


def test_a_rule_tells_which_alarms_it_names() -> None:
    assert parse_rule('ALARM("errors high") AND NOT (OK(slow) OR TRUE)').names == {"errors high", "slow"}


@pytest.mark.parametrize("text", ["ALARM", "ALARM(a) AND", "BROKEN(a)", "(ALARM(a)", "ALARM(a) ALARM(b)"])
def test_a_rule_that_cannot_be_read_says_where(text: str) -> None:
    with pytest.raises(RuleError, match="position"):
        parse_rule(text)
