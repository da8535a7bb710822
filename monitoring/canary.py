"""Whether the canary of a rollout answers worse than the fleet beside it: its predictions, and its known outcomes.

Both slices answer the same traffic at the same time, drawn at random, so what the world does to one it does to the
other. The canary's predictions are compared with its own baseline (a better model may rightly answer otherwise than the
old one); when the old fleet has left its baseline too, the inputs moved, and the canary is not blamed. Outcomes compare
the two directly: how often each was wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitoring.baseline import Baseline
from monitoring.experiment.experiment import Guardrail
from monitoring.experiment.guardrails import read
from monitoring.experiment.looks import Tally
from monitoring.experiment.odds import Rates
from monitoring.verdict import Verdict, judge, sums_of
from monitoring.window import Window

WRONG = Guardrail("wrong", "errors", tolerated=1.1)
LEVEL = 1e-3
"""The chance, at one look, of blaming a canary whose outcomes are as good: a rollout has few looks."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one fleet of a rollout did: the window of its predictions, and how often it was wrong when that is known."""

    window: Window
    baseline: Baseline
    wrong: Tally

    @property
    def verdict(self) -> Verdict:
        since = self.window.span.since
        return judge([sums_of(self.window.profile)], [self.baseline.reference_at(since)])


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is published of a canary, and why."""

    drifts: bool
    worse: bool
    rows: int
    known: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {
            "drifts": self.drifts,
            "worse": self.worse,
            "rows": self.rows,
            "known": self.known,
            "reason": self.reason,
        }


def judged(canary: Side, beside: Side) -> Judgement:
    """Both fleets' slices since the rollout began, in one verdict."""
    found = canary.verdict
    moved = found.predictions == "drift"
    excused = moved and beside.verdict.predictions == "drift"
    worse = is_worse(beside.wrong, canary.wrong)
    reasons = []
    if moved:
        fleet = "so do the old fleet's: the inputs moved" if excused else "the old fleet's do not"
        reasons.append(f"the canary's predictions leave its baseline; {fleet}")
    if worse:
        reasons.append(f"it was wrong {shown(canary.wrong)}, the old fleet {shown(beside.wrong)}")
    if not reasons:
        reasons.append(f"nothing speaks against it; predictions: {found.predictions}, outcomes: {canary.wrong.n}")
    return Judgement(moved and not excused, worse, found.rows, canary.wrong.n, "; ".join(reasons))


def is_worse(old: Tally, new: Tally) -> bool:
    """Proof that the canary is wrong more often than is borne."""
    if not old.n or not new.n:
        return False
    counts = (np.array([each], dtype=np.int64) for each in (old.n, old.events, new.n, new.events))
    return bool(read(WRONG, Rates(*counts)).log_e_harm[-1] >= math.log(1 / LEVEL))


def shown(wrong: Tally) -> str:
    return f"{wrong.events} of {wrong.n} times"
