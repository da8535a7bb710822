"""What is wrong now: every alarm of the model, those that are up first, each with its runbook."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from delivery.dashboard.looking import Look
from monitoring.report.page import table, text

TITLE, PLACE, WIDE = "Alarms", 20, False
ORDER = ("ALARM", "INSUFFICIENT_DATA", "OK")
WORDS = {"ALARM": ("bad", "up"), "OK": ("good", "calm"), "INSUFFICIENT_DATA": ("unsure", "no data")}


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm."""

    name: str
    state: str
    since: datetime
    reason: str
    description: str


def read(look: Look) -> list[Alarm]:
    prefix = f"{look.names.of(look.model)}-"
    pages = (
        look.client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    )
    found = [
        Alarm(
            each["AlarmName"].removeprefix(prefix),
            each["StateValue"],
            each["StateUpdatedTimestamp"],
            each.get("StateReason", ""),
            each.get("AlarmDescription", ""),
        )
        for page in pages
        for each in [*page["MetricAlarms"], *page["CompositeAlarms"]]
    ]
    return sorted(found, key=lambda each: (ORDER.index(each.state), each.name))


def show(found: list[Alarm]) -> str:
    if not found:
        return '<p class="empty">No alarms: nothing is brought up yet.</p>'
    up = [each for each in found if each.state == "ALARM"]
    rows = [
        [
            f'<span class="tag {WORDS[each.state][0]}">{WORDS[each.state][1]}</span>',
            text(each.name),
            f"{each.since:%d %b %H:%M}",
            f'<span class="text">{text(each.description)}</span>',
        ]
        for each in found
    ]
    said = f"{len(up)} of {len(found)} are up" if up else f"all {len(found)} are calm or have no data"
    causes = "".join(f'<p class="note bad-text">{text(each.name)}: {text(each.reason)}</p>' for each in up)
    listed = table(["", "alarm", "since", "what it means"], rows, "Alarms")
    return f"<p>{said}</p>{causes}<details><summary>all of them</summary>{listed}</details>"
