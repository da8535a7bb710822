"""Gates: what must hold before a package may serve, written in `gates.yaml`, judged by pure functions.

Each gate turns evidence into findings: pass or fail, what was found, what was wanted. A verdict is all findings
together, and passes only when every one does. Evidence that a gate asks for and that is not there fails that gate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from delivery.evidence import Evidence, Measure, Record, SliceMeasure

Word = Literal["pass", "fail"]
AGE = "age"
NOT_WORSE = {"estimate": "not worse", "bound": "surely not worse", "proof": "not surely worse"}


class Finding(Record):
    """What one gate found."""

    gate: str
    word: Word
    found: str
    wanted: str


class Verdict(Record):
    """All findings; `word` is fail when any of them is."""

    word: Word
    findings: tuple[Finding, ...]

    @property
    def failures(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.word == "fail")


class Bounded(Record):
    """A gate with a floor or a ceiling, exactly one of them."""

    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give exactly one of at_least and at_most")
        return self

    @property
    def wanted(self) -> str:
        return f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"

    def holds(self, number: float) -> bool:
        return number >= self.at_least if self.at_least is not None else number <= (self.at_most or 0.0)

    def cautious(self, measure: Measure) -> float | None:
        """The end of the interval that must still hold; nothing when the interval is unknown."""
        return measure.low if self.at_least is not None else measure.high


class Threshold(Bounded):
    """A metric has a floor or a ceiling; with `by: bound`, the cautious end of its interval must hold too."""

    kind: Literal["threshold"] = "threshold"
    metric: str
    by: Literal["estimate", "bound"] = "bound"

    def judge(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:
        del now
        name = f"threshold {self.metric}"
        measure = evidence.metrics.get(self.metric)
        if measure is None:
            yield absent(name, f"metric '{self.metric}'", self.wanted, sorted(evidence.metrics))
            return
        number = measure.value if self.by == "estimate" else self.cautious(measure)
        if number is None:
            yield absent(
                name, f"an interval for '{self.metric}'", self.wanted, ["by: estimate judges the number alone"]
            )
            return
        yield finding(name, self.holds(number), shown(measure), f"{self.wanted} ({self.by})")


class Relative(Record):
    """A metric is not worse than the champion's by more than a margin; better is up unless said otherwise.

    With `by: bound`, the cautious end of the loss's interval must be within the margin: the loss is ruled out. With
    `by: proof`, only the kind end must: a loss fails when it is sure.
    """

    kind: Literal["relative"] = "relative"
    metric: str
    margin: Annotated[float, Field(ge=0)] = 0.0
    better: Literal["higher", "lower"] = "higher"
    by: Annotated[Literal["estimate", "bound", "proof"], Field(exclude_if=lambda by: by == "estimate")] = "estimate"
    """Left out of a bundle while it says what was always done, so that bundles of before keep their hashes."""

    def judge(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:
        del now
        name = f"relative {self.metric}"
        wanted = f"{NOT_WORSE[self.by]} than the champion by more than {self.margin:g}"
        if evidence.champion is None:
            yield finding(name, True, "no champion yet", wanted)
            return
        ours, theirs = evidence.metrics.get(self.metric), evidence.champion.get(self.metric)
        if ours is None or theirs is None:
            yield absent(
                name, f"metric '{self.metric}' of both", wanted, sorted(set(evidence.metrics) & set(evidence.champion))
            )
            return
        if self.by != "estimate" and not (ours.has_interval and theirs.has_interval):
            judged_anyway = ["by: estimate judges the numbers alone"]
            yield absent(name, f"an interval for '{self.metric}' of both", wanted, judged_anyway)
            return
        loss = (theirs.value - ours.value) if self.better == "higher" else (ours.value - theirs.value)
        doubt = uncertainty(ours, theirs)
        counted = {"estimate": loss, "bound": loss + doubt, "proof": loss - doubt}[self.by]
        sure = ", surely worse" if loss - doubt > self.margin else ""
        yield finding(name, counted <= self.margin, f"{shown(ours)} against {shown(theirs)}{sure}", wanted)


class Slices(Bounded):
    """A metric has a floor or a ceiling on every slice that is large enough to judge."""

    kind: Literal["slices"] = "slices"
    metric: str
    minimum_rows: Annotated[int, Field(ge=1)] = 100

    def judge(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:
        del now
        name = f"slices {self.metric}"
        judged = [each for each in measured(evidence, self.metric) if each.rows >= self.minimum_rows]
        if not judged:
            yield absent(
                name, f"a slice of {self.minimum_rows} rows with '{self.metric}'", self.wanted, slice_metrics(evidence)
            )
            return
        for each in judged:
            found = f"{shown(each.measure)} on {each.rows} rows"
            yield finding(f"{name} {each.column}={each.level}", self.holds(each.measure.value), found, self.wanted)


class Fairness(Record):
    """A metric differs between the levels of a column by no more than a margin."""

    kind: Literal["fairness"] = "fairness"
    metric: str
    column: str
    difference_at_most: Annotated[float, Field(ge=0)]
    minimum_rows: Annotated[int, Field(ge=1)] = 100

    def judge(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:
        del now
        name = f"fairness {self.metric} over {self.column}"
        wanted = f"a difference of at most {self.difference_at_most:g}"
        judged = [
            each
            for each in measured(evidence, self.metric)
            if each.column == self.column and each.rows >= self.minimum_rows
        ]
        if len(judged) < 2:
            yield absent(
                name,
                f"two levels of '{self.column}' with {self.minimum_rows} rows each",
                wanted,
                slice_metrics(evidence),
            )
            return
        low = min(judged, key=lambda each: each.measure.value)
        high = max(judged, key=lambda each: each.measure.value)
        gap = high.measure.value - low.measure.value
        found = f"{gap:.4g} between {high.level} ({high.measure.value:.4g}) and {low.level} ({low.measure.value:.4g})"
        yield finding(name, gap <= self.difference_at_most, found, wanted)


class Latency(Record):
    """One prediction in a hundred takes at most so long."""

    kind: Literal["latency"] = "latency"
    p99_ms_at_most: Annotated[float, Field(gt=0)]

    def judge(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:
        del now
        wanted = f"at most {self.p99_ms_at_most:g} ms"
        if evidence.latency_p99_ms is None:
            yield absent("latency p99", "a latency measurement", wanted, [])
            return
        yield finding(
            "latency p99", evidence.latency_p99_ms <= self.p99_ms_at_most, f"{evidence.latency_p99_ms:g} ms", wanted
        )


class Size(Record):
    """The artifact is at most so large."""

    kind: Literal["size"] = "size"
    megabytes_at_most: Annotated[float, Field(gt=0)]

    def judge(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:
        del now
        megabytes = evidence.artifact_bytes / 1e6
        yield finding(
            "size", megabytes <= self.megabytes_at_most, f"{megabytes:.2f} MB", f"at most {self.megabytes_at_most:g} MB"
        )


class Drift(Record):
    """The training data differ from what the last release was trained on by at most so much."""

    kind: Literal["drift"] = "drift"
    score_at_most: Annotated[float, Field(ge=0)]

    def judge(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:
        del now
        wanted = f"at most {self.score_at_most:g}"
        if evidence.drift_score is None and evidence.champion is None:
            yield finding("drift", True, "no last release to differ from", wanted)
            return
        if evidence.drift_score is None:
            yield absent("drift", "a drift score against the last release", wanted, [])
            return
        yield finding("drift", evidence.drift_score <= self.score_at_most, f"{evidence.drift_score:g}", wanted)


class Approvals(Record):
    """Enough people, none of them the author unless allowed, said yes to this version."""

    kind: Literal["approvals"] = "approvals"
    at_least: Annotated[int, Field(ge=1)] = 1
    author_may_approve: bool = False

    def judge(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:
        said = [each for each in evidence.approvals if each.when <= now]
        people = {each.person for each in said if self.author_may_approve or not evidence.is_by_the_author(each)}
        found = ", ".join(sorted(people)) or "nobody"
        others = "" if self.author_may_approve else " other than the author"
        yield finding("approvals", len(people) >= self.at_least, found, f"at least {self.at_least}{others}")


class Age(Record):
    """The evidence is fresh."""

    kind: Literal["age"] = "age"
    days_at_most: Annotated[float, Field(gt=0)]

    def judge(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:
        age = now - evidence.made_at
        fresh = timedelta(0) <= age <= timedelta(days=self.days_at_most)
        yield finding(AGE, fresh, f"{age.total_seconds() / 86400:.1f} days", f"0 to {self.days_at_most:g} days")


Gate = Annotated[
    Threshold | Relative | Slices | Fairness | Latency | Size | Drift | Approvals | Age, Field(discriminator="kind")
]


class Gates(Record):
    """The gates of one model, in the order they are shown."""

    gates: Annotated[tuple[Gate, ...], Field(min_length=1)]


def judge(gates: Gates, evidence: Evidence, now: datetime) -> Verdict:
    """Every gate's finding, and the word that follows from all of them."""
    findings = tuple(each for gate in gates.gates for each in gate.judge(evidence, now))
    failed = any(each.word == "fail" for each in findings)
    return Verdict(word="fail" if failed or not findings else "pass", findings=findings)


def finding(gate: str, holds: bool, found: str, wanted: str) -> Finding:
    return Finding(gate=gate, word="pass" if holds else "fail", found=found, wanted=wanted)


def absent(gate: str, what: str, wanted: str, known: list[str]) -> Finding:
    """Evidence that is not there fails the gate that asks for it."""
    hint = f" (there is: {', '.join(known)})" if known else ""
    return finding(gate, False, f"no evidence: {what} is missing{hint}", wanted)


def shown(measure: Measure) -> str:
    if not measure.has_interval:
        return f"{measure.value:.4g}"
    return f"{measure.value:.4g} [{measure.low:.4g}, {measure.high:.4g}]"


def uncertainty(ours: Measure, theirs: Measure) -> float:
    """Half the width of a 95 % interval of the difference of two independent measures; 0 when unknown."""
    halves = [(each.high - each.low) / 2 for each in (ours, theirs) if each.low is not None and each.high is not None]
    return math.hypot(*halves)


def measured(evidence: Evidence, metric: str) -> list[SliceMeasure]:
    return [each for each in evidence.slices if each.metric == metric]


def slice_metrics(evidence: Evidence) -> list[str]:
    return sorted({f"{each.metric} by {each.column}" for each in evidence.slices})
