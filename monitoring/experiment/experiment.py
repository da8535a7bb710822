"""What an experiment is: its metric, what it guards, and how often it may be wrong."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from contract.records import RecordError, known_fields
from monitoring.experiment.evidence import Grid
from monitoring.experiment.odds import odds_effect

MetricKind = Literal["rate", "mean", "ratio"]
Direction = Literal["higher", "lower"]
Sided = Literal["one", "two"]
GuardrailKind = Literal["errors", "latency"]


@dataclass(frozen=True, slots=True)
class Metric:
    """What the challenger should do better; `minimum_effect`, in its own unit, is the least change worth having."""

    name: str
    kind: MetricKind
    base: float
    minimum_effect: float
    better: Direction = "higher"
    spread: float = 0.0
    """Standard deviation of one unit's value; for planning means and ratios."""
    covariate_correlation: float = 0.0
    """Correlation of a covariate known before assignment; for planning with CUPED."""
    counts: str = "right"
    """What is counted of an outcome: see `counting`."""
    covariate: str = ""
    """The numeric input column that serves as covariate; it must not depend on which variant answered."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(MetricKind):
            raise RecordError(f"metric '{self.name}': kind is '{self.kind}', expected {_either(MetricKind)}")
        if self.better not in get_args(Direction):
            raise RecordError(f"metric '{self.name}': better is '{self.better}', expected {_either(Direction)}")
        if not self.minimum_effect > 0:
            raise RecordError(
                f"metric '{self.name}': minimum_effect is {self.minimum_effect}, expected a positive change in the "
                "metric's own unit; `better` says which way"
            )
        if self.kind == "rate" and not (0 < self.base < 1 and 0 < self.improved < 1):
            raise RecordError(
                f"metric '{self.name}': a rate of {self.base} changed by {self.minimum_effect} to the {self.better} "
                f"is {self.improved}; both must lie between 0 and 1"
            )
        if self.kind != "rate" and not self.spread > 0:
            raise RecordError(
                f"metric '{self.name}': spread is {self.spread}, expected the standard deviation of one unit, "
                "without which no size can be planned"
            )
        if not -1 < self.covariate_correlation < 1:
            raise RecordError(
                f"metric '{self.name}': covariate_correlation is {self.covariate_correlation}, "
                "expected between -1 and 1"
            )

    @property
    def sign(self) -> float:
        return 1.0 if self.better == "higher" else -1.0

    @property
    def improved(self) -> float:
        """The champion's value changed for the better by the minimum effect."""
        return self.base + self.sign * self.minimum_effect

    @property
    def scale(self) -> float:
        """The minimum effect as the statistics see it: a log odds ratio for a rate, a difference otherwise."""
        return abs(odds_effect(self.base, self.improved)) if self.kind == "rate" else self.minimum_effect

    @property
    def grid(self) -> Grid:
        return Grid(self.scale, (-self.scale, self.scale))


@dataclass(frozen=True, slots=True)
class Guardrail:
    """What must not get worse: a rate of bad requests, of errors or of answers slower than the champion's slow ones.

    A rate of `tolerated` times the champion's is borne; proof of more stops the experiment. With `never`, a promotion
    needs proof that the rate is not that many times the champion's, or that it is at most `negligible`.
    """

    name: str
    kind: GuardrailKind
    tolerated: float = 1.1
    never: float | None = None
    negligible: float = 0.0
    beyond: float | None = None
    """For latency: slow is beyond this many microseconds; by default the champion's p99 of the look before."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(GuardrailKind):
            raise RecordError(f"guardrail '{self.name}': kind is '{self.kind}', expected {_either(GuardrailKind)}")
        if self.tolerated < 1:
            raise RecordError(
                f"guardrail '{self.name}': tolerated is {self.tolerated}, expected a multiple of at least 1"
            )
        if self.never is not None and self.never <= self.tolerated:
            raise RecordError(
                f"guardrail '{self.name}': never is {self.never}, expected more than tolerated ({self.tolerated})"
            )
        if not 0 <= self.negligible < 1:
            raise RecordError(f"guardrail '{self.name}': negligible is {self.negligible}, expected a rate from 0 to 1")

    @property
    def limits(self) -> tuple[float, ...]:
        """The log odds ratios asked about."""
        return tuple(math.log(each) for each in (self.tolerated, self.never) if each is not None)

    @property
    def grid(self) -> Grid:
        return Grid(math.log(2), self.limits)


ERRORS = Guardrail("errors", "errors", tolerated=1.1, never=2.0, negligible=0.005)
LATENCY = Guardrail("latency_p99", "latency", tolerated=1.1)


@dataclass(frozen=True, slots=True)
class Experiment:
    """Champion against challenger for a period; `false_*` is the chance, over all of it, of that mistake."""

    name: str
    metric: Metric
    guardrails: tuple[Guardrail, ...] = (ERRORS, LATENCY)
    sided: Sided = "one"
    look_hours: float = 1.0
    maturity_hours: float = 0.0
    """How old a window's predictions must be before their outcomes are counted: once, then never again."""
    minimum_looks: int = 24
    planned_requests: int | None = None
    """Where an undecided experiment ends, in units of its metric; from `planning.plan`."""
    false_promotion: float = 0.05
    false_harm: float = 0.05
    false_no_difference: float = 0.02
    false_sample_ratio: float = 0.01

    def __post_init__(self) -> None:
        if self.sided not in get_args(Sided):
            raise RecordError(f"experiment '{self.name}': sided is '{self.sided}', expected {_either(Sided)}")
        names = [each.name for each in (self.metric, *self.guardrails)]
        if len(set(names)) != len(names):
            raise RecordError(f"experiment '{self.name}': a name stands twice among {', '.join(names)}")
        if self.minimum_looks < 1:
            raise RecordError(f"experiment '{self.name}': minimum_looks is {self.minimum_looks}, expected at least 1")
        if not (self.look_hours > 0 and self.maturity_hours >= 0):
            raise RecordError(
                f"experiment '{self.name}': look_hours is {self.look_hours} and maturity_hours {self.maturity_hours}, "
                "expected a positive length and an age of 0 or more"
            )
        for rate in ("false_promotion", "false_harm", "false_no_difference", "false_sample_ratio"):
            if not 0 < getattr(self, rate) < 0.5:
                raise RecordError(
                    f"experiment '{self.name}': {rate} is {getattr(self, rate)}, expected a chance between 0 and 0.5"
                )

    @property
    def promotion_level(self) -> float:
        """The level of the proof of better: half of it belongs to the other side when the question has two sides."""
        return self.false_promotion if self.sided == "one" else self.false_promotion / 2

    @property
    def harm_level(self) -> float:
        """Each way to find harm gets an even share of the chance of finding it falsely."""
        return self.false_harm / (1 + len(self.guardrails))

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"guardrails": [dataclasses.asdict(each) for each in self.guardrails]}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        fields = known_fields(cls, given)
        metric = Metric(**known_fields(Metric, fields["metric"]))
        if "guardrails" in fields:
            guardrails = tuple(Guardrail(**known_fields(Guardrail, each)) for each in fields["guardrails"])
            fields = fields | {"guardrails": guardrails}
        return cls(**fields | {"metric": metric})


def _either(kinds: Any) -> str:
    return " or ".join(f"'{each}'" for each in get_args(kinds))
