"""The clock: timers fire in order on virtual time, and work holds a stepped clock back."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws.clock import Clock, ClockModeError, ClockStoppedError, ClockStuckError

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = 86400.0


@pytest.fixture
def stepped() -> Iterator[Clock]:
    clock = Clock.stepped(START)
    yield clock
    clock.close()


def test_a_stepped_clock_stands_still_until_it_is_advanced(stepped: Clock) -> None:
    assert stepped.moment() == START
    assert stepped.advance(90) == START + timedelta(seconds=90)
    assert stepped.moment() == START + timedelta(seconds=90)


@settings(max_examples=40)
@given(delays=st.lists(st.floats(0, 1000), max_size=30), step=st.floats(1, 400))
def test_timers_fire_in_order_each_at_its_own_instant_however_large_the_steps(delays: list[float], step: float) -> None:
    clock = Clock.stepped(START)
    seen: list[tuple[float, float]] = []
    begin = clock.now()

    def note(due: float) -> None:
        seen.append((due, clock.now()))

    for delay in delays:
        clock.call_at(begin + delay, lambda due=begin + delay: note(due))
    while clock.now() < begin + 1000:
        clock.advance(step)
    clock.close()
    assert [at for at, _ in seen] == sorted(begin + delay for delay in delays)
    assert all(due == at for due, at in seen)


def test_a_ticker_fires_on_multiples_of_its_period(stepped: Clock) -> None:
    stepped.advance(17)
    seen: list[datetime] = []
    ticker = stepped.every(60, lambda: seen.append(stepped.moment()))
    stepped.advance(180)
    ticker.cancel()
    stepped.advance(180)
    assert seen == [START + timedelta(minutes=minute) for minute in (1, 2, 3)]


def test_a_stepped_clock_waits_for_the_work_a_timer_started_before_the_next_timer(stepped: Clock) -> None:
    order: list[str] = []
    gate = threading.Event()

    def job() -> None:
        gate.wait(10)
        order.append("the job ended")

    stepped.call_later(10, lambda: order.append("started") or stepped.spawn(job, "a job"))
    stepped.call_later(11, lambda: order.append("next timer"))
    threading.Timer(0.05, gate.set).start()
    stepped.advance(20)
    assert order == ["started", "the job ended", "next timer"]


def test_a_thread_asleep_on_the_clock_does_not_hold_it(stepped: Clock) -> None:
    seen: list[float] = []

    def job() -> None:
        for _ in range(3):
            stepped.sleep(3600)
            seen.append(stepped.now() - START.timestamp())

    stepped.spawn(job, "a long bake")
    stepped.advance(DAY)
    assert seen == [3600, 7200, 10800]


def test_work_waiting_for_other_work_does_not_hold_the_clock_and_goes_on_at_the_same_instant(stepped: Clock) -> None:
    done = stepped.event()
    ended: list[float] = []

    def child() -> None:
        stepped.sleep(100)
        done.set()

    def parent() -> None:
        stepped.spawn(child, "child")
        done.wait()
        ended.append(stepped.now() - START.timestamp())

    stepped.spawn(parent, "parent")
    stepped.advance(200)
    assert ended == [100]


def test_a_thread_that_blocks_on_something_else_lets_the_clock_go_on_while_idle(stepped: Clock) -> None:
    other = threading.Event()

    def parent() -> None:
        with stepped.idle():
            other.wait(10)

    stepped.spawn(parent, "parent")
    stepped.call_later(100, other.set)
    stepped.advance(200)
    assert other.is_set()


def test_an_event_wakes_its_waiter_at_the_instant_it_is_set(stepped: Clock) -> None:
    event = stepped.event()
    woken: list[tuple[bool, float]] = []
    stepped.spawn(lambda: woken.append((event.wait(1000), stepped.now() - START.timestamp())), "waiter")
    stepped.call_later(250, event.set)
    stepped.advance(2000)
    assert woken == [(True, 250)]


def test_a_wait_that_runs_out_answers_false(stepped: Clock) -> None:
    event = stepped.event()
    woken: list[bool] = []
    stepped.spawn(lambda: woken.append(event.wait(30)), "waiter")
    stepped.advance(60)
    assert woken == [False]


def test_seven_days_of_hourly_jobs_play_the_same_way_twice() -> None:
    def play() -> list[tuple[float, int]]:
        clock = Clock.stepped(START)
        results: list[tuple[float, int]] = []

        def job(number: int) -> None:
            clock.sleep(600 + number)
            results.append((clock.now(), number))

        numbers = iter(range(1000))
        clock.every(3600, lambda: clock.spawn(partial(job, next(numbers)), "job"))
        clock.advance(7 * DAY)
        clock.close()
        return results

    first = play()
    assert len(first) == 7 * 24 - 1
    assert first == play()


def test_stuck_work_is_named_instead_of_hanging_for_ever(stepped: Clock) -> None:
    release = threading.Event()
    stepped.spawn(lambda: release.wait(10), "training job sad")
    with pytest.raises(ClockStuckError, match="training job sad"):
        stepped.advance(10, patience=0.05)
    release.set()
    stepped.advance(0)
    assert stepped.moment() == START + timedelta(seconds=10)


def test_a_failing_timer_does_not_stop_the_clock(stepped: Clock, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []
    stepped.call_later(1, lambda: 1 // 0, "bad idea")
    stepped.call_later(2, lambda: seen.append(1))
    stepped.advance(3)
    assert seen == [1]
    assert "bad idea failed" in caplog.text


def test_a_scaled_clock_runs_fast_while_idle_and_fires_each_timer_at_its_instant() -> None:
    clock = Clock.scaled(100_000, START)
    seen: list[float] = []
    done = threading.Event()
    clock.every(3600, lambda: seen.append(clock.now()) or len(seen) < 24 or done.set())
    assert done.wait(20)
    clock.close()
    assert seen[:24] == [START.timestamp() + 3600 * hour for hour in range(1, 25)]


def test_a_scaled_clock_does_not_run_away_from_work() -> None:
    clock = Clock.scaled(100_000, START)
    with clock.busy("a job"):
        before = clock.now()
        threading.Event().wait(0.05)
        passed = clock.now() - before
    clock.close()
    assert passed < 100


def test_only_a_stepped_clock_is_advanced_by_hand() -> None:
    clock = Clock.real()
    with pytest.raises(ClockModeError, match="it moves by itself"):
        clock.advance(1)
    clock.close()


def test_closing_ends_threads_that_wait(stepped: Clock) -> None:
    ended = threading.Event()

    def wait() -> None:
        try:
            stepped.sleep(1e9)
        except ClockStoppedError:
            ended.set()
            raise

    stepped.spawn(wait, "sleeper")
    stepped.close()
    assert ended.wait(5)


def test_work_nobody_has_taken_up_yet_holds_the_clock_too(stepped: Clock) -> None:
    done = stepped.hold("an event to deliver")
    with pytest.raises(ClockStuckError, match="an event to deliver"):
        stepped.advance(10, patience=0.05)
    done()
    assert stepped.advance(0) == START + timedelta(seconds=10)


@pytest.mark.parametrize(
    ("text", "mode", "rate"), [("real", "real", 1), ("scaled:60", "scaled", 60), ("stepped", "stepped", 1)]
)
def test_a_setting_names_a_clock(text: str, mode: str, rate: float) -> None:
    clock = Clock.from_text(text)
    assert (clock.mode, clock.rate) == (mode, rate)
    clock.close()


@pytest.mark.parametrize("text", ["fast", "scaled", "scaled:0", "stepped:yesterday", "real:2"])
def test_a_clock_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ClockModeError):
        Clock.from_text(text)


def test_a_stepped_clock_can_be_given_its_instant() -> None:
    clock = Clock.from_text("stepped:2026-01-05T00:00:00Z")
    assert clock.moment() == START
    clock.close()


def test_describe_shows_the_time_the_work_and_what_is_due(stepped: Clock) -> None:
    stepped.call_later(5, lambda: None, "hourly schedule")
    with stepped.busy("endpoint shop"):
        shown = stepped.describe()
    assert shown["now"] == "2026-01-05T00:00:00Z"
    assert shown["busy"] == ["endpoint shop"]
    assert shown["timers"] == [{"due": START.timestamp() + 5, "name": "hourly schedule"}]
