"""Judge every environment by every rule, each with a sample of everything served; what `make check` runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pulumi

from contract.release import CHALLENGER, CHAMPION, Package, Release, Releases, Rollout, Variant
from delivery.engine.convert import synthesise
from delivery.engine.recording import Recording, record
from delivery.engine.schema import outputs_of
from delivery.rules import checkov
from delivery.rules.waivers import Finding, Judged, judge, waivers
from infra.names import Names
from infra.rules import Resource, breaches
from stacks.platform import Platform
from stacks.settings import ROOT, Settings, environments, load

LEAST_CHECKS = 60


@dataclass(frozen=True, slots=True)
class Report:
    """What was judged, by how many checks, and with what result."""

    environments: tuple[str, ...]
    evaluated: frozenset[str]
    judged: Judged

    @property
    def is_good(self) -> bool:
        return self.judged.is_clean and len(self.evaluated) >= LEAST_CHECKS


def sample(settings: Settings) -> Releases:
    """Every model of an environment in the middle of an experiment, so that rules see all that can be declared."""
    names = settings.names
    return Releases(
        {
            model: steady(names, model) if given.serving.form == "serverless" else experiment(names, model)
            for model, given in settings.models.items()
        }
    )


def steady(names: Names, model: str) -> Release:
    return Release("steady", (Variant(CHAMPION, package(names, model, 1), 1.0, 2),))


def experiment(names: Names, model: str) -> Release:
    champion = Variant(CHAMPION, package(names, model, 1), 0.9, 2)
    challenger = Variant(CHALLENGER, package(names, model, 2), 0.1, 2)
    return Release("experiment", (champion, challenger), Rollout(), experiment="sample")


def package(names: Names, model: str, version: int) -> Package:
    return Package(
        version=version,
        arn=names.arn("sagemaker", f"model-package/{names.package_group(model)}/{version}"),
        image=names.image("inference", "sha256:" + "0" * 64),
        artifact=f"s3://{names.bucket('artifacts')}/runs/{model}/{version}/model.tar.gz",
        artifact_hash=f"{version:064x}",
        evidence=f"evidence/{model}/{version}.json",
    )


def recorded(settings: Settings, releases: Releases | None = None) -> Recording:
    def program() -> None:
        pulumi.export("platform", Platform(settings, releases if releases is not None else sample(settings)).outputs)

    return record(program, settings.environment, outputs_of)


def resources(recording: Recording) -> list[Resource]:
    return [Resource(each.type, each.name, each.inputs, each.protect) for each in recording.resources if each.custom]


def own_findings(recording: Recording) -> list[Finding]:
    return [
        Finding(recording.stack, rule.id, breach.resource, breach.text)
        for rule, breach in breaches(resources(recording))
    ]


def documents(recordings: Iterable[Recording]) -> dict[str, Mapping[str, Any]]:
    return {each.stack: synthesise(each, partial=True).document for each in recordings}


def check(root: Path = ROOT, today: date | None = None) -> Report:
    """Every environment that is on AWS, by checkov and by our own rules."""
    judged = [load(each, root) for each in environments(root)]
    recordings = [recorded(each) for each in judged if each.cloud == "aws"]
    with tempfile.TemporaryDirectory() as folder:
        found = checkov.run(documents(recordings), Path(folder), root)
    findings = [*found.findings, *(each for recording in recordings for each in own_findings(recording))]
    names = tuple(each.stack for each in recordings)
    return Report(names, found.evaluated, judge(findings, waivers(), today or datetime.now(UTC).date()))
