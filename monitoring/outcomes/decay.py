"""Whether a model got worse, watched for as long as it serves, with a stated number of looks between false alarms.

Accuracy on the outcomes that happen to have arrived moves whenever one class's outcomes take longer: early ones are
not typical. What such a delay cannot move is the rate of misses *within* a class, as long as it depends on the
outcome alone; so each class is watched by itself. (A regression has one class, its misses are errors beyond the
baseline's 90th percentile.)

The baseline is a sample: a class is compared with the upper confidence bound of its miss rate, plus what is
tolerated. Evidence is restarted at every look (Shiryaev and Roberts), so that years of good service do not have to be
outweighed before a decay is seen: the sum over all possible starts of the likelihood ratio grows by one a look while
nothing is wrong, so the mean number of looks until a false alarm is at least the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, expit, logit

from contract.records import RecordError, known_fields

Array = NDArray[np.float64]

STEPS = np.array([0.15, 0.3, 0.5, 0.8, 1.2, 1.8, 2.6])
"""How much worse, in log odds of a miss, the alternatives are."""

BASELINE_LEVEL = 0.01
"""The chance that a class's true miss rate in the baseline lies above its bound."""

MOST = 1e300


@dataclass(frozen=True, slots=True)
class Misses:
    """Misses among the known outcomes of one class."""

    n: int
    misses: int

    def __post_init__(self) -> None:
        if not 0 <= self.misses <= self.n:
            raise RecordError(f"{self.misses} misses among {self.n}: misses are counted among the n")

    @property
    def upper(self) -> float:
        """The highest miss rate that still goes with these counts (Clopper and Pearson)."""
        if self.misses == self.n:
            return 1.0
        return float(betaincinv(self.misses + 1, self.n - self.misses, 1 - BASELINE_LEVEL))


@dataclass(frozen=True)
class Watch:
    """What is watched: per class the baseline's misses, how much more is borne, and how rare a false alarm must be."""

    baseline: Mapping[str, Misses]
    tolerated: float = 0.01
    looks_between_false_alarms: float = 8760.0
    """Mean looks until a false alarm over all classes; an hourly look for a year by default."""

    @cached_property
    def limits(self) -> dict[str, float]:
        """Per class: the miss rate that is still borne."""
        return {label: min(1.0, each.upper + self.tolerated) for label, each in self.baseline.items()}

    @property
    def threshold(self) -> float:
        """Each class has an even share of the false alarms."""
        return self.looks_between_false_alarms * max(1, len(self.baseline))


@dataclass(frozen=True, slots=True)
class Decay:
    """The evidence of each class, restarted at every look; the name of the last look makes a repeated one harmless."""

    evidence: Mapping[str, tuple[float, ...]]
    last: str = ""
    looks: int = 0

    @classmethod
    def start(cls, watch: Watch) -> Self:
        return cls({label: (0.0,) * len(STEPS) for label in watch.baseline})

    def look(self, name: str, arrived: Mapping[str, Misses], watch: Watch) -> Decay:
        """Count the outcomes that arrived since the last look; a look counted already changes nothing."""
        if name <= self.last:
            return self
        grown = dict(self.evidence)
        for label in watch.baseline:
            before = np.array(grown.get(label, (0.0,) * len(STEPS)))
            found = arrived.get(label, Misses(0, 0))
            after = restarted(before, found.n, found.misses, watch.limits[label])
            grown[label] = tuple(float(each) for each in after)
        return replace(self, evidence=grown, last=name, looks=self.looks + 1)

    def strength(self, label: str) -> float:
        """The evidence of one class: the mean over how much worse it might be."""
        return float(np.mean(self.evidence[label]))

    def alarms(self, watch: Watch) -> tuple[str, ...]:
        """The classes that are missed more often than is borne, beyond chance."""
        return tuple(label for label in watch.baseline if self.strength(label) >= watch.threshold)

    def to_json(self) -> dict[str, Any]:
        return {
            "evidence": {label: list(each) for label, each in self.evidence.items()},
            "last": self.last,
            "looks": self.looks,
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        fields = known_fields(cls, given)
        return cls(**fields | {"evidence": {label: tuple(each) for label, each in fields["evidence"].items()}})


def likelihood_ratio(n: ArrayLike, misses: ArrayLike, limit: ArrayLike) -> Array:
    """How much better each worse rate explains the misses than the highest one borne; one when nothing can be worse."""
    total, missed, borne = (np.asarray(each, dtype=np.float64)[..., None] for each in (n, misses, limit))
    possible = borne < 1
    borne = np.where(possible, borne, 0.5)
    worse = expit(logit(borne) + STEPS)
    log_ratio = missed * np.log(worse / borne) + (total - missed) * (np.log1p(-worse) - np.log1p(-borne))
    return np.asarray(np.where(possible, np.exp(np.clip(log_ratio, -690, 690)), 1.0))


def restarted(before: Array, n: ArrayLike, misses: ArrayLike, limit: ArrayLike) -> Array:
    """The evidence after one more look, for all alternatives: every look is also a possible start."""
    return np.minimum((before + 1) * likelihood_ratio(n, misses, limit), MOST)


def misses_by_class(predicted: NDArray[np.str_], actual: NDArray[np.str_], classes: Sequence[str]) -> dict[str, Misses]:
    """Per actual class: how many, and how many of them were predicted otherwise."""
    found = {}
    for label in classes:
        of_class = actual == label
        found[label] = Misses(int(of_class.sum()), int((of_class & (predicted != label)).sum()))
    return found


def misses_of_numbers(predicted: Array, actual: Array, usual: float) -> dict[str, Misses]:
    """Errors beyond the usual one (the baseline's 90th percentile) among all."""
    return {"all": Misses(len(actual), int((np.abs(predicted - actual) > usual).sum()))}
