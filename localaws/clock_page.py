"""`/_localaws/clock`: what time it is here, and moving it on."""

from datetime import datetime
from typing import Any

from localaws.clock import Clock, ClockModeError, ClockStuckError
from localaws.gateway import Application
from localaws.pages import PageError, json_page

USAGE = 'GET, or POST one of {"advance": seconds}, {"to": "2026-01-05T00:00:00Z"}, {"settle": true}, {"rate": 60}'


def clock_page(clock: Clock) -> Application:
    """GET tells the time; POST `advance`, `to`, `settle` or `rate` moves it, and tells it then."""

    def answer(method: str, given: dict[str, Any]) -> dict[str, object]:
        if method == "POST":
            try:
                _move(clock, dict(given))
            except (ClockModeError, ClockStuckError, TypeError, ValueError) as error:
                raise PageError(str(error)) from error
        return clock.describe()

    return json_page(answer)


def _move(clock: Clock, given: dict[str, Any]) -> None:
    patience = float(given.pop("patience", 60))
    match given:
        case {"advance": seconds, **rest} if not rest:
            clock.advance(float(seconds), patience)
        case {"to": instant, **rest} if not rest:
            clock.advance(datetime.fromisoformat(instant).timestamp() - clock.now(), patience)
        case {"settle": _, **rest} if not rest:
            clock.settle(patience)
        case {"rate": rate, **rest} if not rest:
            clock.set_rate(float(rate))
        case _:
            raise PageError(f"the clock does not understand {given}: {USAGE} (with or without a patience in seconds)")
