"""Why an alarm is in its state, in CloudWatch's words and in its JSON."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from localaws.alarms.judge import COMPARISONS, Condition, Judgement, Missing, State

INITIAL = "Unchecked: Initial alarm creation"
TREATED = {Missing.BREACHING: "Breaching", Missing.NOT_BREACHING: "NonBreaching"}


def instant(epoch: float) -> str:
    """A time as alarms write it."""
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%S}.{int(epoch * 1000) % 1000:03d}+0000"


def reason(judgement: Judgement, condition: Condition, points: Sequence[tuple[int, float | None]], before: str) -> str:
    """One sentence on what was seen."""
    if judgement.state is State.INSUFFICIENT_DATA:
        return f"Insufficient Data: {_count(judgement.filled, 'datapoint')} {_was(judgement.filled)} unknown."
    if not judgement.evaluated:
        return (
            f"Threshold Crossed: no datapoints were received for {_count(judgement.filled, 'period')} and "
            f"{_count(judgement.filled, 'missing datapoint')} {_was(judgement.filled)} treated as "
            f"[{TREATED.get(condition.missing, 'Missing')}]."
        )
    alarm = judgement.state is State.ALARM
    shown = [points[place] for place in reversed(judgement.evaluated)]
    kept = [(at, v) for at, v in shown if v is not None and (not alarm or condition.breaches(v))]
    total = len(judgement.evaluated) + (judgement.filled if condition.missing in TREATED else 0)
    count = len(kept) if alarm else total
    least = condition.datapoints_to_alarm if alarm else condition.evaluation_periods - condition.datapoints_to_alarm + 1
    listed = ", ".join(f"{value} ({datetime.fromtimestamp(at, UTC):%d/%m/%y %H:%M:%S})" for at, value in kept)
    return (
        f"Threshold Crossed: {count} out of the last {total} datapoints [{listed}] {_was(count)} "
        f"{'' if alarm else 'not '}{COMPARISONS[condition.comparison][1]} the threshold ({condition.threshold}) "
        f"(minimum {_count(least, 'datapoint')} for {before} -> {judgement.state} transition)."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def reason_data(
    judgement: Judgement,
    condition: Condition,
    points: Sequence[tuple[int, float | None]],
    *,
    now: float,
    period: int,
    statistic: str | None,
    unit: str | None,
) -> str:
    """The same as JSON, as the alarm's `StateReasonData` and the event's `reasonData`."""
    recent = [value for _, value in points[-condition.evaluation_periods :] if value is not None]
    seen = [points[place] for place in reversed(judgement.evaluated)]
    data: dict[str, Any] = {"version": "1.0", "queryDate": instant(now)}
    if seen:
        data["startDate"] = instant(min(at for at, _ in seen))
    if statistic:
        data["statistic"] = statistic
    if unit:
        data["unit"] = unit
    data |= {"period": period, "recentDatapoints": recent, "threshold": condition.threshold}
    data["evaluatedDatapoints"] = [{"timestamp": instant(at), "value": value} for at, value in seen]
    return json.dumps(data, separators=(",", ":"))
