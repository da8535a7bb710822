"""How well a model is probably doing before outcomes arrive: an estimate, and named so wherever it is shown.

If the model's probabilities are calibrated, each says how often its prediction is right; their mean is the accuracy
to expect, and the same chances give the expected table of hits and misses. What this cannot see is a change of what
the inputs *mean* (concept drift): then the probabilities are wrong, and so is the estimate. Calibration is checked
and repaired on labelled reference data first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.outcomes.measures import CONFIDENCE, FEWEST, Array, Measure, Truth, absent, deviations

KNOTS = 200


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A rising curve from the chance a model gives to the chance it means, learned from labelled reference data."""

    given: tuple[float, ...]
    meant: tuple[float, ...]

    @classmethod
    def learn(cls, chance: Array, actual: Truth) -> Calibrator:
        """Isotonic regression on bins of equal numbers; needs at least a few dozen rows to say anything."""
        if len(chance) < FEWEST:
            return cls((0.0, 1.0), (0.0, 1.0))
        order = np.argsort(chance, kind="stable")
        from scipy.optimize import isotonic_regression  # slow to import, and only a reference is learned with it

        parts = [part for part in np.array_split(order, min(KNOTS, len(order) // 10)) if len(part)]
        given = np.array([chance[part].mean() for part in parts])
        happened = np.array([actual[part].mean() for part in parts])
        fitted = isotonic_regression(happened, weights=np.array([len(part) for part in parts], dtype=np.float64))
        return cls(tuple(given.tolist()), tuple(np.asarray(fitted.x).tolist()))

    def __call__(self, chance: Array) -> Array:
        return np.interp(chance, self.given, self.meant)

    def to_json(self) -> dict[str, Any]:
        return {"given": list(self.given), "meant": list(self.meant)}

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Calibrator:
        return cls(tuple(given["given"]), tuple(given["meant"]))


AS_GIVEN = Calibrator((0.0, 1.0), (0.0, 1.0))


def estimate_of_two_classes(
    chance: Array, predicted_last: NDArray[np.bool_], calibrator: Calibrator = AS_GIVEN
) -> dict[str, Measure]:
    """Accuracy, F1 and AUC to expect; `chance` is the model's for the last class, `predicted_last` what it decided."""
    given, decided = chance[~np.isnan(chance)], predicted_last[~np.isnan(chance)]
    p, n = calibrator(given), len(given)
    if n < FEWEST:
        return {name: absent(n) for name in ("accuracy", "f1", "auc")}
    return {
        "accuracy": estimated_mean(np.where(decided, p, 1 - p)),
        "f1": _estimated_f1(p, decided),
        "auc": _estimated_auc(given, p),
    }


def estimate_of_confidence(confidence: Array, calibrator: Calibrator = AS_GIVEN) -> dict[str, Measure]:
    """The accuracy to expect from each prediction's own confidence (three classes and more)."""
    given = confidence[~np.isnan(confidence)]
    return {"accuracy": estimated_mean(calibrator(given)) if len(given) >= FEWEST else absent(len(given))}


def estimated_mean(chance_right: Array) -> Measure:
    """The expected share of right predictions; bounds say where the realised share of these very rows will lie."""
    n = len(chance_right)
    value = float(chance_right.mean())
    reach = deviations(CONFIDENCE) * float(np.sqrt((chance_right * (1 - chance_right)).sum())) / n
    return Measure(value, max(0.0, value - reach), min(1.0, value + reach), n)


def _estimated_f1(p: Array, decided: NDArray[np.bool_]) -> Measure:
    hit = float(p[decided].sum())
    miss = float((1 - p[decided]).sum() + p[~decided].sum())
    return Measure(2 * hit / (2 * hit + miss), None, None, len(p)) if hit + miss > 0 else absent(len(p))


def _estimated_auc(score: Array, p: Array) -> Measure:
    """The chance that a row drawn as positive outranks one drawn as negative, each by its chance of being so."""
    order = np.argsort(score, kind="stable")
    s, positive, negative = score[order], p[order], 1 - p[order]
    _, first = np.unique(s, return_index=True)
    pos, neg = np.add.reduceat(positive, first), np.add.reduceat(negative, first)
    pairs = positive.sum() * negative.sum()
    below = np.cumsum(neg) - neg
    return Measure(float((pos * (below + neg / 2)).sum() / pairs), None, None, len(p)) if pairs > 0 else absent(len(p))
