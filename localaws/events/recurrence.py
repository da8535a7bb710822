"""When things recur: `rate(5 minutes)`, `cron(0 8 ? * MON-FRI *)`, `at(2026-01-05T08:00:00)`, in a time zone."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadDateError, CroniterError, croniter

UNITS = {"minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\(([^)]*)\)")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)\)")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


class RecurrenceError(Exception):
    """The expression is no schedule."""


@dataclass(frozen=True)
class Recurrence:
    """An expression with its zone and its bounds; times are epoch seconds."""

    expression: str
    created: float
    zone: str = "UTC"
    begin: float | None = None
    end: float | None = None
    at_once: bool = False  # a rate begins at its start, not one period after it

    def __post_init__(self) -> None:
        self._zone()
        self.next(self.created)

    def first(self, now: float) -> float | None:
        """When it happens first, seen from now; what begins at once may happen at this very instant."""
        if self.at_once and _RATE.fullmatch(self.expression) and (self.begin or self.created) >= now:
            return self.begin or self.created
        return self.next(now)

    def next(self, after: float) -> float | None:
        """The first instant after `after` at which it happens; None when it never does again."""
        floor = max(after, self.begin - 1e-6) if self.begin is not None else after
        found = self._unbounded(floor)
        return None if found is None or (self.end is not None and found > self.end) else found

    def _unbounded(self, after: float) -> float | None:
        if rate := _RATE.fullmatch(self.expression):
            return self._by_rate(int(rate[1]) * UNITS[rate[2]], after)
        if cron := _CRON.fullmatch(self.expression):
            return _by_cron(cron[1], self._zone(), after)
        if once := _AT.fullmatch(self.expression):
            moment = _parsed(once[1]).replace(tzinfo=self._zone()).timestamp()
            return moment if moment > after else None
        raise RecurrenceError(
            f"Invalid Schedule Expression {self.expression}: write rate(5 minutes), cron(0 8 ? * MON-FRI *) "
            "(minutes hours day-of-month month day-of-week year) or at(2026-01-05T08:00:00)."
        )

    def _by_rate(self, period: int, after: float) -> float:
        if period == 0:
            raise RecurrenceError(f"Invalid Schedule Expression {self.expression}: a rate is at least 1 minute.")
        origin = self.created if self.begin is None else self.begin
        first = origin if self.at_once else origin + period
        if after < first:
            return first
        return first + ((after - first) // period + 1) * period

    def _zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise RecurrenceError(f"Invalid time zone {self.zone}: give an IANA name such as Europe/Berlin.") from error


def _parsed(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise RecurrenceError(f"Invalid Schedule Expression at({text}): {error}.") from error


def _by_cron(text: str, zone: ZoneInfo, after: float) -> float | None:
    fields = text.split()
    if len(fields) != 6:
        raise RecurrenceError(f"Invalid Schedule Expression cron({text}): it has {len(fields)} fields, and needs 6.")
    minutes, hours, days, months, weekdays, years = fields
    if (days == "?") == (weekdays == "?"):
        raise RecurrenceError(
            f"Invalid Schedule Expression cron({text}): exactly one of day-of-month and day-of-week must be ?."
        )
    if "W" in days.upper():
        raise RecurrenceError(f"cron({text}): the nearest weekday (W) is not built in the embedded AWS.")
    days, weekdays = days.replace("?", "*").lower(), _weekdays(weekdays)
    expression = f"{minutes} {hours} {days} {months} {weekdays} 0 {years}"  # croniter: seconds and years come last
    begin = datetime.fromtimestamp(after, UTC).astimezone(zone)
    try:
        found = croniter(expression, begin, ret_type=datetime, max_years_between_matches=100).get_next()
    except CroniterBadDateError:
        return None
    except (CroniterError, ValueError) as error:
        raise RecurrenceError(f"Invalid Schedule Expression cron({text}): {error}.") from error
    return found.timestamp()


def _weekdays(text: str) -> str:
    """AWS counts days from Sunday as 1; croniter from Sunday as 0, and writes the last Friday as L5."""

    def named(part: str) -> str:
        digits = re.sub(r"(?<![/#\d])\d", lambda day: str(int(day[0]) - 1), part)
        return re.sub("|".join(_DAYS), lambda day: str(_DAYS.index(day[0])), digits)

    parts = [named(part) for part in text.replace("?", "*").lower().split(",")]
    return ",".join(f"L{part[:-1]}" if re.fullmatch(r"\dl", part) else "6" if part == "l" else part for part in parts)
