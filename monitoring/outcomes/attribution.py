"""Whether predictions rest on other features than they used to: drift of feature attributions.

Attributions come from an explainer (SHAP values captured with the answers), one row each; where there is none,
`reliance` measures how much of the prediction's variance each column explains by itself, from captured inputs and
answers alone. Two things are told: how far the order of importance moved (NDCG against the baseline's, as SageMaker's
own monitor does, where below 0.90 is a violation), and how large a share of all attribution moved from one feature to
others, with bounds from resampling rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.outcomes.measures import FEWEST, Array, Measure

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
    size = np.abs(attributions).mean(axis=0)
    total = size.sum()
    return size / total if total > 0 else np.full(len(size), 1 / len(size))


def ndcg(baseline: Array, now: Array) -> float:
    """How good the present order of features is, gauged by the baseline's shares: 1 when it is the same."""
    discount = 1 / np.log2(np.arange(2, len(baseline) + 2))
    best = np.sort(baseline)[::-1] @ discount
    return float(baseline[np.argsort(-now, kind="stable")] @ discount / best) if best > 0 else 1.0


def attribution_drift(
    baseline: Sequence[float], attributions: Array, names: Sequence[str], seed: int = 0
) -> AttributionDrift:
    """Drift of attributed rows [n, features] from the baseline's shares."""
    if attributions.ndim != 2 or attributions.shape[1] != len(names) or len(baseline) != len(names):
        raise ValueError(
            f"attributions of shape {attributions.shape}, {len(baseline)} baseline shares and {len(names)} names: "
            "one column and one share per feature are needed to compare them"
        )
    reference = np.asarray(baseline, dtype=np.float64)
    reference = reference / reference.sum()
    rows = attributions[np.isfinite(attributions).all(axis=1)]
    if not len(rows):
        nothing = Measure(None, None, None, 0)
        return AttributionDrift(nothing, nothing, {}, enough=False)
    now = shares(rows)
    resampled = _resampled_shares(np.abs(rows), np.random.default_rng(seed))
    return AttributionDrift(
        ndcg=_bounded(ndcg(reference, now), [ndcg(reference, each) for each in resampled], len(rows)),
        moved=_bounded(
            float(np.abs(now - reference).sum() / 2),
            [float(np.abs(each - reference).sum() / 2) for each in resampled],
            len(rows),
        ),
        by_feature={name: float(change) for name, change in zip(names, now - reference, strict=True)},
        enough=len(rows) >= FEWEST,
    )


def _resampled_shares(size: Array, dice: np.random.Generator) -> list[Array]:
    n = len(size)
    found = []
    for _ in range(RESAMPLES):
        total = dice.multinomial(n, np.full(n, 1 / n)) @ size
        found.append(total / total.sum() if total.sum() > 0 else np.full(size.shape[1], 1 / size.shape[1]))
    return found


def _bounded(value: float, resampled: list[float], n: int) -> Measure:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Measure(value, min(value, float(low)), max(value, float(high)), n)


def reliance(columns: Array, prediction: Array, categories: NDArray[np.bool_]) -> Array:
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
