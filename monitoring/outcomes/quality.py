"""The quality of what is served, per variant and slice, with label coverage always beside it, as one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from contract.records import Schema
from monitoring.outcomes.coverage import Coverage, coverage
from monitoring.outcomes.decay import Watch
from monitoring.outcomes.estimate import AS_GIVEN, estimate_of_confidence, estimate_of_two_classes
from monitoring.outcomes.join import OUTCOME, PREDICTED, PROBABILITY, VARIANT, Joined
from monitoring.outcomes.measures import Measure, calibration, main_measure, surely_worse
from monitoring.outcomes.reference import Reference, confidence_of, measures_of
from monitoring.outcomes.watched import Watched

VERSION = 1


@dataclass(frozen=True)
class Asked:
    """What quality is judged by: slices, thresholds and a reference."""

    schema: Schema
    now: datetime
    slices: Sequence[str] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    reference: Reference | None = None

    @property
    def main(self) -> str:
        return main_measure(self.schema.task, self.schema.classes)


@dataclass(frozen=True)
class Part:
    """One variant, or one slice of it: measures of what is known, coverage, and an estimate for all of it."""

    variant: str
    slice: str
    measures: Mapping[str, Measure]
    estimate: Mapping[str, Measure]
    coverage: Coverage
    below: tuple[str, ...]
    """Measures that are surely on the wrong side of their threshold."""

    def to_json(self) -> dict[str, Any]:
        return {
            "variant": self.variant,
            "slice": self.slice,
            "measures": {name: each.to_json() for name, each in self.measures.items()},
            "estimate": {name: each.to_json() for name, each in self.estimate.items()},
            "coverage": self.coverage.to_json(),
            "below_threshold": list(self.below),
        }


@dataclass(frozen=True)
class Quality:
    """Everything known of a model's quality at one instant."""

    parts: tuple[Part, ...]
    watched: Watched
    """The watch over decay after this look."""
    decayed: Mapping[str, tuple[str, ...]]
    joined: Joined
    asked: Asked

    def whole(self) -> tuple[Part, ...]:
        """The variants as a whole."""
        return tuple(part for part in self.parts if not part.slice)

    def alarm(self, variant: str) -> bool:
        """Whether a variant, or a slice of it, is surely below a threshold; or has surely decayed."""
        return bool(self.below(variant) or self.decayed.get(variant))

    def below(self, variant: str) -> tuple[Part, ...]:
        """The variant as a whole, and its slices, where they are surely below a threshold."""
        return tuple(part for part in self.parts if part.variant == variant and part.below)

    def warnings(self) -> tuple[str, ...]:
        """What keeps these numbers from saying what they seem to say."""
        unknown = self.joined.counts.of_no_known_class
        if not unknown:
            return ()
        values = ", ".join(f"'{value}' {count:,}" for value, count in self.joined.unknown.items())
        classes = ", ".join(self.asked.schema.classes)
        found = f"{unknown:,} outcomes are of no known class ({values}) and are left out"
        return (f"{found}: the model's classes are {classes}",)

    def to_json(self) -> dict[str, Any]:
        reference = self.asked.reference
        return {
            "kind": "outcomes",
            "version": VERSION,
            "made": self.asked.now.isoformat(),
            "task": self.asked.schema.task,
            "main": self.asked.main,
            "thresholds": dict(self.asked.thresholds),
            "counts": self.joined.counts.to_json(),
            "warnings": list(self.warnings()),
            "parts": [part.to_json() for part in self.parts],
            "decayed": {variant: list(labels) for variant, labels in self.decayed.items()},
            "reference": None if reference is None else {n: m.to_json() for n, m in reference.measures.items()},
            "calibration": {part.variant: self._calibration(part.variant) for part in self.whole()},
        }

    def _calibration(self, variant: str) -> list[dict[str, Any]]:
        if self.asked.schema.task == "regression":
            return []
        known = self.joined.known.filter(pl.col(VARIANT) == variant)
        chance, so = confidence_of(known, self.asked.schema)
        return [{"promised": each.promised, "happened": each.happened.to_json()} for each in calibration(chance, so)]


def judge(joined: Joined, asked: Asked, watched: Watched) -> Quality:
    """Measure every variant and slice, and go on with the watch over decay."""
    frames = {
        str(key[0]): frame for key, frame in sorted(joined.frame.group_by(VARIANT), key=lambda each: str(each[0]))
    }
    parts = [part for variant, frame in frames.items() for part in _parts(variant, frame, asked)]
    decayed: dict[str, tuple[str, ...]] = {}
    if asked.reference is not None:
        for variant, frame in frames.items():
            known = frame.filter(pl.col(OUTCOME).is_not_null())
            watched = watched.look(variant, known, asked.now, schema=asked.schema, reference=asked.reference)
            decayed[variant] = watched.decay[variant].alarms(Watch(asked.reference.misses))
    return Quality(tuple(parts), watched, decayed, joined, asked)


def _parts(variant: str, frame: pl.DataFrame, asked: Asked) -> list[Part]:
    found = [_part(variant, "", frame, asked)]
    for column in asked.slices:
        for key, some in sorted(frame.group_by(column), key=lambda each: str(each[0])):
            value = "missing" if key[0] is None else key[0]
            found.append(_part(variant, f"{column}={value}", some, asked))
    return found


def _part(variant: str, where: str, frame: pl.DataFrame, asked: Asked) -> Part:
    measures = measures_of(frame.filter(pl.col(OUTCOME).is_not_null()), asked.schema)
    below = tuple(
        name
        for name, limit in asked.thresholds.items()
        if name in measures and surely_worse(name, measures[name], limit)
    )
    return Part(variant, where, measures, estimate(frame, asked), coverage(frame, asked.now), below)


def estimate(frame: pl.DataFrame, asked: Asked) -> dict[str, Measure]:
    """What to expect of all predictions, known outcomes or not; nothing for numbers, which carry no confidence."""
    schema = asked.schema
    if schema.task == "regression" or not frame[PROBABILITY].count():
        return {}
    calibrator = asked.reference.calibrator if asked.reference else AS_GIVEN
    chance = frame[PROBABILITY].to_numpy().astype(np.float64)
    if len(schema.classes) > 2:
        return estimate_of_confidence(chance, calibrator)
    return estimate_of_two_classes(
        chance, (frame[PREDICTED] == schema.classes[-1]).fill_null(value=False).to_numpy(), calibrator
    )
