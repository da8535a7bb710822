"""Findings we live with, each with a reason and a date."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from contract.records import known_fields

FILE = Path(__file__).resolve().parent.parent.parent / "infra" / "waivers.yaml"


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a resource of an environment breaks."""

    environment: str
    rule: str
    resource: str
    text: str


@dataclass(frozen=True, slots=True)
class Waiver:
    """Which findings are accepted, why, and until when."""

    rule: str
    resources: str
    reason: str
    until: date
    environments: tuple[str, ...] = ()

    def covers(self, finding: Finding) -> bool:
        where = not self.environments or finding.environment in self.environments
        return (
            where
            and re.fullmatch(self.rule, finding.rule) is not None
            and re.fullmatch(self.resources, finding.resource) is not None
        )

    def is_over(self, today: date) -> bool:
        return today > self.until


def waivers(path: Path = FILE) -> list[Waiver]:
    return [waiver(each) for each in yaml.safe_load(path.read_text())]


def waiver(given: Mapping[str, Any]) -> Waiver:
    fields = known_fields(Waiver, given)
    return Waiver(**fields | {"environments": tuple(fields.get("environments", ()))})


@dataclass(frozen=True, slots=True)
class Judged:
    """Findings nobody accepted, waivers past their date, and waivers that cover nothing any more."""

    open: tuple[Finding, ...]
    over: tuple[Waiver, ...]
    idle: tuple[Waiver, ...]

    @property
    def is_clean(self) -> bool:
        return not (self.open or self.over or self.idle)


def judge(findings: Sequence[Finding], accepted: Sequence[Waiver], today: date) -> Judged:
    return Judged(
        open=tuple(each for each in findings if not any(waiver.covers(each) for waiver in accepted)),
        over=tuple(each for each in accepted if each.is_over(today)),
        idle=tuple(each for each in accepted if not any(each.covers(finding) for finding in findings)),
    )
