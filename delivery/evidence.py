"""What is known about a package before it may serve: the records that gates judge and bundles seal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

LaterText = Annotated[str, Field(exclude_if=lambda value: value == "")]
"""Text that bundles of before it was kept do not have; left out while empty, so that their hashes stay."""


class Record(BaseModel):
    """A frozen, strict record: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Measure(Record):
    """A number with what is known of its uncertainty: the bounds of its 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def has_interval(self) -> bool:
        return self.low is not None and self.high is not None


class SliceMeasure(Record):
    """A measure on the rows where a column has one level."""

    column: str
    level: str
    metric: str
    rows: int
    measure: Measure


class Approval(Record):
    """A person's yes to one version: the name they gave, and the caller AWS knew them by where it tells them apart."""

    who: str
    when: AwareDatetime
    note: str = ""
    caller: LaterText = ""

    @property
    def person(self) -> str:
        """Whom this yes counts for."""
        return person(self.caller) or self.who


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
    author_caller: LaterText = ""

    def is_by_the_author(self, approval: Approval) -> bool:
        """Whether a yes comes from whoever made the version, by the name they gave or by the caller they were."""
        return approval.who == self.author or approval.person in (self.author, person(self.author_caller))

    def facts(self) -> dict[str, Any]:
        """What two versions are compared by: every plain fact, and each metric by its name."""
        plain = self.model_dump(mode="json", exclude={"slices", "metrics", "champion", "explanation", "approvals"})
        return plain | {f"metric {name}": each.value for name, each in self.metrics.items()}


def person(caller: str) -> str:
    """Who a caller is: the user, or the name of a role's session; one person in two roles stays one."""
    return caller.rpartition("/")[2]
