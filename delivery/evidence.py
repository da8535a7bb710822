"""What is known about a package before it may serve: the records that gates judge and bundles seal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen, strict record: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Measure(Record):
    """A number with what is known of its uncertainty: the bounds of its 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None


class SliceMeasure(Record):
    """A measure on the rows where a column has one level."""

    column: str
    level: str
    metric: str
    rows: int
    measure: Measure


class Approval(Record):
    """A person's yes to one version."""

    who: str
    when: AwareDatetime
    note: str = ""


class Evidence(Record):
    """All that a gate may ask about a package."""

    model: str
    version: int
    author: str
    made_at: AwareDatetime
    artifact_hash: str
    artifact_bytes: int
    data_hash: str
    code_hash: str
    images: Mapping[str, str]
    metrics: Mapping[str, Measure]
    slices: tuple[SliceMeasure, ...] = ()
    champion: Mapping[str, Measure] | None = None
    latency_p99_ms: float | None = None
    drift_score: float | None = None
    explanation: Mapping[str, float] = {}
    approvals: tuple[Approval, ...] = ()
    experiment: Mapping[str, Any] | None = None

    def facts(self) -> dict[str, Any]:
        """What two versions are compared by: every plain fact, and each metric by its name."""
        plain = self.model_dump(mode="json", exclude={"slices", "metrics", "champion", "explanation", "approvals"})
        return plain | {f"metric {name}": each.value for name, each in self.metrics.items()}
