"""How an experiment's traffic is moved after each look: one pure function of the verdict and of what is live.

Harm and "no difference" take the challenger off the traffic at once, on the live endpoint: no engine, no new
configuration. A promotion is not made here, because it is a rollout under guards of its own; the challenger keeps its
share until then. While nothing is decided the challenger's share stays, climbs in steps, or follows what Thompson
sampling proposes. A broken split moves nothing but the way out: nobody knows what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

from contract.records import RecordError, known_fields
from contract.release import CHALLENGER, CHAMPION
from monitoring.experiment.judge import Verdict
from monitoring.experiment.verdict import Decision

FILE = "steering.json"
Mode = Literal["fixed", "climb", "proposed"]
WORTHWHILE = 0.05
"""A proposal that changes a share by less than this is not worth a look whose split says nothing."""


@dataclass(frozen=True, slots=True)
class Steering:
    """When an experiment began, with what share for the challenger, and how that share may move."""

    began: str
    share: float
    mode: Mode = "fixed"
    most: float = 0.5
    step: float = 2.0
    """A climb multiplies the share by this after every `looks_per_step` looks, up to `most`."""
    looks_per_step: int = 24
    sticky: bool = False
    """Callers name a unit (a user, a session), which always meets the same variant."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise RecordError(f"steering: mode is '{self.mode}', expected one of {', '.join(get_args(Mode))}")
        if not 0 < self.share < 1 or not self.share <= self.most < 1:
            raise RecordError(
                f"steering: share is {self.share} and most {self.most}, expected 0 < share <= most < 1: the champion "
                "must keep some traffic to be compared with"
            )
        if self.step <= 1 or self.looks_per_step < 1:
            raise RecordError(
                f"steering: step is {self.step} every {self.looks_per_step} looks, expected more than 1 every 1 or more"
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        return cls(**known_fields(cls, given))


@dataclass(frozen=True, slots=True)
class Move:
    """New live weights, and why."""

    weights: Mapping[str, float]
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"weights": dict(self.weights), "reason": self.reason}


def steer(steering: Steering, verdict: Verdict, weights: Mapping[str, float]) -> Move | None:
    """The move that follows from a verdict; none when traffic is as it should be."""
    total = sum(weights.values())
    share = weights[CHALLENGER] / total if total else 0.0
    if verdict.decision in (Decision.STOP_FOR_HARM, Decision.NO_DIFFERENCE):
        return Move(shares(0.0), verdict.reason) if share > 0 else None
    if verdict.decision is Decision.PROMOTE or verdict.sample_ratio_alarm or share == 0:
        return None
    wanted = wished(steering, verdict)
    if wanted is None or (steering.mode == "climb" and wanted <= share):
        return None
    if steering.mode == "proposed" and abs(wanted - share) < WORTHWHILE:
        return None
    return Move(
        shares(wanted), f"{steering.mode} after {verdict.looks} looks: {100 * share:.3g} % -> {100 * wanted:.3g} %"
    )


def wished(steering: Steering, verdict: Verdict) -> float | None:
    """The challenger's share while nothing is decided."""
    match steering.mode:
        case "fixed":
            return None
        case "climb":
            climbed = steering.share * steering.step ** (verdict.looks // steering.looks_per_step)
            return round(min(steering.most, climbed), 6)
        case "proposed":
            return round(min(steering.most, verdict.proposed_weights[CHALLENGER]), 6)


def shares(challenger: float) -> dict[str, float]:
    return {CHAMPION: round(1 - challenger, 6), CHALLENGER: challenger}
