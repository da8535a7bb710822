"""What serves now, per model of an environment: the record in `releases/<environment>.yaml`.

Written by delivery, reviewed by people, read by the program that declares the endpoint. A live traffic move changes
weights and counts only; everything else that changes here makes a new endpoint configuration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from contract.records import RecordError, known_fields

State = Literal["steady", "rolling", "experiment", "rolled_back"]
Strategy = Literal["all-at-once", "blue-green", "canary", "linear"]

LONGEST_BAKE_SECONDS = 3600  # what SageMaker waits at most, after a step and before it takes the old fleet away

CHAMPION = "champion"
CHALLENGER = "challenger"
SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Package:
    """A registered model version, with all that is needed to serve it when the registry cannot be asked."""

    version: int
    arn: str
    image: str
    artifact: str
    artifact_hash: str
    evidence: str

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        return cls(**known_fields(cls, given))


@dataclass(frozen=True, slots=True)
class Variant:
    """A package serving behind the endpoint; `weight` and `instances` are the live ones as last seen."""

    name: str
    package: Package
    weight: float = 1.0
    instances: int = 1

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise RecordError(f"variant '{self.name}': weight is {self.weight}, expected 0 or more")
        if self.instances < 0:
            raise RecordError(f"variant '{self.name}': instances is {self.instances}, expected 0 or more")

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "package": self.package.to_json(),
            "weight": self.weight,
            "instances": self.instances,
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        fields = known_fields(cls, given)
        return cls(**fields | {"package": Package.from_json(fields["package"])})


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a new champion takes over: in what steps, how long each bakes, and which signals roll it back."""

    strategy: Strategy = "canary"
    percent: int = 10
    bake_seconds: int = 600
    termination_wait_seconds: int = 0
    alarms: tuple[str, ...] = ("errors", "latency", "canary_drift", "canary_loss")

    def __post_init__(self) -> None:
        if self.strategy not in get_args(Strategy):
            raise RecordError(f"rollout strategy is '{self.strategy}', expected one of {', '.join(get_args(Strategy))}")
        if self.strategy in ("canary", "linear") and not 1 <= self.percent <= 50:
            raise RecordError(f"rollout percent is {self.percent}, expected 1 to 50: AWS shifts at most half at once")
        for name in ("bake_seconds", "termination_wait_seconds"):
            if not 0 <= getattr(self, name) <= LONGEST_BAKE_SECONDS:
                raise RecordError(
                    f"rollout {name} is {getattr(self, name)}, expected 0 to {LONGEST_BAKE_SECONDS}: "
                    "AWS waits at most an hour"
                )

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"alarms": list(self.alarms)}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        fields = known_fields(cls, given)
        return cls(**fields | {"alarms": tuple(fields.get("alarms", cls().alarms))})


@dataclass(frozen=True, slots=True)
class Release:
    """What serves one model: its state, its variants, and what to go back to."""

    state: State
    variants: tuple[Variant, ...]
    rollout: Rollout = field(default_factory=Rollout)
    previous: Package | None = None
    experiment: str | None = None
    shadow: Variant | None = None
    reason: str = ""
    rejected: Package | None = None
    """What was rolled back last; it stays declared until the next release, so that nothing is left to clear away."""

    def __post_init__(self) -> None:
        if self.state not in get_args(State):
            raise RecordError(f"release state is '{self.state}', expected one of {', '.join(get_args(State))}")
        names = [each.name for each in self.variants]
        expected = [CHAMPION, CHALLENGER] if self.state == "experiment" else [CHAMPION]
        if names != expected:
            raise RecordError(f"a release in state '{self.state}' has variants {names}, expected {expected}")
        if (self.state == "experiment") != (self.experiment is not None):
            raise RecordError(
                f"a release in state '{self.state}' names experiment {self.experiment!r}: one goes with the other"
            )

    @property
    def champion(self) -> Variant:
        return self.variants[0]

    @property
    def challenger(self) -> Variant | None:
        return self.variants[1] if len(self.variants) > 1 else None

    def to_json(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "variants": [each.to_json() for each in self.variants],
            "rollout": self.rollout.to_json(),
            "previous": self.previous.to_json() if self.previous else None,
            "experiment": self.experiment,
            "shadow": self.shadow.to_json() if self.shadow else None,
            "reason": self.reason,
            "rejected": self.rejected.to_json() if self.rejected else None,
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        fields = known_fields(cls, given)
        return cls(
            state=fields["state"],
            variants=tuple(Variant.from_json(each) for each in fields["variants"]),
            rollout=Rollout.from_json(fields.get("rollout") or {}),
            previous=Package.from_json(fields["previous"]) if fields.get("previous") else None,
            experiment=fields.get("experiment"),
            shadow=Variant.from_json(fields["shadow"]) if fields.get("shadow") else None,
            reason=fields.get("reason", ""),
            rejected=Package.from_json(fields["rejected"]) if fields.get("rejected") else None,
        )


@dataclass(frozen=True, slots=True)
class Releases:
    """The whole file of an environment: a release per model that serves."""

    models: Mapping[str, Release] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"models": {name: release.to_json() for name, release in self.models.items()}}

    @classmethod
    def from_json(cls, given: Mapping[str, Any] | None) -> Self:
        fields = known_fields(cls, {} if given is None else given)
        return cls({name: Release.from_json(each) for name, each in (fields.get("models") or {}).items()})
