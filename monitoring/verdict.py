"""Whether windows drifted: an effect that matters, and evidence that a yearly budget of false alarms allows.

Two questions are answered. *Does this window look different?* is for the report: columns are listed under a false
discovery rate. *Should someone be woken?* is for the alarm: the last 1, 2, 4 ... 128 windows are summed and each sum is
tested against the reference, and a union bound over columns, tests, spans and the looks of a year keeps the chance of a
false alarm below the budget, whatever the size of a window. What the newer half of a sum does not show is over, and
raises no alarm again.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from monitoring import evidence
from monitoring.bins import CELLS, Floats
from monitoring.layout import HEADS, UNSEEN, CategoryColumn, Layout, NumericColumn
from monitoring.profile import Profile
from monitoring.rare import CELLS as REST
from monitoring.rare import Rest, rest_of

Status = Literal["quiet", "drift", "not enough data"]
SPANS = (1, 2, 4, 8, 16, 32, 64, 128)  # each is the newer half of the next
HOURS_PER_YEAR = 8760

# How the budget of one column is shared among its tests, and the whole among families of tests.
LOCATION, SPREAD, GAPS, MISSING = 0.4, 0.1, 0.3, 0.2
LEVELS = 0.8
FEATURES, CORRELATIONS, PREDICTIONS = 0.65, 0.15, 0.2
PAIR_ROWS = 500  # below this the normal curve's tail is not to be trusted for a correlation


@dataclass(frozen=True, slots=True)
class Budget:
    """How many false alarms are tolerated: by default one in two years of hourly windows."""

    per_year: float = 0.5
    windows_per_year: int = HOURS_PER_YEAR
    minimum_rows: int = 30

    @property
    def per_look(self) -> float:
        """The log of the chance of a false alarm that one span at one window may have."""
        return math.log(self.per_year / self.windows_per_year / len(SPANS))


@dataclass(frozen=True, slots=True)
class Matters:
    """The smallest effects worth an alarm, each a difference of shares (correlations apart)."""

    gap: float = 0.03  # between the two cumulative distributions, at its widest
    level: float = 0.02
    missing: float = 0.005
    unseen: float = 0.002
    correlation: float = 0.1


@dataclass(frozen=True, slots=True)
class Sums:
    """The counts of some windows together, with any leading axes; what is judged, and what it is judged against."""

    cells: evidence.Numbers  # [..., columns, CELLS]
    missing: evidence.Numbers  # [..., columns]
    rows: evidence.Numbers  # [...]
    products: evidence.Numbers | None = None  # [..., paired, paired]

    def each(self, change: Callable[[evidence.Numbers], evidence.Numbers]) -> Sums:
        """The same change to every part."""
        products = None if self.products is None else change(self.products)
        return Sums(change(self.cells), change(self.missing), change(self.rows), products)

    def plus(self, other: Sums) -> Sums:
        products = None if self.products is None or other.products is None else self.products + other.products
        return Sums(self.cells + other.cells, self.missing + other.missing, self.rows + other.rows, products)


@dataclass(frozen=True, slots=True)
class Reference:
    """What windows are compared with: a baseline's counts, what is said of rare levels, how correlations scatter."""

    layout: Layout
    sums: Sums
    rest: Rest
    scatter: Floats | None = None  # [paired, paired]


@dataclass(frozen=True, slots=True)
class Findings:
    """Per column and per pair: the size of the effect, and the log p-value where it matters (0 where it does not)."""

    effect: Floats  # [..., columns], in units of what matters: above 1 it does
    log_p: Floats  # [..., columns], already paid for every test of the column
    pair_effect: Floats  # [...], the largest over all pairs
    pair_log_p: Floats  # [...]
    pair: npt.NDArray[np.int64]  # [..., 2], the columns of the most surely changed pair


def sums_of(profile: Profile) -> Sums:
    return Sums(profile.cells, profile.missing, np.array(profile.rows), profile.products)


def reference_of(
    profile: Profile,
    scatter: Floats | None = None,
    learned: Mapping[int, float] | None = None,
    whole: Profile | None = None,
) -> Reference:
    """A baseline, or a season of the `whole` one, as a reference; for `learned` see `rest_of`."""
    return Reference(profile.layout, sums_of(profile), rest_of(profile, learned, whole), scatter)


class Judge:
    """The tests of one layout, prepared once; pure."""

    def __init__(self, layout: Layout, matters: Matters | None = None) -> None:
        self.layout = layout
        self.matters = matters or Matters()
        self.numeric = np.flatnonzero(layout.is_numeric)
        self.category = np.flatnonzero(~layout.is_numeric)
        scores = np.zeros((len(layout.columns), CELLS))
        for i, column in enumerate(layout.columns):
            if isinstance(column, NumericColumn):
                scores[i, : len(column.scores)] = column.scores
        self.scores = scores
        levels = [len(column.levels) for column in layout.columns if isinstance(column, CategoryColumn)]
        # A level is given a cell for the rows it had: so its test pays for every level that might have been given it.
        self.level_share = np.full((len(levels), CELLS), LEVELS / CELLS)
        self.level_share[:, :HEADS] *= HEADS / np.maximum(np.array(levels), HEADS)[:, None]

    def find(self, window: Sums, reference: Reference) -> Findings:
        shape = np.shape(window.rows)
        effect, log_p = (np.zeros((*shape, len(self.layout.columns))) for _ in range(2))
        if len(self.numeric):
            effect[..., self.numeric], log_p[..., self.numeric] = self._numbers(window, reference.sums)
        if len(self.category):
            effect[..., self.category], log_p[..., self.category] = self._levels(window, reference)
        missing_effect, missing_p = self._missing(window, reference.sums)
        pair_effect, pair_p, pair = self._pairs(window, reference)
        return Findings(np.maximum(effect, missing_effect), np.minimum(log_p, missing_p), pair_effect, pair_p, pair)

    def _numbers(self, window: Sums, reference: Sums) -> tuple[Floats, Floats]:
        cells, base = window.cells[..., self.numeric, :], reference.cells[..., self.numeric, :]
        scores = self.scores[self.numeric]
        rows, base_rows = cells.sum(-1)[..., None], base.sum(-1)[..., None]
        below, base_below = np.cumsum(cells, -1)[..., :-1], np.cumsum(base, -1)[..., :-1]
        gaps = np.abs(_share(below, rows) - _share(base_below, base_rows))
        effect = gaps.max(-1) / self.matters.gap
        shape = np.minimum(
            evidence.mean_differs(cells, base, scores) - math.log(LOCATION),
            evidence.mean_differs(cells, base, _spread(base, scores)) - math.log(SPREAD),
        )
        edges = max(cells.shape[-1] - 1, 1)
        where = evidence.share_differs_screened(below, rows, base_below, base_rows)
        where = np.where(gaps >= self.matters.gap, where, 0.0).min(-1) - math.log(GAPS / edges)
        log_p = np.minimum(np.where(effect >= 1, shape, 0.0), where)
        return effect, np.minimum(log_p, 0.0)

    def _levels(self, window: Sums, reference: Reference) -> tuple[Floats, Floats]:
        cells, base = window.cells[..., self.category, :], reference.sums.cells[..., self.category, :]
        rows, base_rows = cells.sum(-1)[..., None], base.sum(-1)[..., None]
        limits = np.full(CELLS, self.matters.level)
        limits[UNSEEN] = self.matters.unseen
        low, worth = _share(base, base_rows), np.broadcast_to(base_rows, base.shape).astype(np.float64)
        high, rest = low.copy(), reference.rest
        for part, known in ((low, rest.low), (high, rest.high), (worth, rest.rows)):
            part[..., REST] = known[self.category]
        share = _share(cells, rows)
        expected = np.clip(share, low, high)
        effects = np.abs(share - expected) / limits
        log_p = evidence.share_differs_screened(cells, rows, expected * worth, worth)
        log_p = (np.where(effects >= 1, log_p, 0.0) - np.log(self.level_share)).min(-1)
        return effects.max(-1), np.minimum(log_p, 0.0)

    def _missing(self, window: Sums, reference: Sums) -> tuple[Floats, Floats]:
        rows, base_rows = np.asarray(window.rows)[..., None], np.asarray(reference.rows)[..., None]
        effect = np.abs(_share(window.missing, rows) - _share(reference.missing, base_rows)) / self.matters.missing
        log_p = evidence.share_differs_screened(window.missing, rows, reference.missing, base_rows) - math.log(MISSING)
        return effect, np.where(effect >= 1, np.minimum(log_p, 0.0), 0.0)

    def _pairs(self, window: Sums, reference: Reference) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
        shape = np.shape(window.rows)
        first, second = self._upper
        if not len(first) or window.products is None or reference.sums.products is None:
            return np.zeros(shape), np.zeros(shape), np.zeros((*shape, 2), np.int64)
        now = self._correlations(window)[..., first, second]
        then = self._correlations(reference.sums)[..., first, second]
        scatter = 1.0 if reference.scatter is None else np.maximum(reference.scatter[first, second], 1.0)
        rows, base_rows = np.asarray(window.rows)[..., None], np.asarray(reference.sums.rows)[..., None]
        effect = np.abs(now - then) / self.matters.correlation
        log_p = evidence.correlation_differs(now, rows, then, base_rows, np.asarray(scatter)) + math.log(len(first))
        log_p = np.where((effect >= 1) & (rows >= PAIR_ROWS), np.minimum(log_p, 0.0), 0.0)
        worst = log_p.argmin(-1)
        paired = np.array(self.layout.paired)
        pair = np.stack([paired[first[worst]], paired[second[worst]]], -1)
        return effect.max(-1), log_p.min(-1), pair

    @functools.cached_property
    def _upper(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        first, second = np.triu_indices(len(self.layout.paired), 1)
        return first, second

    def _correlations(self, sums: Sums) -> Floats:
        """Correlations of normal scores, from sums alone (a missing value counts as the middle)."""
        if sums.products is None:
            raise ValueError("sums without products hold no correlations")
        rows = np.maximum(np.asarray(sums.rows, np.float64), 1.0)
        paired = list(self.layout.paired)
        mean = (sums.cells[..., paired, :] * self.scores[paired]).sum(-1) / rows[..., None]
        covariance = sums.products / rows[..., None, None] - mean[..., :, None] * mean[..., None, :]
        spread = np.sqrt(np.maximum(np.diagonal(covariance, axis1=-2, axis2=-1), 1e-12))
        result: Floats = covariance / (spread[..., :, None] * spread[..., None, :])
        return result

    correlations = _correlations


def _share(hits: evidence.Numbers, rows: evidence.Numbers) -> Floats:
    result: Floats = np.asarray(hits / np.maximum(rows, 1), np.float64)
    return result


def _spread(base: evidence.Numbers, scores: Floats) -> Floats:
    """Squared distance of each score from the reference's mean: its average is the variance."""
    centre = (base * scores).sum(-1) / np.maximum(base.sum(-1), 1)
    result: Floats = (scores - centre[..., None]) ** 2
    return result


@dataclass(frozen=True, slots=True)
class Cause:
    """A column, or a pair, that drifted: how much in units of what matters, how surely, over how many windows."""

    columns: tuple[str, ...]
    effect: float
    log_p: float
    span: int

    def to_json(self) -> dict[str, Any]:
        return {"columns": list(self.columns), "effect": self.effect, "log_p": self.log_p, "windows": self.span}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the alarm says of the inputs and of the predictions at one window, and why."""

    status: Status
    predictions: Status
    causes: tuple[Cause, ...] = ()
    rows: int = 0
    effects: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "predictions": self.predictions,
            "causes": [cause.to_json() for cause in self.causes],
            "rows": self.rows,
            "effects": dict(self.effects),
        }


@dataclass(frozen=True, slots=True)
class Limits:
    """The log p-values that a column, a prediction column, or the pairs must fall below to raise the alarm."""

    columns: Floats
    pairs: float


def limits(layout: Layout, budget: Budget) -> Limits:
    features, predictions = len(layout.of_role("feature")), len(layout.of_role("prediction"))
    shares = [
        FEATURES / max(features, 1) if column.role == "feature" else PREDICTIONS / max(predictions, 1)
        for column in layout.columns
    ]
    return Limits(np.log(shares) + budget.per_look, math.log(CORRELATIONS) + budget.per_look)


def judge(
    windows: Sequence[Sums],
    references: Sequence[Reference],
    budget: Budget | None = None,
    matters: Matters | None = None,
) -> Verdict:
    """The alarm's verdict on the last of some windows in order of time; each has its own reference (a season's)."""
    if not windows or len(windows) != len(references):
        raise ValueError(f"{len(windows)} windows and {len(references)} references: give one reference for each window")
    budget, layout = budget or Budget(), references[-1].layout
    decide, bound = Judge(layout, matters), limits(layout, budget)
    causes: dict[tuple[str, ...], Cause] = {}
    rows, effects = 0, np.zeros(len(layout.columns))
    newer: Findings | None = None
    for span in SPANS:
        if span > len(windows) and span > 1:
            break
        total = add(windows[-span:])
        found = decide.find(total, blend(windows[-span:], references[-span:]))
        rows = int(total.rows)
        if span == 1:
            effects = found.effect
        going_on, newer = lasting(found, newer), found
        if rows < budget.minimum_rows:
            continue
        for cause in _causes(going_on, layout, bound, span):
            if cause.columns not in causes or cause.log_p < causes[cause.columns].log_p:
                causes[cause.columns] = cause
    role_of = {column.name: column.role for column in layout.columns}
    roles = {role_of[cause.columns[0]] for cause in causes.values()}
    quiet: Status = "not enough data" if rows < budget.minimum_rows else "quiet"
    return Verdict(
        status="drift" if "feature" in roles else quiet,
        predictions="drift" if "prediction" in roles else quiet,
        causes=tuple(sorted(causes.values(), key=lambda cause: cause.log_p)),
        rows=int(windows[-1].rows),
        effects={column.name: float(effect) for column, effect in zip(layout.columns, effects, strict=True)},
    )


def lasting(found: Findings, newer: Findings | None) -> Findings:
    """What was found in some windows and matters in the newer half of them too; of one window all is new."""
    if newer is None:
        return found
    log_p = np.where(newer.effect >= 1, found.log_p, 0.0)
    return replace(found, log_p=log_p, pair_log_p=np.where(newer.pair_effect >= 1, found.pair_log_p, 0.0))


def _causes(found: Findings, layout: Layout, bound: Limits, span: int) -> list[Cause]:
    single = [
        Cause((layout.columns[i].name,), float(found.effect[i]), float(found.log_p[i]), span)
        for i in np.flatnonzero(found.log_p < bound.columns)
    ]
    if found.pair_log_p < bound.pairs:
        names = tuple(layout.columns[i].name for i in found.pair)
        single.append(Cause(names, float(found.pair_effect), float(found.pair_log_p), span))
    return single


def add(windows: Sequence[Sums]) -> Sums:
    return functools.reduce(Sums.plus, windows)


def blend(windows: Sequence[Sums], references: Sequence[Reference]) -> Reference:
    """One reference for several windows: each window's own, in the proportion of its rows.

    A blend of seasons is worth as many rows as leave its variance what it is, never more than there are.
    """
    first = references[0]
    if all(reference is first for reference in references):
        return first
    rows = np.array([float(window.rows) for window in windows])
    distinct = list({id(reference): reference for reference in references}.values())
    weight = np.array(
        [sum(r for r, own in zip(rows, references, strict=True) if own is reference) for reference in distinct]
    )
    weight = weight / weight.sum() if weight.sum() else np.full(len(distinct), 1 / len(distinct))
    sizes = np.maximum([float(reference.sums.rows) for reference in distinct], 1.0)
    worth = 1.0 / float((weight**2 / sizes).sum())
    factors = weight * worth / sizes
    parts = [
        reference.sums.each(lambda part, by=by: part * by) for reference, by in zip(distinct, factors, strict=True)
    ]
    rest = Rest.blend([reference.rest for reference in distinct], weight.tolist())
    return Reference(first.layout, replace(add(parts), rows=np.array(worth)), rest, first.scatter)
