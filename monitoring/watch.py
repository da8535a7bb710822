"""Judging a window from end to end: read, compare, check, report, publish, and remember it for the next.

What is remembered of a window is its counts, in one small file named after its start. Judging the same window again
replaces that file and changes nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from monitoring import drift
from monitoring.baseline import Baseline
from monitoring.modelmonitor import CONSTRAINTS, STATISTICS, VIOLATIONS, constraints_document, statistics
from monitoring.profile import Profile
from monitoring.publish import Datum
from monitoring.quality import SHOWN, Constraints, Violation, as_document, check, constraints_of
from monitoring.report import window as report
from monitoring.storage import Folder
from monitoring.verdict import SPANS, Budget, Matters, Sums, Verdict, judge, sums_of
from monitoring.window import Slice, Window

REMEMBERED = max(SPANS) - 1
VERSION = 1
OVERLAP = timedelta(minutes=1)  # of two windows, let pass: a schedule starts a little early or late


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be chosen about judging."""

    endpoint: str
    variant: str
    budget: Budget = field(default_factory=Budget)
    matters: Matters = field(default_factory=Matters)
    constraints: Constraints | None = None
    others: tuple[str, ...] = ()  # variants that files are of, when none is of this one


@dataclass(frozen=True, slots=True)
class Past:
    """A window that was judged before: its counts, and what the report's timeline needs."""

    sums: Sums
    since: datetime
    until: datetime
    point: report.Point
    repeated: float | None = None  # the share of its rows that repeated another


@dataclass(frozen=True, slots=True)
class Judged:
    """All that is known of a window once it was judged."""

    window: Window
    verdict: Verdict
    violations: tuple[Violation, ...]
    document: Mapping[str, Any]


def judged(
    window: Window,
    baseline: Baseline,
    past: Sequence[Past],
    settings: Settings,
    now: datetime,
    *,
    served: Mapping[str, Any] | None = None,
) -> Judged:
    """Compare a window with its baseline, in the light of the windows before it; pure.

    `served` is what the endpoint measured of it (see `Traffic.served`), for the report.
    """
    reference = baseline.reference_at(window.span.since)
    sums = [*(each.sums for each in past), sums_of(window.profile)]
    references = [*(baseline.reference_at(each.since) for each in past), reference]
    if baseline.season == "none":
        references = [reference] * len(sums)
    verdict = judge(sums, references, settings.budget, settings.matters)
    if repeats_itself(window, baseline, settings.budget):
        verdict = replace(verdict, status="not enough data", predictions="not enough data")  # its causes are still told
    usual = usual_share(window, baseline, [each.repeated for each in past if each.repeated is not None])
    table = drift.Table(reference, baseline.profile_at(window.span.since), window.profile)
    constraints = settings.constraints or constraints_of(baseline)
    violations = check(
        window, baseline, constraints, now=now, usual_rows=[each.point.rows for each in past],
        requests=served["requests"] if served else None, others=settings.others, usual_share=usual,
    )  # fmt: skip
    document = report.document(
        endpoint=settings.endpoint, variant=settings.variant, baseline=baseline, window=window, verdict=verdict,
        measured=drift.measure(table), violations=violations, past=[each.point for each in past],
        made=now.isoformat(timespec="seconds"), served=served, usual_share=usual,
    )  # fmt: skip
    return Judged(window, verdict, violations, document)


def repeats_itself(window: Window, baseline: Baseline, budget: Budget) -> bool:
    """Whether a window holds fewer distinct rows than are needed to judge one, though the baseline's would be more."""
    rows = window.rows
    if rows is None or rows.things < budget.minimum_rows or rows.distinct >= budget.minimum_rows:
        return False
    expected = baseline.rows.expected(rows.things) if baseline.rows else float(rows.things)
    return rows.distinct < expected / 2


def usual_share(window: Window, baseline: Baseline, past: Sequence[float]) -> float | None:
    """The share of rows that repeat another in such a window: by the baseline, or by the windows before it."""
    if window.rows is None or not window.rows.things or window.where is not None:
        return None
    known = [float(np.median(past))] if len(past) >= SHOWN else []
    if baseline.rows is not None:
        known.append(1 - baseline.rows.expected(window.rows.things) / window.rows.things)
    return max(known, default=None)


def write(result: Judged, baseline: Baseline, output: Folder) -> None:
    """The report, its JSON twin, and Model Monitor's files."""
    output.write("report.json", report.to_bytes(result.document))
    output.write("report.html", report.page(result.document).encode(), "text/html; charset=utf-8")
    for name, document in (
        (STATISTICS, statistics(result.window.profile)),
        (CONSTRAINTS, constraints_document(constraints_of(baseline), baseline.layout)),
        (VIOLATIONS, as_document((*result.violations, *_drifted(result.verdict)))),
    ):
        output.write(name, json.dumps(document, indent=1).encode())


def _drifted(verdict: Verdict) -> list[Violation]:
    return [
        Violation(
            column, "baseline_drift_check",
            f"Effect {cause.effect:.2f} times the smallest that matters, over the last {cause.span} windows.",
        )
        for cause in verdict.causes
        for column in cause.columns
    ]  # fmt: skip


def signals(result: Judged, settings: Settings, at: datetime) -> list[Datum]:
    """What is published of a window; that it was judged comes last."""
    variant = {"EndpointName": settings.endpoint, "VariantName": settings.variant}
    verdict, tally = result.verdict, result.window.tally
    features = {name: verdict.effects[name] for name in _features(result.window)}
    values = {
        "rows": result.window.profile.rows,
        "quarantined": tally.quarantined,
        "not_enough_data": verdict.status == "not enough data",
        "drift": verdict.status == "drift",
        "drift_score": max(features.values(), default=0.0),
        "prediction_drift": verdict.predictions == "drift",
        "data_quality": len(result.violations),
    }
    return [
        *(Datum(key, float(value), variant, at) for key, value in values.items()),
        *(Datum("feature_drift", effect, {**variant, "Feature": name[:255]}, at) for name, effect in features.items()),
        Datum("monitor_ran", 1.0, {"EndpointName": settings.endpoint}, at),
    ]


def _features(window: Window) -> list[str]:
    return [column.name for column in window.profile.layout.columns if column.role == "feature"]


# --- Remembering.


def home_of(variant: str, where: Slice | None = None) -> str:
    """The folder of what is remembered of a variant's windows; a slice's are apart from those of all rows."""
    return f"{variant}/" if where is None else f"slices/{where.folder}/{variant}/"


def name_of(home: str, since: datetime) -> str:
    return f"{home}{since:%Y/%m/%d/%H-%M-%S}.json"


def remember(result: Judged, baseline: Baseline, settings: Settings, history: Folder) -> None:
    """Keep the window's counts; without a start it has no place in time and is not kept."""
    since = result.window.span.since
    if since is None:
        return
    window = result.window
    # Of a window that repeats itself only that it was is remembered: later windows would sum its rows as evidence.
    counted = not repeats_itself(window, baseline, settings.budget)
    profile = window.profile if counted else Profile.empty(window.profile.layout)
    sums = sums_of(profile)
    kept = {
        "version": VERSION,
        "layout": profile.layout.fingerprint,
        "since": since.isoformat(),
        "until": result.window.span.until.isoformat() if result.window.span.until else since.isoformat(),
        "rows": profile.rows,
        "seen": window.profile.rows,
        "repeated": window.rows.share if window.rows is not None and window.rows.things else None,
        "status": "drift" if "drift" in (result.verdict.status, result.verdict.predictions) else result.verdict.status,
        "effects": dict(result.verdict.effects),
        "cells": sums.cells.tolist(),
        "missing": sums.missing.tolist(),
        "products": None if sums.products is None else sums.products.tolist(),
    }
    name = name_of(home_of(settings.variant, result.window.where), since)
    history.write(name, json.dumps(kept, separators=(",", ":")).encode())


def recall(history: Folder, home: str, before: datetime | None, baseline: Baseline) -> list[Past]:
    """The last windows of the same baseline that ended earlier, in order; what cannot be read is left out."""
    if before is None:
        return []
    last = name_of(home, before)
    names = [name for name in history.names(home) if name < last and name.endswith(".json")]
    found = [_recalled(history.read(name), baseline) for name in sorted(names)[-REMEMBERED:]]
    return [each for each in found if each is not None and each.until <= before + OVERLAP]


def _recalled(content: bytes, baseline: Baseline) -> Past | None:
    try:
        kept = json.loads(content)
        if kept["version"] != VERSION or kept["layout"] != baseline.layout.fingerprint:
            return None
        sums = Sums(
            np.array(kept["cells"], np.int64).reshape(len(baseline.layout.columns), -1),
            np.array(kept["missing"], np.int64),
            np.array(kept["rows"], np.int64),
            np.array(kept["products"], np.int64).reshape(2 * [len(baseline.layout.paired)])
            if kept["products"] is not None
            else None,
        )
        point = report.Point(kept["since"], int(kept.get("seen", kept["rows"])), kept["status"], kept["effects"])
        since, until = (datetime.fromisoformat(kept[name]) for name in ("since", "until"))
        return Past(sums, since, until, point, kept.get("repeated"))
    except (KeyError, TypeError, ValueError):
        return None
