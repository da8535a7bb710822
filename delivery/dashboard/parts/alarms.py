"""What is wrong now: every alarm of the model, those that are up first, each with its runbook."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from delivery.dashboard.looking import Look
from infra.runbooks import named_in
from monitoring.report.page import table, text

TITLE, PLACE, WIDE = "Alarms", 20, False
ADDRESS = re.compile(r"(https?://\S+)")
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
            f'<span class="text">{linked(each.description)}</span>',
        ]
        for each in found
    ]
    said = f"{len(up)} of {len(found)} are up" if up else f"all {len(found)} are calm or have no data"
    causes = "".join(map(cause, up))
    listed = table(["", "alarm", "since", "what it means"], rows, "Alarms")
    return f"<p>{said}</p>{causes}<details><summary>all of them</summary>{listed}</details>"


def cause(alarm: Alarm) -> str:
    """Why an alarm is up, and what to read now."""
    pages = linked(" ".join(named_in(alarm.description)))
    return f'<p class="note bad-text">{text(alarm.name)}: {text(alarm.reason)} <span class="soft">{pages}</span></p>'


def linked(said: str) -> str:
    """A text whose web addresses can be followed; whatever else it holds stays text."""
    return "".join(link(each) if ADDRESS.fullmatch(each) else text(each) for each in ADDRESS.split(said))


def link(address: str) -> str:
    return f'<a href="{text(address)}" target="_blank" rel="noopener noreferrer">{text(address)}</a>'
