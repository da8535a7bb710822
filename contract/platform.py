"""What a brought-up environment tells those who work with it: the one output of the platform program.

Whoever needs a bucket, a role or a pipeline reads it here and nowhere else; `version` changes when a reader
would break.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from contract.records import RecordError, known_fields

VERSION = 1
OUTPUT = "platform"  # the stack output that holds it


@dataclass(frozen=True, slots=True)
class ModelOutputs:
    """Where one model is trained, registered, served and watched; an endpoint only when it has a release."""

    package_group: str
    training_pipeline: str
    monitor_pipeline: str | None
    endpoint: str | None
    dashboard: str
    alarms: tuple[str, ...]
    promotion_pipeline: str | None = None  # none in an environment that was last brought up before there was one

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        fields = known_fields(cls, given)
        return cls(**fields | {"alarms": tuple(fields["alarms"])})


@dataclass(frozen=True, slots=True)
class PlatformOutputs:
    """One environment."""

    environment: str
    account: str
    region: str
    key_arn: str
    buckets: Mapping[str, str]
    roles: Mapping[str, str]
    repositories: Mapping[str, str]
    images: Mapping[str, str]
    topics: Mapping[str, str]
    models: Mapping[str, ModelOutputs]
    tracking_arn: str | None = None
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise RecordError(
                f"environment '{self.environment}' was brought up by a program whose outputs have version "
                f"{self.version}, this one reads version {VERSION}: run `slipway up {self.environment}` once"
            )

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        fields = known_fields(cls, given)
        models = {name: ModelOutputs.from_json(each) for name, each in fields["models"].items()}
        return cls(**fields | {"models": models})

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
