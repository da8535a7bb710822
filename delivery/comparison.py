"""Runs side by side: what each was given, what data it saw, what came out; and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contract.stages import EVALUATION_FILE
from delivery.dossier import DossierError, Stored
from delivery.environment import Environment
from delivery.registry import Version
from delivery.runs import Pipeline, Run


@dataclass(frozen=True, slots=True)
class Side:
    """One run as it is compared; a run that registered nothing has no metrics."""

    run: str
    status: str
    version: int | None
    facts: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of the comparison: a name and its value in each run."""

    name: str
    values: tuple[str, ...]
    same: bool


def side(environment: Environment, pipeline: Pipeline, run: Run, versions: Sequence[Version]) -> Side:
    """What is known of a run, from its parameters, its registered version and its evaluation."""
    version = next((each for each in versions if each.metadata.get("execution") == run.id), None)
    facts = {name: value for name, value in pipeline.parameters(run).items() if value}
    if version is None:
        return Side(run.id, run.status, None, facts, {})
    for name in ("data_hash", "family", "training_job"):
        if name in version.metadata:
            facts[name] = version.metadata[name]
    return Side(run.id, run.status, version.version, facts, metrics(Stored(environment.s3), version))


def metrics(stored: Stored, version: Version) -> dict[str, float]:
    try:
        evaluation: dict[str, Any] = stored.document(f"{version.fact('run_uri')}/evaluation/{EVALUATION_FILE}")
    except DossierError:
        return {}
    return {name: float(each["value"]) for name, each in evaluation["metrics"].items()}


def differences(sides: Sequence[Side]) -> list[Difference]:
    """Every fact and metric of any of them, in a line each."""
    facts = sorted({name for each in sides for name in each.facts})
    measured = sorted({name for each in sides for name in each.metrics})
    return [
        line("status", [each.status for each in sides]),
        line("version", ["" if each.version is None else str(each.version) for each in sides]),
        *(line(name, [each.facts.get(name, "") for each in sides]) for name in facts),
        *(line(f"metric {name}", [shown(each.metrics.get(name)) for each in sides]) for name in measured),
    ]


def line(name: str, values: list[str]) -> Difference:
    return Difference(name, tuple(values), len(set(values)) == 1)


def shown(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"
