"""An experiment as it stands: a small JSON document of its looks, each counted once.

A look is what one tick of the monitor adds: the traffic of a window, and the outcomes of the window that has just
become old enough for its outcomes to be in. A look that was counted stays as it was: a tick that runs twice, or late,
changes nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, Self

import numpy as np

from contract.records import RecordError, known_fields
from monitoring.experiment.evidence import Array, Evidence
from monitoring.experiment.experiment import Experiment
from monitoring.experiment.guardrails import GuardrailReading, read
from monitoring.experiment.means import Moments, mean_differences, ratio_differences
from monitoring.experiment.odds import Rates
from monitoring.experiment.sample_ratio import SampleRatio

STATE_VERSION = 1
CHAMPION, CHALLENGER = 0, 1
MOST = 2**53  # beyond it a number of requests is a mistake, and no longer exact
MOMENTS = ("n", "y", "yy", "x", "xx", "xy")


class LookError(RecordError):
    """A look says what cannot be; the text names the value."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Events among n: conversions among outcomes, errors or slow answers among requests."""

    n: int = 0
    events: int = 0

    def __post_init__(self) -> None:
        _require_whole(self, "n", "events")
        if not 0 <= self.events <= self.n:
            raise LookError(f"{self.events} events among {self.n}: events are counted among the n, never more")

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.n + other.n, self.events + other.events)


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over units of the value y (or numerator), of x beside it (covariate or denominator), of products."""

    n: int = 0
    y: float = 0.0
    yy: float = 0.0
    x: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    def __post_init__(self) -> None:
        _require_whole(self, "n")
        _require_finite(self, *MOMENTS[1:])

    @classmethod
    def of(cls, y: Sequence[float] | Array, x: Sequence[float] | Array | None = None) -> Sums:
        values = np.asarray(y, dtype=np.float64)
        beside = np.zeros_like(values) if x is None else np.asarray(x, dtype=np.float64)
        return cls(
            len(values),
            float(values.sum()),
            float(values @ values),
            float(beside.sum()),
            float(beside @ beside),
            float(values @ beside),
        )


@dataclass(frozen=True, slots=True)
class Arm:
    """What one variant did in a look."""

    requests: int
    metric: Tally | Sums
    guardrails: Mapping[str, Tally] = field(default_factory=dict)
    weight: float = 1.0

    def __post_init__(self) -> None:
        _require_whole(self, "requests")
        _require_finite(self, "weight")
        if self.weight < 0:
            raise LookError(f"weight is {self.weight}, expected 0 or more: it is a share of the traffic")

    def to_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "weight": self.weight,
            "metric": _plain(self.metric),
            "guardrails": {name: _plain(tally) for name, tally in self.guardrails.items()},
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        fields = known_fields(cls, given)
        metric, guardrails = fields["metric"], fields.get("guardrails", {})
        for name, each in {"metric": metric, "guardrails": guardrails}.items():
            if not isinstance(each, Mapping):
                raise LookError(f"{name} is {each!r}, expected names with counts")
        kind = Tally if "events" in metric else Sums
        return cls(
            requests=fields["requests"],
            metric=kind(**known_fields(kind, metric)),
            guardrails={name: Tally(**known_fields(Tally, each)) for name, each in guardrails.items()},
            weight=fields.get("weight", 1.0),
        )


@dataclass(frozen=True, slots=True)
class Look:
    """One tick's worth of both variants; `name` is the start of its window, so names sort as time does."""

    name: str
    champion: Arm
    challenger: Arm

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise LookError(f"a look's name is {self.name!r}, expected the start of its window as text")
        if not sum(arm.weight for arm in self.arms) > 0:
            weights = " and ".join(f"{arm.weight:g}" for arm in self.arms)
            raise LookError(
                f"look {self.name}: the weights are {weights}, expected one above 0: they say how traffic was split"
            )

    @property
    def arms(self) -> tuple[Arm, Arm]:
        return self.champion, self.challenger

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "champion": self.champion.to_json(), "challenger": self.challenger.to_json()}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        fields = known_fields(cls, given)
        return cls(fields["name"], *(_arm(fields, side) for side in ("champion", "challenger")))


@dataclass(frozen=True, slots=True)
class Progress:
    """An experiment and the looks counted so far, in the order of time."""

    experiment: Experiment
    looks: tuple[Look, ...] = ()

    def add(self, look: Look) -> Progress:
        """Count a look; one that is counted already, or is older than the last, changes nothing."""
        if self.looks and look.name <= self.looks[-1].name:
            return self
        self._require_fit(look)
        return replace(self, looks=(*self.looks, look))

    def _require_fit(self, look: Look) -> None:
        rate = self.experiment.metric.kind == "rate"
        known = {each.name for each in self.experiment.guardrails}
        for arm in look.arms:
            if isinstance(arm.metric, Tally) != rate:
                raise LookError(
                    f"look {look.name}: metric '{self.experiment.metric.name}' is a {self.experiment.metric.kind}, "
                    f"so it needs {'n and events' if rate else 'sums'}, not a {type(arm.metric).__name__}"
                )
            unknown = sorted(set(arm.guardrails) - known)
            if unknown:
                raise LookError(
                    f"look {look.name}: no guardrail named {', '.join(unknown)}; "
                    f"the experiment has {', '.join(sorted(known))}"
                )

    def to_json(self) -> dict[str, Any]:
        return {
            "version": STATE_VERSION,
            "experiment": self.experiment.to_json(),
            "looks": [each.to_json() for each in self.looks],
        }

    def dump(self) -> str:
        return json.dumps(self.to_json(), separators=(",", ":"))

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        if given.get("version") != STATE_VERSION:
            raise RecordError(
                f"the state of an experiment has version {given.get('version')}, this program reads {STATE_VERSION}: "
                "use the program that wrote it, or start the experiment anew"
            )
        return cls(
            Experiment.from_json(given["experiment"]), tuple(Look.from_json(each) for each in given.get("looks", ()))
        )

    # --- The looks as arrays, looks on the last axis ---

    def requests(self) -> Array:
        return np.array([[arm.requests for arm in look.arms] for look in self.looks], dtype=np.float64).reshape(-1, 2)

    def metric_evidence(self) -> Evidence:
        grid = self.experiment.metric.grid
        if self.experiment.metric.kind == "rate":
            return _rates([[arm.metric for arm in look.arms] for look in self.looks]).evidence(grid)
        champion, challenger = (
            Moments(
                *(
                    np.array([getattr(look.arms[side].metric, name) for look in self.looks], dtype=np.float64)
                    for name in MOMENTS
                )
            )
            for side in (CHAMPION, CHALLENGER)
        )
        compare = ratio_differences if self.experiment.metric.kind == "ratio" else mean_differences
        return compare(champion, challenger).evidence(grid)

    def guardrail_readings(self) -> tuple[GuardrailReading, ...]:
        return tuple(
            read(each, _rates([[arm.guardrails.get(each.name, Tally()) for arm in look.arms] for look in self.looks]))
            for each in self.experiment.guardrails
        )

    def sample_ratio(self) -> Array:
        weights = np.array([[arm.weight for arm in look.arms] for look in self.looks], dtype=np.float64).reshape(-1, 2)
        return SampleRatio(self.requests().astype(np.int64), weights).log_e

    def observed(self) -> Array:
        """Units of the metric so far, per look, both variants together."""
        return np.cumsum(np.array([sum(arm.metric.n for arm in look.arms) for look in self.looks], dtype=np.float64))

    def totals(self) -> tuple[Tally | Sums, Tally | Sums]:
        """The metric over all looks, per variant: to show, never to compare."""
        kind = Tally if self.experiment.metric.kind == "rate" else Sums
        champion, challenger = (
            kind(*(sum(getattr(look.arms[side].metric, name) for look in self.looks) for name in _names(kind)))
            for side in (CHAMPION, CHALLENGER)
        )
        return champion, challenger


def _arm(look: Mapping[str, Any], side: str) -> Arm:
    try:
        return Arm.from_json(look[side])
    except RecordError as problem:
        raise RecordError(f"look {look['name']}, {side}: {problem}") from None


def _require_whole(counts: object, *names: str) -> None:
    """An error when what is counted is not a number of things: half an event, less than none, or a text."""
    for name in names:
        value = getattr(counts, name)
        if _number(value) is None or not 0 <= value < MOST or not float(value).is_integer():
            raise LookError(f"{name} is {value!r}, expected a whole number of 0 or more")


def _require_finite(sums: object, *names: str) -> None:
    for name in names:
        value = getattr(sums, name)
        number = _number(value)
        if number is None or not math.isfinite(number):
            raise LookError(f"{name} is {value!r}, expected a finite number")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None


def _names(kind: type[Tally | Sums]) -> tuple[str, ...]:
    return ("n", "events") if kind is Tally else MOMENTS


def _plain(counts: Tally | Sums) -> dict[str, float]:
    return {name: getattr(counts, name) for name in _names(type(counts))}


def _rates(pairs: list[list[Any]]) -> Rates:
    table = np.array([[(arm.n, arm.events) for arm in pair] for pair in pairs], dtype=np.int64).reshape(-1, 2, 2)
    return Rates(
        champion_requests=table[:, 0, 0],
        champion_events=table[:, 0, 1],
        challenger_requests=table[:, 1, 0],
        challenger_events=table[:, 1, 1],
    )
