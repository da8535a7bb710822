"""Whether predictions rest on other features than they used to: drift of feature attributions.

Attributions come from an explainer (SHAP values captured with the answers), one row each; where there is none,
`reliance` measures how much of the prediction's variance each column explains by itself, from captured inputs and
answers alone. Two things are told: how far the order of importance moved (NDCG against the baseline's, as SageMaker's
own monitor does, where below 0.90 is a violation), and how large a share of all attribution moved from one feature to
others, with bounds from resampling rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.outcomes.measures import FEWEST, Array, Measure, Truth

Rows = NDArray[np.int64]

VIOLATION = 0.90
RESAMPLES = 200
BINS = 20


@dataclass(frozen=True, slots=True)
class AttributionDrift:
    """How far what predictions rest on has moved since the baseline."""

    ndcg: Measure
    moved: Measure
    """The share of all attribution that stands on other features now: 0 is none, 1 is all."""
    by_feature: dict[str, float]
    """Change of each feature's share of attribution."""
    enough: bool

    @property
    def drifted(self) -> bool:
        """Whether the order surely changed: even the upper bound is a violation."""
        return self.enough and self.ndcg.high is not None and self.ndcg.high < VIOLATION

    def to_json(self) -> dict[str, Any]:
        return {
            "ndcg": self.ndcg.to_json(),
            "moved": self.moved.to_json(),
            "by_feature": self.by_feature,
            "enough": self.enough,
            "drifted": self.drifted,
        }


def shares(attributions: Array) -> Array:
    """Each feature's share of mean absolute attribution; even when there is none at all."""
    return _as_shares(np.abs(attributions).mean(axis=0))


def ndcg(baseline: Array, now: Array) -> float:
    """How good the present order of features is, gauged by the baseline's shares: 1 when it is the same."""
    discount = 1 / np.log2(np.arange(2, len(baseline) + 2))
    best = np.sort(baseline)[::-1] @ discount
    return float(baseline[np.argsort(-now, kind="stable")] @ discount / best) if best > 0 else 1.0


def attribution_drift(
    baseline: Sequence[float], attributions: Array, names: Sequence[str], seed: int = 0
) -> AttributionDrift:
    """Drift of an explainer's rows [n, features] from the baseline's shares."""
    if attributions.ndim != 2:
        raise ValueError(f"attributions have shape {attributions.shape}, expected a row per prediction")
    size = np.abs(attributions[np.isfinite(attributions).all(axis=1)])
    n, width = size.shape
    return _drift(
        baseline, names, lambda rows: size[rows].mean(axis=0), n=n, width=width, resamples=RESAMPLES, seed=seed
    )


def reliance_drift(
    baseline: Sequence[float],
    columns: Array,
    prediction: Array,
    categories: Truth,
    names: Sequence[str],
    *,
    resamples: int = 30,
    seed: int = 0,
) -> AttributionDrift:
    """Drift of what predictions follow, from captured inputs [n, features] and answers alone."""

    def of(rows: Rows) -> Array:
        return reliance(columns[rows], prediction[rows], categories)

    n, width = columns.shape
    return _drift(baseline, names, of, n=n, width=width, resamples=resamples, seed=seed)


def _drift(
    baseline: Sequence[float],
    names: Sequence[str],
    of: Callable[[Rows], Array],
    *,
    n: int,
    width: int,
    resamples: int,
    seed: int,
) -> AttributionDrift:
    """Compare with the baseline's shares, with bounds from measuring resampled rows the same way."""
    if width != len(names) or len(baseline) != len(names):
        raise ValueError(
            f"{width} columns, {len(baseline)} baseline shares and {len(names)} names: "
            "one column and one share per feature are needed to compare them"
        )
    if not n:
        nothing = Measure(None, None, None, 0)
        return AttributionDrift(nothing, nothing, {}, enough=False)
    dice, reference = np.random.default_rng(seed), _as_shares(np.asarray(baseline, dtype=np.float64))
    now = _as_shares(of(np.arange(n)))
    others = [_as_shares(of(dice.integers(0, n, n))) for _ in range(resamples)]
    return AttributionDrift(
        ndcg=_bounded(ndcg(reference, now), [ndcg(reference, each) for each in others], n),
        moved=_bounded(_moved(reference, now), [_moved(reference, each) for each in others], n),
        by_feature={name: float(change) for name, change in zip(names, now - reference, strict=True)},
        enough=n >= FEWEST,
    )


def _moved(before: Array, after: Array) -> float:
    return float(np.abs(after - before).sum() / 2)


def _as_shares(size: Array) -> Array:
    total = size.sum()
    return size / total if total > 0 else np.full(len(size), 1 / len(size))


def _bounded(value: float, resampled: Sequence[float], n: int) -> Measure:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Measure(value, min(value, float(low)), max(value, float(high)), n)


def reliance(columns: Array, prediction: Array, categories: Truth) -> Array:
    """Per column: the share of the prediction's variance that its bins (or levels) explain, one column at a time.

    Numbers are cut into bins of equal counts; missing values are a bin of their own. It sees no interactions, and
    correlated columns share their merit: good for noticing a change, not for explaining a model.
    """
    total = float(((prediction - prediction.mean()) ** 2).sum())
    if total == 0:
        return np.zeros(columns.shape[1])
    return np.array(
        [_explained(columns[:, j], prediction, bool(categories[j])) / total for j in range(columns.shape[1])]
    )


def _explained(column: Array, prediction: Array, category: bool) -> float:
    missing = np.isnan(column)
    if category:
        _, codes = np.unique(np.where(missing, np.inf, column), return_inverse=True)
    else:
        known = column[~missing]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.zeros(0)
        codes = np.where(missing, len(edges) + 1, np.searchsorted(edges, column, side="right"))
    count = np.bincount(codes)
    sums = np.bincount(codes, weights=prediction - prediction.mean())
    filled = count > 0
    groups, rows = int(filled.sum()), len(prediction)
    explained = float((sums[filled] ** 2 / count[filled]).sum())
    # Bins explain something by chance alone: as much as their number among the rows.
    residual = float(((prediction - prediction.mean()) ** 2).sum()) - explained
    return max(0.0, explained - (groups - 1) * residual / max(1, rows - groups))
