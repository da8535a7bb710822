"""A wait is shown: on a terminal by a bar with the time left, in a log by a line for whatever happens."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from rich.console import Console
from rich.text import Text

from delivery.cli.waiting import Drawn, Written, counting, following, left_of, line_of, waiting
from delivery.progress import Progress
from delivery.runs import Step, ahead

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def step(name: str, *, status: str = "Executing", after: float = 0, took: float | None = None) -> Step:
    started = BEGAN + timedelta(seconds=after)
    ended = None if took is None else started + timedelta(seconds=took)
    return Step(name, status, "", started, ended, cached=False, facts={})


def done(name: str, took: float, after: float = 0) -> Step:
    return step(name, status="Succeeded", after=after, took=took)


def seconds(count: float) -> datetime:
    return BEGAN + timedelta(seconds=count)


class Log:
    """What a wait off a terminal writes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.written = Written(self.lines.append)


@pytest.fixture
def log() -> Log:
    return Log()


def terminal() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=True, width=100, color_system=None), out


# How far a run is ----------------------------------------------------------------------------------------


def test_what_is_left_of_a_run_is_what_its_steps_took_the_last_time() -> None:
    pace = {"Snapshot": 10.0, "Train": 70.0, "Register": 20.0}
    assert ahead([done("Snapshot", 12)], pace, seconds(12)) == Progress(0.1, 90.0)
    assert ahead([done("Snapshot", 12), step("Train", after=12)], pace, seconds(47)) == Progress(0.45, 55.0)


def test_a_step_that_is_slower_than_the_last_time_is_not_said_to_be_over() -> None:
    assert ahead([step("Train")], {"Train": 70.0, "Register": 30.0}, seconds(500)) == Progress(0.7, 30.0)


def test_of_a_first_run_nothing_is_known() -> None:
    assert ahead([step("Train")], {}, seconds(500)) == Progress(0.0, None)


# In a log ------------------------------------------------------------------------------------------------


def test_in_a_log_each_step_says_once_that_it_began_and_how_it_ended(log: Log) -> None:
    show = following(log.written, lambda: seconds(10), lambda: {"Snapshot": 10.0, "Train": 60.0})
    for found in (
        [step("Snapshot")],
        [step("Snapshot")],
        [done("Snapshot", 10)],
        [done("Snapshot", 10), step("Train", after=10)],
    ):
        show(found)
    assert log.lines == [
        "  Snapshot: begun; 1:00 left",
        "  Snapshot: done, 10 s; 1:00 left",
        "  Train: begun; 1:00 left",
    ]


def test_how_long_steps_take_is_asked_for_once(log: Log) -> None:
    asked: list[str] = []

    def pace() -> dict[str, float]:
        asked.append("once")
        return {}

    show = following(log.written, lambda: seconds(0), pace)
    show([])
    show([step("Train")])
    assert asked == ["once"]


def test_a_run_is_followed_where_nobody_may_say_how_long_it_takes(log: Log) -> None:
    def refused() -> dict[str, float]:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListPipelineExecutions")

    following(log.written, lambda: seconds(0), refused)([step("Train")])
    assert log.lines == ["  Train: begun"]


def test_a_failed_step_says_its_reason_in_a_log() -> None:
    failed = Step("Validate", "Failed", "no rows", BEGAN, seconds(3), cached=False, facts={})
    assert line_of(failed) == "Validate: failed, 3 s, no rows"


def test_what_is_counted_says_each_quarter_in_a_log(log: Log) -> None:
    at = iter([0.0, *(float(each) for each in range(1, 11))])
    moved = counting(log.written, 1000, lambda: next(at))
    for _ in range(10):
        moved(100)
    assert log.lines == ["  30 %; 0:07 left", "  50 %; 0:05 left", "  80 %; 0:02 left", "  100 %"]


def test_off_a_terminal_a_wait_is_a_line_that_is_not_broken() -> None:
    out = io.StringIO()
    what = "training churn on " + "a/very/long/place/" * 10
    with waiting(what, console=Console(file=out, force_terminal=False, width=40)):
        pass
    assert out.getvalue() == f"{what}\n"


def test_a_wait_that_begins_with_its_first_look_says_nothing_before() -> None:
    out = io.StringIO()
    with waiting("working", console=Console(file=out, force_terminal=False), at_once=False):
        pass
    assert not out.getvalue()


# On a terminal -------------------------------------------------------------------------------------------


def test_on_a_terminal_the_bar_shows_the_time_left() -> None:
    console, out = terminal()
    with waiting("training churn", console=console) as shown:
        shown.look(Progress(0.5, 90.0))
    assert "training churn" in out.getvalue()
    assert "1:30 left" in out.getvalue()


def test_on_a_terminal_what_stays_is_there_afterwards_without_the_bar() -> None:
    console, _ = terminal()
    drawn = Drawn("training churn", console, stays=True)
    drawn.show(Text("✓ Train"), [], Progress(1.0, 0.0))
    drawn.stop()
    with console.capture() as left:
        console.print(drawn.picture())
    assert left.get() == "✓ Train\n"


def test_a_wait_that_begins_with_its_first_look_leaves_the_terminal_to_others_before() -> None:
    console, out = terminal()
    with waiting("working", console=console, at_once=False) as shown:
        assert not out.getvalue()
        shown.look(Progress(0.0, None))
    assert "working" in out.getvalue()


def test_what_is_not_known_is_not_said() -> None:
    assert not left_of(Progress(0.0, None))
