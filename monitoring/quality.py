"""Data quality: whether a window keeps the constraints of its baseline.

Every check of a share asks for evidence too: a constraint is broken when the window's share is beyond it by more than
chance allows at the window's size, so that a window of ten rows is not judged by one of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
from scipy import special

from monitoring.baseline import Baseline
from monitoring.capture import Tally, instant
from monitoring.evidence import share_above
from monitoring.layout import UNSEEN, CategoryColumn, NumericColumn, shortened
from monitoring.profile import Profile
from monitoring.verdict import Reference
from monitoring.window import Window

Check = Literal[
    "data_type_check", "completeness_check", "baseline_drift_check", "missing_column_check", "extra_column_check",
    "categorical_values_check", "range_check", "volume_check", "freshness_check", "duplicates_check", "records_check",
]  # fmt: skip
SHOWN = 20  # names of extra columns in one description
TABLE = "(table)"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken constraint, in Model Monitor's form."""

    feature_name: str
    constraint_check_type: Check
    description: str

    def to_json(self) -> dict[str, str]:
        return {
            "feature_name": self.feature_name,
            "constraint_check_type": self.constraint_check_type,
            "description": self.description,
        }


@dataclass(frozen=True, slots=True)
class ColumnConstraint:
    """What one column must keep; what is None is not checked."""

    completeness: float | None = None
    is_non_negative: bool = False
    readable: float = 1.0  # the least share of present values that have the column's type
    known: float = 1.0  # the least share of values whose level is known, beyond the newcomers that are expected


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a window must keep."""

    columns: Mapping[str, ColumnConstraint] = field(default_factory=dict)
    slack: float = 0.005  # how far beyond its limit a share must be
    outside: float = 0.01  # the share of values beyond the baseline's range that is let pass
    surprise: float = 1e-4  # and how improbable that must be
    rows_at_least: int | None = None
    rows_share: float = 0.1  # of the usual number of rows
    fresh_within: timedelta = timedelta(hours=2)
    quarantined: float = 0.01
    repeated: float = 0.01
    astray: float = 0.1  # of the records, filed under an hour far from their own time
    alike: float = 0.2  # of the rows, repeating another beyond what is usual
    alike_among: int = 30  # fewer rows say nothing of a share
    requests: int = 100  # that leave a captured row: with one in ten captured, none is left once in 38,000 hours


def constraints_of(baseline: Baseline) -> Constraints:
    """What the baseline itself keeps."""
    return Constraints({name: _constraint(baseline.profile, i) for i, name in enumerate(baseline.layout.names)})


def _constraint(profile: Profile, i: int) -> ColumnConstraint:
    rows = max(profile.rows, 1)
    present = max(int(profile.present()[i] + profile.unreadable[i]), 1)
    numeric = isinstance(profile.layout.columns[i], NumericColumn)
    return ColumnConstraint(
        completeness=float(1 - profile.missing[i] / rows),
        is_non_negative=numeric and bool(profile.minimum[i] >= 0) and math.isfinite(profile.minimum[i]),
        readable=float(1 - profile.unreadable[i] / present),
    )


def check(
    window: Window, baseline: Baseline, constraints: Constraints | None = None, *,
    now: datetime | None = None, usual_rows: Sequence[int] = (), requests: int | None = None,
    others: Sequence[str] = (), usual_share: float | None = None,
) -> tuple[Violation, ...]:  # fmt: skip
    """Every constraint the window breaks: of the columns, then of the table.

    `requests` is how many the endpoint says it answered; `others` are variants that files are of, when none is of the
    window's own; `usual_share` is the share of rows that repeat another in such windows.
    """
    kept = constraints or constraints_of(baseline)
    return (
        *_columns(window, baseline, kept),
        *_names(window.tally, window.profile.rows),
        *_volume(window, kept, usual_rows),
        *_nothing(window, kept, usual_rows, requests, others),
        *_freshness(window, kept, now),
        *_records(window.tally, kept),
        *_alike(window, kept, usual_share),
    )


def _columns(window: Window, baseline: Baseline, kept: Constraints) -> Iterator[Violation]:
    reference = baseline.reference_at(window.span.since)
    vanished = _vanished(window.tally)
    for i, column in enumerate(window.profile.layout.columns):
        constraint = kept.columns.get(column.name)
        if constraint is None or column.name in vanished or not window.profile.rows:
            continue
        if column.role == "prediction" and window.profile.missing[i] == window.profile.rows:
            continue  # the answers were not captured
        yield from _completeness(window.profile, i, constraint, kept)
        yield from _type(window.profile, i, constraint, kept)
        if isinstance(column, CategoryColumn):
            yield from _levels(window.profile, i, reference, constraint, kept)
        else:
            yield from _range(window.profile, i, constraint, kept)


def beyond(hits: int, rows: int, limit: float, kept: Constraints) -> bool:
    """Whether the true share of hits is surely above the limit, and the share seen above it by more than the slack."""
    if rows == 0 or hits / rows <= limit + kept.slack:
        return False
    return float(special.bdtrc(hits - 1, rows, min(limit, 1.0))) < kept.surprise


def _completeness(profile: Profile, i: int, constraint: ColumnConstraint, kept: Constraints) -> Iterator[Violation]:
    if constraint.completeness is not None and beyond(
        int(profile.missing[i]), profile.rows, 1 - constraint.completeness, kept
    ):
        share = 1 - profile.missing[i] / profile.rows
        yield Violation(
            profile.layout.names[i], "completeness_check",
            f"Data completeness is {share:.2%}, the constraint requires at least {constraint.completeness:.2%} "
            f"({profile.missing[i]} of {profile.rows} rows have no value).",
        )  # fmt: skip


def _type(profile: Profile, i: int, constraint: ColumnConstraint, kept: Constraints) -> Iterator[Violation]:
    column = profile.layout.columns[i]
    unreadable, fractional = int(profile.unreadable[i]), int(profile.fractional[i])
    present = int(profile.present()[i]) + unreadable
    if beyond(unreadable, present, 1 - constraint.readable, kept):
        yield Violation(
            column.name, "data_type_check",
            f"{unreadable} of {present} values are not numbers; at least {constraint.readable:.2%} must be.",
        )  # fmt: skip
    if isinstance(column, NumericColumn) and beyond(fractional, present, 1 - constraint.readable, kept):
        yield Violation(
            column.name, "data_type_check",
            f"{fractional} of {present} values have a fraction; the baseline has whole numbers only.",
        )  # fmt: skip


def _levels(
    profile: Profile, i: int, reference: Reference, constraint: ColumnConstraint, kept: Constraints
) -> Iterator[Violation]:
    rows, unseen = int(profile.present()[i]), int(profile.cells[i, UNSEEN])
    limit = 1 - constraint.known
    expected, others = float(reference.rest.high[i, -1]), max(float(reference.rest.rows[i, -1]), 1.0)
    likely = float(share_above(*(np.array(float(each)) for each in (unseen, rows, expected * others, others))))
    if rows and unseen / rows > limit + kept.slack + expected and likely < math.log(kept.surprise):
        names = sorted(profile.unseen[i].counts, key=lambda name: -profile.unseen[i].counts[name])[:SHOWN]
        yield Violation(
            profile.layout.names[i], "categorical_values_check",
            f"{unseen / rows:.2%} of values are none of the baseline's levels: {', '.join(map(shortened, names))}.",
        )  # fmt: skip


def _range(profile: Profile, i: int, constraint: ColumnConstraint, kept: Constraints) -> Iterator[Violation]:
    column, rows = profile.layout.columns[i], int(profile.present()[i])
    if not isinstance(column, NumericColumn) or not column.edges:
        return
    if constraint.is_non_negative and profile.minimum[i] < 0:
        below = f"the smallest value is {profile.minimum[i]:g}"
        yield Violation(column.name, "range_check", f"The constraint requires values of 0 or more; {below}.")
    out = int(profile.cells[i, 0] + profile.cells[i, len(column.edges)])
    if beyond(out, rows, kept.outside, kept):
        yield Violation(
            column.name, "range_check",
            f"{out / rows:.2%} of values lie outside the baseline's range {column.edges[0]:g} to {column.edges[-1]:g}"
            f"; seen {profile.minimum[i]:g} to {profile.maximum[i]:g}.",
        )  # fmt: skip


def _vanished(tally: Tally) -> set[str]:
    """Columns that nearly every record lacked."""
    good = max(tally.records - tally.quarantined - tally.outside, 1)
    return {name for name, lacking in tally.absent.items() if lacking >= 0.95 * good}


def _names(tally: Tally, rows: int) -> Iterator[Violation]:
    for name in sorted(_vanished(tally)):
        yield Violation(name, "missing_column_check", f"The column is in none of the window's {rows} rows.")
    extra = [name for name, _ in tally.extra.most_common()]
    for name in extra[:SHOWN]:
        yield Violation(name, "extra_column_check", "The baseline has no such column.")
    if len(extra) > SHOWN:
        yield Violation(
            TABLE, "extra_column_check", f"{len(extra) - SHOWN} or more further columns are not in the baseline."
        )


def _volume(window: Window, kept: Constraints, usual: Sequence[int]) -> Iterator[Violation]:
    rows = window.profile.rows
    least = kept.rows_at_least
    if least is None and len(usual) >= SHOWN:
        least = int(np.median(usual) * kept.rows_share)
    if least is not None and rows < least:
        yield Violation(TABLE, "volume_check", f"The window holds {rows} rows, expected at least {least}.")


def _nothing(
    window: Window, kept: Constraints, usual: Sequence[int], requests: int | None, others: Sequence[str]
) -> Iterator[Violation]:
    """A window without a row, where there is reason to think that it should have some; of a slice nothing is known."""
    if window.tally.records > window.tally.outside or window.where is not None:
        return
    found = "The window holds no record"
    if requests is not None:
        if requests >= kept.requests:
            yield Violation(
                TABLE, "volume_check",
                f"{found}, but the endpoint answered {requests:,} requests in its time: they are not captured, or "
                "captured elsewhere.",
            )  # fmt: skip
    elif others:
        yield Violation(
            TABLE, "volume_check", f"{found}, and no file is of its variant: there are files of {', '.join(others)}."
        )
    elif len(usual) >= SHOWN and not any(usual):
        yield Violation(
            TABLE, "volume_check",
            f"{found}, nor did any of the {len(usual)} windows before it: nobody calls the endpoint, or its requests "
            "are captured elsewhere.",
        )  # fmt: skip


def _freshness(window: Window, kept: Constraints, now: datetime | None) -> Iterator[Violation]:
    yield from _clocks(window, kept, now)
    latest = instant(window.tally.latest) if window.tally.latest else None
    until = window.span.until or now
    if latest is not None and until is not None and until - latest > kept.fresh_within:
        yield Violation(
            TABLE, "freshness_check", f"The newest record is of {window.tally.latest}, {until - latest} before the end."
        )
    if latest is not None and now is not None and latest - now > timedelta(minutes=5):
        yield Violation(
            TABLE, "freshness_check", f"Records are dated in the future: {window.tally.latest}. A clock is wrong."
        )


def _clocks(window: Window, kept: Constraints, now: datetime | None) -> Iterator[Violation]:
    """Records whose times cannot be: such records are in no window, and a window without any other is blind."""
    tally, until = window.tally, window.span.until or now
    newest = instant(tally.newest) if tally.newest else None
    if tally.astray > kept.astray * tally.records:
        yield Violation(
            TABLE, "freshness_check",
            f"{tally.astray} of {tally.records} records are dated far from the hour they are filed under (the newest "
            f"is of {tally.newest}), and are in no window. A clock is wrong.",
        )  # fmt: skip
    elif newest is not None and not tally.latest:
        if now is not None and newest - now > timedelta(minutes=5):
            yield Violation(
                TABLE, "freshness_check", f"All records are dated in the future: {tally.newest}. A clock is wrong."
            )
        elif until is not None and until - newest > kept.fresh_within:
            yield Violation(
                TABLE, "freshness_check", f"The newest record is of {tally.newest}, {until - newest} before the end."
            )


def _records(tally: Tally, kept: Constraints) -> Iterator[Violation]:
    if tally.damaged:
        damage = "; ".join(each for each in tally.reasons if each.startswith("gzip") or "cannot be read as" in each)
        yield Violation(TABLE, "records_check", f"{tally.damaged} of {tally.files} files are damaged: {damage}.")
    if tally.records and tally.quarantined > kept.quarantined * tally.records:
        worst = "; ".join(f"{reason} ({count})" for reason, count in tally.reasons.most_common(3))
        yield Violation(
            TABLE, "records_check", f"{tally.quarantined} of {tally.records} records could not be read: {worst}."
        )
    repeated = tally.repeated_events
    if repeated > kept.repeated * max(tally.records, 1):
        yield Violation(TABLE, "duplicates_check", f"{repeated} of {tally.records} records repeat an event.")


def _alike(window: Window, kept: Constraints, usual: float | None) -> Iterator[Violation]:
    """Rows that repeat another under event ids of their own: each would be taken for evidence."""
    if window.rows is None or usual is None or window.rows.things < kept.alike_among:
        return
    if window.rows.share <= usual + kept.alike:
        return
    yield Violation(
        TABLE, "duplicates_check",
        f"{window.rows.share:.0%} of {window.rows.things} rows repeat the inputs of another, usual are {usual:.0%}: "
        "something is sent again and again, and drift is judged as if each time were a row of its own.",
    )  # fmt: skip


def as_document(violations: Sequence[Violation]) -> dict[str, Any]:
    """Model Monitor's constraint_violations.json."""
    return {"violations": [violation.to_json() for violation in violations]}
