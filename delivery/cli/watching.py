"""`slipway drift | quality`: what the monitor said last."""

from __future__ import annotations

from typing import Annotated

import typer

from delivery.cli.exits import EXIT
from delivery.cli.shared import Env, Json, Model, platform, show, table
from delivery.cli.waiting import waiting
from delivery.judgements import AlarmState, Bounded, Quality, Window

Judge = Annotated[bool, typer.Option("--judge", help="Have the newest hour judged now, and wait for it.")]
SHOWN = 12  # columns, those that moved most


def commands(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    for command in (drift, quality):
        app.command()(command)


def drift(
    model: Model,
    column: Annotated[str | None, typer.Option(help="Only this column.")] = None,
    judge: Judge = False,
    env: Env = "local",
    json_: Json = False,
) -> None:
    """The last window's verdict per variant and column, and the alarms on it. Exit 1 when one says drift.

    An effect of 1 is the smallest that matters; the alarm asks for proof too, under the false-alarm budget.

    Example: `slipway drift churn --judge`
    """
    here = platform(env)
    if judge:
        with waiting(f"judging {model}"):
            here.judge(model)
    windows, alarms = here.drift(model, column), here.drift_alarms(model)
    text = "\n\n".join([*map(window_text, windows), alarms_text(alarms)])
    show({"windows": windows, "alarms": alarms}, text, json_)
    if any(each.alarming for each in windows):
        raise typer.Exit(EXIT["failed"])


def window_text(window: Window) -> str:
    """A window as people read it."""
    head = (
        f"{window.variant}: inputs {window.inputs}, predictions {window.predictions}, {window.rows:,} rows "
        f"from {window.since} to {window.until}"
    )
    if not window.rows:
        return f"{head}\nnothing was asked in that time"
    rows = [
        [each.column, each.role, f"{each.effect:.2f}", "matters" if each.matters else ""]
        for each in window.columns[:SHOWN]
    ]
    more = len(window.columns) - SHOWN
    lines = [head, table(["column", "role", "effect", ""], rows)]
    lines += [f"and {more} columns that moved less"] if more > 0 else []
    lines += [f"proven: {each}" for each in window.causes] + [f"violation: {each}" for each in window.violations]
    return "\n".join([*lines, f"report: {window.report}"])


def quality(model: Model, judge: Judge = False, env: Env = "local", json_: Json = False) -> None:
    """The last look at quality per variant: measures with 95 % bounds, and how many outcomes are known.

    Before outcomes arrive there is an estimate, named so. Exit 1 when quality is surely lost.

    Example: `slipway quality churn --judge`
    """
    here = platform(env)
    if judge:
        with waiting(f"judging {model}"):
            here.judge(model)
    found, alarms = here.quality(model), here.quality_alarms(model)
    text = f"{quality_text(found)}\n\n{alarms_text(alarms)}"
    show({"quality": found, "alarms": alarms}, text, json_)
    if found.alarming:
        raise typer.Exit(EXIT["failed"])


def quality_text(found: Quality) -> str:
    """A look at quality as people read it."""
    rows = [
        [part.variant, part.slice or "all", kind, each.name, *measured(each), str(each.rows)]
        for part in found.parts
        for kind, measures in (
            ("", [part.coverage]),
            ("measured", part.measures),
            ("estimated", part.estimates),
        )
        for each in measures
    ]
    lines = [f"as of {found.made}", table(["variant", "slice", "", "what", "value", "95 % interval", "rows"], rows)]
    lines += [f"below its threshold: {part.variant} {', '.join(part.below)}" for part in found.parts if part.below]
    lines += [f"decayed: {name} on {', '.join(labels)}" for name, labels in found.decayed.items() if labels]
    return "\n".join([*lines, f"report: {found.report}"])


def measured(each: Bounded) -> tuple[str, str]:
    value = "unknown" if each.value is None else f"{each.value:.4g}"
    interval = "" if each.low is None or each.high is None else f"{each.low:.4g} to {each.high:.4g}"
    return value, interval


def alarms_text(alarms: list[AlarmState]) -> str:
    return table(["alarm", "state", "runbook"], [[each.alarm, each.state, each.runbook] for each in alarms])
