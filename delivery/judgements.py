"""What the monitor said last: drift per variant and column, and quality with its bounds and label coverage.

Read from the reports that the monitor's runs left in the artifacts bucket; the signals in CloudWatch say whether it ran
and what its alarms are at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from contract import places
from contract.records import nearest
from contract.signals import BY_KEY
from delivery.environment import Environment
from delivery.runs import Pipeline, token_of
from infra.runbooks import Runbooks

DRIFT_SIGNALS = ("drift", "prediction_drift", "data_quality", "monitor_ran")
LOOKED_AT = 8  # reports that are read: one per variant of the newest runs
QUALITY_SIGNALS = ("quality_loss", "monitor_ran")


class JudgementError(Exception):
    """Nothing was judged yet, or it cannot be read; the text says what to run."""


@dataclass(frozen=True, slots=True)
class Effect:
    """How far one column moved, in units of what matters: at 1 and above it does."""

    column: str
    effect: float
    role: str
    matters: bool


@dataclass(frozen=True, slots=True)
class Window:
    """The monitor's verdict on one window of one variant."""

    variant: str
    since: str
    until: str
    rows: int
    inputs: str
    predictions: str
    columns: tuple[Effect, ...]
    causes: tuple[str, ...]
    violations: tuple[str, ...]
    past: tuple[tuple[str, str], ...]
    report: str

    @property
    def alarming(self) -> bool:
        return "drift" in (self.inputs, self.predictions) or bool(self.violations)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A measure with the ends of its 95 % interval, and on how many rows it stands."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    rows: int


@dataclass(frozen=True, slots=True)
class Part:
    """The quality of one variant, or of one slice of it."""

    variant: str
    slice: str
    coverage: Bounded
    measures: tuple[Bounded, ...]
    estimates: tuple[Bounded, ...]
    below: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quality:
    """What is known of quality as of one look."""

    made: str
    main: str
    parts: tuple[Part, ...]
    decayed: Mapping[str, tuple[str, ...]]
    report: str

    @property
    def alarming(self) -> bool:
        return any(self.decayed.values()) or any(part.below for part in self.parts)


@dataclass(frozen=True, slots=True)
class AlarmState:
    """One alarm on a signal, as CloudWatch has it."""

    alarm: str
    state: str
    reason: str
    runbook: str


@dataclass(frozen=True, slots=True)
class Judgements:
    """The monitor's reports on one model in one environment."""

    environment: Environment
    model: str

    @property
    def place(self) -> str:
        endpoint = self.environment.settings.names.endpoint(self.model)
        return f"{places.windows_prefix(endpoint)}reports/"

    def windows(self) -> list[Window]:
        """The newest window of every variant that was judged."""
        newest: dict[str, Window] = {}
        for key in self.reports("report.json")[:LOOKED_AT]:
            window = window_of(self.read(key), self.uri(key))
            newest.setdefault(window.variant, window)
        if not newest:
            raise JudgementError(self.nothing("no window was judged"))
        return sorted(newest.values(), key=lambda each: each.variant)

    def quality(self) -> Quality:
        """The newest look at quality."""
        key = next(iter(self.reports("outcomes.json")), None)
        if key is None:
            raise JudgementError(
                self.nothing("no outcomes were joined")
                + f" Outcomes are handed over with `slipway outcomes put {self.model} --file outcomes.csv`."
            )
        return quality_of(self.read(key), self.uri(key))

    def alarms(self, keys: Sequence[str]) -> list[AlarmState]:
        """The alarms on signals of the model, firing ones first."""
        names = self.environment.settings.names
        signals = {names.alarm(self.model, key, each): key for key in keys for each in (None, *self.variants())}
        wanted = [each for each in self.environment.model(self.model).alarms if each in signals]
        if not wanted:
            return []
        runbooks = Runbooks(self.environment.settings.alerts.runbooks)
        answer = self.environment.client("cloudwatch").describe_alarms(AlarmNames=wanted)
        found = [
            AlarmState(
                each["AlarmName"],
                each["StateValue"],
                each.get("StateReason", ""),
                runbooks.page(BY_KEY[signals[each["AlarmName"]]]),
            )
            for each in answer["MetricAlarms"]
        ]
        return sorted(found, key=lambda each: (each.state != "ALARM", each.alarm))

    def judge(self) -> None:
        """Have the newest hours judged now, and wait for it."""
        environment = self.environment
        name = environment.model(self.model).monitor_pipeline
        if name is None:
            raise JudgementError(
                f"{self.model} is not monitored in {environment.name}: set models.{self.model}.monitor in "
                f"Pulumi.{environment.name}.yaml, and serve a version."
            )
        pipeline = Pipeline(environment.sagemaker, name, environment.wait)
        asked = {"WindowEnd": environment.now().isoformat(timespec="seconds")}
        pipeline.finish(pipeline.start(asked, token_of(name, asked, "")))

    # Where reports stand.

    def variants(self) -> list[str]:
        release = self.environment.releases.read().models.get(self.model)
        return [each.name for each in release.variants] if release else []

    def reports(self, ending: str) -> list[str]:
        """The reports of a kind, newest first."""
        pages = self.environment.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.place)
        found: list[tuple[datetime, str]] = [
            (each["LastModified"], each["Key"])
            for page in pages
            for each in page.get("Contents", ())
            if each["Key"].rpartition("/")[2] == ending
        ]
        return [key for _, key in sorted(found, reverse=True)]

    @property
    def bucket(self) -> str:
        return self.environment.bucket("artifacts")

    def read(self, key: str) -> dict[str, Any]:
        return json.loads(self.environment.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key.rpartition('.')[0]}.html"

    def nothing(self, what: str) -> str:
        return (
            f"{what} for {self.model} in {self.environment.name} yet: the monitor runs by its schedule, or now with "
            f"--judge; it needs a released version and requests that were captured."
        )


def window_of(document: Mapping[str, Any], report: str) -> Window:
    """A window's verdict, from the report's JSON twin."""
    verdict = document["verdict"]
    columns = [
        Effect(each["name"], float(each["effect"] or 0.0), each["role"], float(each["effect"] or 0.0) >= 1)
        for each in document["columns"]
    ]
    return Window(
        variant=document["variant"],
        since=document["since"] or "",
        until=document["until"] or "",
        rows=document["rows"],
        inputs=verdict["status"],
        predictions=verdict["predictions"],
        columns=tuple(sorted(columns, key=lambda each: -each.effect)),
        causes=tuple(causes(verdict["causes"])),
        violations=tuple(f"{each['feature_name']}: {each['description']}" for each in document["violations"]),
        past=tuple((each["since"], each["status"]) for each in document["past"]),
        report=report,
    )


def causes(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for each in found:
        over = "" if each["windows"] == 1 else f" over {each['windows']} windows"
        yield f"{' with '.join(each['columns'])}: {each['effect']:.2f} times what matters{over}"


def quality_of(document: Mapping[str, Any], report: str) -> Quality:
    """Quality, from the report's JSON twin."""
    return Quality(
        made=document["made"],
        main=document["main"],
        parts=tuple(part_of(each) for each in document["parts"]),
        decayed={variant: tuple(labels) for variant, labels in document["decayed"].items()},
        report=report,
    )


def part_of(document: Mapping[str, Any]) -> Part:
    return Part(
        variant=document["variant"],
        slice=document["slice"],
        coverage=bounded("outcomes known", document["coverage"]["share"]),
        measures=tuple(bounded(name, each) for name, each in document["measures"].items()),
        estimates=tuple(bounded(name, each) for name, each in document["estimate"].items()),
        below=tuple(document["below_threshold"]),
    )


def bounded(name: str, document: Mapping[str, Any]) -> Bounded:
    return Bounded(name, document["value"], document["low"], document["high"], document["n"])


def chosen(windows: Sequence[Window], column: str | None) -> list[Window]:
    """Only one column of each window, when one is named."""
    if column is None:
        return list(windows)
    known = sorted({each.column for window in windows for each in window.columns})
    if column not in known:
        raise JudgementError(f"no window has a column '{column}'.{nearest(column, known)} Columns: {', '.join(known)}.")
    return [
        replace(window, columns=tuple(each for each in window.columns if each.column == column)) for window in windows
    ]
