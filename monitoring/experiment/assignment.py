"""Which variant a request gets when the caller wants the same unit (a user, a device) to see the same one each time.

Without this, SageMaker draws a variant per request by weight, and the capture record's folder says which one
answered. With it, the caller names the variant (`TargetVariant`), and the draw is a hash: nothing is stored, and
every process agrees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

SPACE = 2**64


@dataclass(frozen=True, slots=True)
class Assignment:
    """The record of one draw."""

    experiment: str
    unit: str
    variant: str

    def to_json(self) -> dict[str, str]:
        return {"experiment": self.experiment, "unit": self.unit, "variant": self.variant}


def assign(experiment: str, unit: str, weights: Mapping[str, float]) -> Assignment:
    """Draw a unit's variant by weight.

    The first variant named (the champion) gives up units, or takes them back, as weights move: with two variants a
    change of weights moves only the units it must.
    """
    total = sum(weights.values())
    if not weights or min(weights.values()) < 0 or total <= 0:
        raise ValueError(
            f"weights are {dict(weights)}, expected at least one above zero and none below: nothing can be assigned"
        )
    digest = hashlib.sha256(f"{experiment}\0{unit}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / SPACE * total
    reached = 0.0
    for variant, weight in reversed(list(weights.items())):
        reached += weight
        if place < reached:
            return Assignment(experiment, unit, variant)
    return Assignment(experiment, unit, next(name for name, weight in weights.items() if weight > 0))
