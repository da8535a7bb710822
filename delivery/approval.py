"""From evidence to a yes: judge a version by its model's gates, seal what came out, and let people approve it."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from contract.release import Package
from delivery.bundle import Bundle, seal
from delivery.card import card
from delivery.dossier import EXPERIMENT, collect, read_bundle, read_result, write_bundle
from delivery.environment import Environment
from delivery.evidence import Evidence
from delivery.gates import AGE, Gates, Verdict, judge
from delivery.registry import Version
from delivery.release import RefusedError

EVIDENCE = "evidence"
ARTIFACT_HASH = "artifact_hash"


class GatesError(Exception):
    """A gates file cannot be used; the text says where and what is expected."""


def read_gates(root: Path, model: str) -> Gates:
    """The gates of a model, from `gates/<model>.yaml`."""
    path = root / "gates" / f"{model}.yaml"
    if not path.exists():
        raise GatesError(
            f"model '{model}' has no gates: write {path.relative_to(root)}; docs/howto/gates.md shows one."
        )
    try:
        return Gates.model_validate(yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, ValidationError) as problem:
        raise GatesError(f"{path.relative_to(root)}: {problem}\nNothing was changed.") from None


def judge_version(environment: Environment, model: str, version: Version) -> Bundle:
    """Evidence gathered, judged, sealed and stored, whatever the verdict."""
    return judge_evidence(environment, version, collect(environment, model, version))


def judge_evidence(environment: Environment, version: Version, evidence: Evidence) -> Bundle:
    """Evidence judged by the gates as they are, sealed, stored and told of in the ledger."""
    model, gates = evidence.model, read_gates(environment.root, evidence.model)
    bundle = seal(evidence, gates, environment.now(), environment.signer)
    write_bundle(environment, model, bundle)
    inputs = {"package": version.arn, "data": evidence.data_hash, "code": evidence.code_hash}
    if evidence.experiment is not None:
        inputs[EXPERIMENT] = evidence.experiment["record"]
    environment.record("gate", model, bundle.verdict.word, inputs=inputs, outputs={EVIDENCE: bundle.hash})
    return bundle


def approve(environment: Environment, model: str, version: Version, note: str) -> Bundle:
    """Say yes to a version; it is approved when its gates pass with that yes."""
    environment.record("approve", model, note, inputs={"package": version.arn})
    bundle = judge_version(environment, model, version)
    if bundle.verdict.word == "fail":
        raise RefusedError(
            f"version {version.version} of {model} does not pass its gates; your yes is recorded, the version stays "
            f"{version.approval}:\n{failures(bundle.verdict)}"
        )
    registry = environment.registry(model)
    registry.note(version, {EVIDENCE: bundle.hash, ARTIFACT_HASH: bundle.evidence.artifact_hash})
    registry.describe(version, card(version, bundle))
    registry.decide(version, "Approved", f"evidence {bundle.hash}: {note}")
    return bundle


def reject(environment: Environment, model: str, version: Version, note: str) -> None:
    """Say no to a version."""
    environment.record("reject", model, note, inputs={"package": version.arn})
    environment.registry(model).decide(version, "Rejected", note)


def vouched(environment: Environment, model: str, version: Version) -> Package:
    """The package to release: nothing reaches an endpoint without a sealed bundle that passes, then and now."""
    bundle = sealed_evidence(environment, model, version)
    gates, now = read_gates(environment.root, model), environment.now()
    refuse_failures(judge(gates, bundle.evidence, now), model, version)
    return package_of(version, bundle)


def proven(environment: Environment, model: str, package: Package, result: str) -> Package:
    """The challenger's package with what its experiment found: part of its evidence, judged and sealed again."""
    registry = environment.registry(model)
    version = registry.read(package.arn)
    before = sealed_evidence(environment, model, version).evidence.model_dump()
    evidence = Evidence.model_validate({**before, "experiment": read_result(environment, model, result)})
    bundle = judge_evidence(environment, version, evidence)
    refuse_failures(bundle.verdict, model, version)
    registry.note(version, {EVIDENCE: bundle.hash})
    return package_of(version, bundle)


def sealed_evidence(environment: Environment, model: str, version: Version) -> Bundle:
    """The bundle that a version was approved with, if it vouches for that very artifact."""
    if version.approval != "Approved":
        raise RefusedError(
            f"version {version.version} of {model} is {version.approval}, expected Approved. "
            f"Approve it: slipway models approve {model} {version.version} --note WHY. Nothing was changed."
        )
    bundle = read_bundle(environment, model, version.fact(EVIDENCE))
    if bundle.verdict.word == "fail" or bundle.evidence.artifact_hash != version.fact(ARTIFACT_HASH):
        raise RefusedError(
            f"the evidence of version {version.version} of {model} does not vouch for it (verdict "
            f"{bundle.verdict.word}). Judge it again: slipway gates {model} {version.version}. Nothing was changed."
        )
    return bundle


def refuse_failures(verdict: Verdict, model: str, version: Version) -> None:
    """Sealed evidence is judged again before it is relied on: it may be too old by now, or the gates stricter."""
    if verdict.word == "fail":
        raise RefusedError(
            f"version {version.version} of {model} passed its gates when it was approved; by the gates of today its "
            f"evidence does not:\n{failures(verdict)}\n{remedies(verdict, model, version)} Nothing was changed."
        )


def remedies(verdict: Verdict, model: str, version: Version) -> str:
    """What makes failing gates pass: evidence does not grow younger, all else is gathered anew with a yes."""
    failing = {each.gate for each in verdict.failures}
    told = []
    if AGE in failing:
        told.append(f"Evidence that is too old is made anew with a new version: slipway retrain {model}.")
    if failing - {AGE}:
        told.append(
            f"Have it judged and approved again: slipway models approve {model} {version.version} --note WHY; or "
            f"change gates/{model}.yaml."
        )
    return " ".join(told)


def package_of(version: Version, bundle: Bundle) -> Package:
    return Package(
        version=version.version,
        arn=version.arn,
        image=version.image,
        artifact=version.artifact,
        artifact_hash=bundle.evidence.artifact_hash,
        evidence=bundle.hash,
    )


def failures(verdict: Verdict) -> str:
    return "\n".join(f"  {each.gate}: found {each.found}, wanted {each.wanted}" for each in verdict.failures)
