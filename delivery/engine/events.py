"""What Terraform tells while it works, line by line, as values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verb = Literal["create", "read", "update", "replace", "delete", "remove", "import", "move", "noop"]


@dataclass(frozen=True, slots=True)
class Planned:
    """One change that would be made."""

    address: str
    verb: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Drifted:
    """Something that is no longer as the state remembers it."""

    address: str
    verb: str


@dataclass(frozen=True, slots=True)
class Started:
    address: str
    verb: str


@dataclass(frozen=True, slots=True)
class Finished:
    address: str
    verb: str
    seconds: float
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """A warning or an error, with the resource it is about when there is one."""

    severity: str
    summary: str
    detail: str
    address: str

    @property
    def text(self) -> str:
        where = f"{self.address}: " if self.address else ""
        return where + self.summary + (f"\n{self.detail}" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Summary:
    add: int
    change: int
    remove: int
    operation: str


Event = Planned | Drifted | Started | Finished | Diagnosed | Summary


def read(lines: Iterable[str]) -> Iterator[Event]:
    """Events from Terraform's JSON lines; lines of other kinds are passed over."""
    for line in lines:
        event = one(line)
        if event is not None:
            yield event


def one(line: str) -> Event | None:
    try:
        return event_of(json.loads(line))
    except ValueError:
        return None


def event_of(given: Mapping[str, Any]) -> Event | None:
    kind = given.get("type", "")
    if kind == "diagnostic":
        found = given["diagnostic"]
        return Diagnosed(found["severity"], found["summary"], found.get("detail", ""), found.get("address", ""))
    if kind == "change_summary":
        counts = given["changes"]
        return Summary(counts["add"], counts["change"], counts["remove"], counts["operation"])
    return event_about(kind, given.get("hook") or given.get("change") or {})


def event_about(kind: str, given: Mapping[str, Any]) -> Event | None:
    """An event about one resource."""
    address = given.get("resource", {}).get("addr", "")
    match kind:
        case "planned_change":
            return Planned(address, given["action"], given.get("reason", ""))
        case "resource_drift":
            return Drifted(address, given["action"])
        case "apply_start":
            return Started(address, given["action"])
        case "apply_complete" | "apply_errored":
            return Finished(address, given["action"], float(given["elapsed_seconds"]), kind == "apply_errored")
        case _:
            return None
