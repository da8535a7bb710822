"""Experiments: planned before they start, watched while they run, ended by what was found.

What an experiment is and how far it has come stands in the artifacts bucket below `experiments/<endpoint>/<name>/`: its
terms (`experiment.json`, `steering.json`), written once before it starts; its looks (`progress.json`), counted by the
monitor's job, which also moves live traffic. Who champion and challenger are stands in the release file. Nothing is
kept in memory, so any of it may crash and come back. Ending an experiment is a release like any other: `conclude`
promotes or stops as the verdict says, and seals what it rested on as evidence.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import ClientError
from ruamel.yaml import YAML, YAMLError

from contract import signals
from contract.places import experiment_prefix
from contract.records import RecordError
from contract.release import CHALLENGER, CHAMPION, Release
from delivery.dossier import write_result
from delivery.environment import Environment
from delivery.release import RefusedError
from monitoring.experiment.assignment import assign
from monitoring.experiment.counting import require_counts
from monitoring.experiment.experiment import Experiment
from monitoring.experiment.judge import Judgement, judge
from monitoring.experiment.looks import Progress, Tally
from monitoring.experiment.planning import Plan, plan
from monitoring.experiment.steering import FILE as STEERING
from monitoring.experiment.steering import Steering
from monitoring.experiment.verdict import Decision

TERMS, PROGRESS = "experiment.json", "progress.json"
LOOK_BACK = timedelta(days=7)
MISSING = ("NoSuchKey", "404")

End = Literal["promote", "stop"]


class ExperimentError(Exception):
    """An experiment cannot be planned, started or read; the text says what is wrong and what to do."""


class TermsError(ExperimentError):
    """The file of an experiment is wrong."""


def read_terms(path: Path) -> Experiment:
    """An experiment's file, JSON or YAML; docs/experiments.md says what stands in it."""
    try:
        experiment = Experiment.from_json(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
        require_counts(experiment.metric)
    except (OSError, UnicodeDecodeError, YAMLError, RecordError, KeyError, TypeError, AttributeError) as problem:
        raise TermsError(
            f"{path} is no experiment: {problem}. docs/experiments.md shows one. Nothing was changed."
        ) from None
    return experiment


@dataclass(frozen=True, slots=True)
class Guard:
    """How a guardrail stands: each variant's share of bad requests, and whether harm is proven."""

    name: str
    champion: float
    challenger: float
    broken: bool


@dataclass(frozen=True, slots=True)
class Point:
    """One look of the confidence sequence: the difference, in the metric's own unit, and its bounds."""

    look: str
    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Standing:
    """An experiment as it stands."""

    name: str
    champion: int
    challenger: int
    weights: Mapping[str, float]
    decision: str
    reason: str
    looks: int
    observed: int
    planned: int | None
    sequence: tuple[Point, ...]
    sample_ratio_alarm: bool
    guardrails: tuple[Guard, ...]
    proposed_weights: Mapping[str, float]
    end: End | None
    next: str


@dataclass(frozen=True, slots=True)
class Experiments:
    """The experiments of one model in one environment."""

    environment: Environment
    model: str

    # Where they are kept.

    @property
    def endpoint(self) -> str:
        return self.environment.settings.names.endpoint(self.model)

    @property
    def bucket(self) -> str:
        return self.environment.bucket("artifacts")

    def key(self, name: str, file: str) -> str:
        return experiment_prefix(self.endpoint, name) + file

    def read(self, name: str, file: str) -> Any:
        """One of an experiment's files; nothing when it is not there."""
        try:
            found = self.environment.s3.get_object(Bucket=self.bucket, Key=self.key(name, file))
        except ClientError as problem:
            if problem.response["Error"]["Code"] in MISSING:
                return None
            raise
        return json.loads(found["Body"].read())

    def write(self, name: str, file: str, document: Mapping[str, Any]) -> None:
        body = json.dumps(document, indent=1, allow_nan=False).encode()
        self.environment.s3.put_object(Bucket=self.bucket, Key=self.key(name, file), Body=body)

    # Before it starts.

    def plan(self, experiment: Experiment, share: float, *, power: float = 0.9, per_day: float | None = None) -> Plan:
        """What it will take, from the endpoint's own traffic of the last week where that is not given."""
        requests, errors = self.traffic()
        daily = per_day if per_day is not None else requests
        try:
            return plan(experiment, share, power=power, error_rate=errors, requests_per_day=daily or None)
        except ValueError as problem:
            raise ExperimentError(f"experiment '{experiment.name}' cannot be planned: {problem}") from None

    def traffic(self) -> tuple[float, float]:
        """Requests a day and the share of errors, over the last week or as long as there were any."""
        asked, failed = (self.sums(key) for key in ("invocations", "errors"))
        days = max(1, sum(each > 0 for each in asked))
        total = sum(asked)
        return total / days, (sum(failed) / total if total else 0.0)

    def sums(self, key: str) -> list[float]:
        """Per day of the last week, the champion's sum of a signal."""
        known, now = signals.signal(key), self.environment.now()
        found = self.environment.client("cloudwatch").get_metric_statistics(
            Namespace=known.namespace,
            MetricName=known.name,
            Dimensions=[{"Name": "EndpointName", "Value": self.endpoint}, {"Name": "VariantName", "Value": CHAMPION}],
            StartTime=now - LOOK_BACK,
            EndTime=now,
            Period=86_400,
            Statistics=["Sum"],
        )
        return [float(each["Sum"]) for each in found["Datapoints"]]

    def agree(self, experiment: Experiment, steering: Steering, planned: Plan) -> Experiment:
        """Write the terms down before anything starts; terms of an experiment that has looks are not changed."""
        terms = dataclasses.replace(experiment, planned_requests=experiment.planned_requests or planned.requests)
        counted = self.read(experiment.name, PROGRESS)
        if counted is not None:
            raise RefusedError(
                f"an experiment '{experiment.name}' of {self.model} was counted already "
                f"({len(counted['looks'])} looks): give another name. Nothing was changed."
            )
        self.write(terms.name, "plan.json", dataclasses.asdict(planned))
        self.write(terms.name, TERMS, terms.to_json())
        self.write(terms.name, STEERING, steering.to_json())
        return terms

    # While it runs.

    def running(self) -> Release:
        release = self.environment.releases.release(self.model)
        if release.experiment is None:
            raise RefusedError(
                f"no experiment runs on {self.model}: its release is {release.state}. `slipway experiment start`."
            )
        return release

    def progress(self, name: str) -> Progress | None:
        found = self.read(name, PROGRESS)
        return None if found is None else Progress.from_json(found)

    def standing(self) -> Standing:
        """How it stands now: what was counted, what the endpoint serves, and what comes next."""
        release = self.running()
        name = release.experiment or ""
        progress = self.progress(name)
        judgement = judge(progress) if progress is not None else None
        return standing(release, progress, judgement, self.shares(), terms=self.read(name, TERMS) is not None)

    def shares(self) -> dict[str, float]:
        """Each variant's live share of the traffic."""
        return self.environment.endpoint(self.model).live().shares

    def variant_for(self, unit: str) -> str | None:
        """The variant a unit always meets, when the running experiment asks for that."""
        release = self.environment.releases.release(self.model)
        steering = self.read(release.experiment, STEERING) if release.experiment else None
        if release.experiment is None or not steering or not steering["sticky"]:
            return None
        live = self.shares()
        return assign(release.experiment, unit, {name: live[name] for name in (CHAMPION, CHALLENGER)}).variant

    def seal(self, found: Standing) -> str:
        """Keep what an experiment ended on as signed evidence, under its hash."""
        kept = {"progress": self.read(found.name, PROGRESS), "steering": self.read(found.name, STEERING)}
        return write_result(self.environment, self.model, {"result": result_of(found), **kept})


def result_of(found: Standing) -> dict[str, Any]:
    """What a package's evidence says of its experiment: the verdict, what it rests on, and how the guardrails stood."""
    last = found.sequence[-1] if found.sequence else None
    return {
        "name": found.name,
        "champion": found.champion,
        "challenger": found.challenger,
        "decision": found.decision,
        "reason": found.reason,
        "looks": found.looks,
        "observed": found.observed,
        "difference": {name: bound(last, name) for name in ("estimate", "low", "high")},
        "sample_ratio_alarm": found.sample_ratio_alarm,
        "guardrails": {each.name: "broken" if each.broken else "held" for each in found.guardrails},
    }


def bound(point: Point | None, name: str) -> float | None:
    """A number of a look; none where there was no look, or nothing bounds it yet."""
    value = getattr(point, name, math.nan)
    return value if math.isfinite(value) else None


def standing(
    release: Release,
    progress: Progress | None,
    judgement: Judgement | None,
    weights: Mapping[str, float],
    *,
    terms: bool,
) -> Standing:
    """All that is shown of an experiment; pure."""
    challenger = release.challenger
    if challenger is None or release.experiment is None:
        raise ValueError("only a release in state 'experiment' has a standing")
    verdict = judgement.verdict if judgement else None
    decision = verdict.decision if verdict else Decision.KEEP_RUNNING
    waiting = "no look was counted yet" if terms else "it was started without terms: nothing is judged"
    return Standing(
        name=release.experiment,
        champion=release.champion.package.version,
        challenger=challenger.package.version,
        weights=dict(weights),
        decision=decision.words,
        reason=verdict.reason if verdict else waiting,
        looks=verdict.looks if verdict else 0,
        observed=verdict.observed if verdict else 0,
        planned=progress.experiment.planned_requests if progress else None,
        sequence=sequence(judgement),
        sample_ratio_alarm=bool(verdict and verdict.sample_ratio_alarm),
        guardrails=guards(progress, judgement),
        proposed_weights=verdict.proposed_weights if verdict else {},
        end=ending(decision),
        next=following(ending(decision)),
    )


def sequence(judgement: Judgement | None) -> tuple[Point, ...]:
    if judgement is None:
        return ()
    values = zip(judgement.names, judgement.estimate, judgement.low, judgement.high, strict=True)
    return tuple(Point(name, float(estimate), float(low), float(high)) for name, estimate, low, high in values)


def guards(progress: Progress | None, judgement: Judgement | None) -> tuple[Guard, ...]:
    if progress is None or judgement is None:
        return ()
    found = []
    level = progress.experiment.harm_level
    for guardrail, reading in zip(progress.experiment.guardrails, judgement.evidences.guardrails, strict=True):
        seen = [
            sum((arm.guardrails.get(guardrail.name, Tally()) for arm in arms), Tally())
            for arms in zip(*(look.arms for look in progress.looks), strict=True)
        ]
        champion, challenger = (each.events / each.n if each.n else 0.0 for each in seen)
        broken = bool(reading.log_e_harm.max() >= math.log(1 / level))
        found.append(Guard(guardrail.name, champion, challenger, broken))
    return tuple(found)


def ending(decision: Decision) -> End | None:
    """How a decision ends an experiment."""
    match decision:
        case Decision.PROMOTE:
            return "promote"
        case Decision.STOP_FOR_HARM | Decision.NO_DIFFERENCE:
            return "stop"
        case _:
            return None


def following(end: End | None) -> str:
    return f"slipway experiment conclude: it will {end}" if end else "wait for the next look"
