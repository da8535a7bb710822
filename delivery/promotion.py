"""Promotion: what serves in one environment is judged anew by another, and released there.

The same bytes or nothing: the artifact's hash and the image's digest are those that the source's sealed evidence and
the target's settings name. The target decides for itself: its own pipeline scores the model on its own data, its own
gates and people say yes, its own key signs. Each step is found again when the command is repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from contract import places
from contract.release import Package, Release
from delivery import approval
from delivery.bundle import Bundle
from delivery.data import DataStore, version_of
from delivery.dossier import Stored, read_bundle
from delivery.environment import Environment
from delivery.registry import Version
from delivery.release import RefusedError
from delivery.runs import Pipeline, Step, token_of

Steps = Callable[[list[Step]], None]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a source vouches for: a package and the sealed evidence behind it."""

    source: str
    package: Package
    bundle: Bundle


def offered(source: Environment, model: str, version: str | None) -> Offer:
    """The source's champion, or the approved version asked for; its seal is checked with the source's key."""
    if version is not None:
        package = approval.vouched(source, model, source.registry(model).pick(version))
    else:
        release = source.releases.release(model)
        if release.state == "rolling":
            raise RefusedError(
                f"{model} is rolling out in {source.name}: nothing has proved itself there yet. Wait until "
                f"`slipway status {model} --env {source.name}` says steady. Nothing was changed."
            )
        package = release.champion.package
    bundle = read_bundle(source, model, package.evidence)
    if bundle.verdict.word == "fail" or bundle.evidence.artifact_hash != package.artifact_hash:
        raise RefusedError(
            f"the evidence {bundle.hash} in {source.name} does not vouch for version {package.version} of {model} "
            f"(verdict {bundle.verdict.word}). Judge it again there: slipway gates {model} {package.version} "
            f"--env {source.name}. Nothing was changed."
        )
    return Offer(source.name, package, bundle)


def digest_of(image: str) -> str:
    return image.rpartition("@")[2]


def same_image(target: Environment, offer: Offer) -> None:
    """The target serves with the very image that was tried in the source, or not at all."""
    theirs, ours = digest_of(offer.package.image), digest_of(target.outputs.images["inference"])
    if theirs != ours:
        raise RefusedError(
            f"{offer.source} serves with image {theirs}, {target.name} is set to {ours}: what was tried there is not "
            f"what would serve here. Set images.inference in Pulumi.{target.name}.yaml to that digest, `slipway up "
            f"{target.name}`, then promote again. Nothing was changed."
        )


def serves_already(release: Release, offer: Offer) -> bool:
    """Whether the target's champion is that very model, in that very image."""
    if release.state not in ("steady", "experiment"):
        return False
    package = release.champion.package
    return (package.artifact_hash, digest_of(package.image)) == (
        offer.package.artifact_hash,
        digest_of(offer.package.image),
    )


def carry(source: Environment, target: Environment, model: str, offer: Offer) -> str:
    """Copy the artifact and its evidence across accounts; every byte is checked against the sealed hash on the way."""
    content = Stored(source.s3).read(offer.package.artifact)
    found = hashlib.sha256(content).hexdigest()
    if found != offer.package.artifact_hash:
        raise RefusedError(
            f"{offer.package.artifact} was changed: it hashes to {found}, its evidence says "
            f"{offer.package.artifact_hash}. Do not use it; train again. Nothing was changed in {target.name}."
        )
    bucket = target.bucket("artifacts")
    key = f"{places.run_prefix(model, f'from-{offer.source}-{found[:12]}')}{places.ARTIFACT}"
    target.s3.put_object(Bucket=bucket, Key=key, Body=content)
    evidence = places.evidence_key(model, offer.bundle.hash)
    target.s3.put_object(Bucket=target.bucket("evidence"), Key=evidence, Body=offer.bundle.to_json())
    return f"s3://{bucket}/{key}"


def data_of(target: Environment, model: str, given: Path | str | None) -> str:
    """Where the target's own data stand: those given, else the newest handed over there, else its settings'."""
    store = DataStore(target.s3, target.bucket("data"), model)
    if isinstance(given, Path):
        return store.put(given, version_of(given), lambda _: None)
    if given is not None:
        return given
    known = store.versions()
    if known:
        return store.uri(known[0][0])
    settled = target.model_settings(model).data
    if settled is None:
        raise RefusedError(
            f"{target.name} has no data of its own to judge {model} on: hand some over with --data PLACE, or set "
            f"models.{model}.data in Pulumi.{target.name}.yaml. Nothing was changed."
        )
    return settled


def register(target: Environment, model: str, offer: Offer, *, artifact: str, data: str, steps: Steps) -> Version:
    """The version of the target that holds the offer, scored on its data; one that was registered before is taken."""
    registry = target.registry(model)
    wanted = {"promoted_evidence": offer.bundle.hash, "data": data}
    known = next((each for each in registry.versions() if wanted.items() <= each.metadata.items()), None)
    if known is not None:
        return known
    pipeline = pipeline_of(target, model)
    run = pipeline.start(
        parameters := asked(offer, artifact, data), token_of(pipeline.name, parameters, last(pipeline))
    )
    pipeline.finish(run, steps)
    version = next(each for each in registry.versions() if each.metadata.get("execution") == run.id)
    target.record(
        "promote",
        model,
        f"from {offer.source}, version {offer.package.version}",
        inputs={"package": offer.package.arn, "evidence": offer.bundle.hash, "data": data},
        outputs={"package": version.arn, "run": run.arn},
    )
    return version


def pipeline_of(target: Environment, model: str) -> Pipeline:
    name = target.model(model).promotion_pipeline
    if name is None:
        raise RefusedError(
            f"{target.name} was brought up before there were promotions: `slipway up {target.name}`, then try again."
        )
    return Pipeline(target.sagemaker, name, target.wait)


def asked(offer: Offer, artifact: str, data: str) -> Mapping[str, str]:
    """The parameters of the promotion pipeline; the author stays who trained it."""
    return {
        "Data": data,
        "Artifact": artifact,
        "Author": offer.bundle.evidence.author,
        "Reason": f"promoted from {offer.source}",
        "From": offer.source,
        "Package": offer.package.arn,
        "Evidence": offer.bundle.hash,
    }


def last(pipeline: Pipeline) -> str:
    """The newest run that has ended: a run that goes on is found again, one that failed is made anew."""
    return next((run.id for run in pipeline.runs() if run.ended), "")


def said_yes(target: Environment, model: str, version: Version, note: str) -> Package:
    """The package to release, approved by this promotion where it was not before."""
    if version.approval == "Rejected":
        raise RefusedError(
            f"version {version.version} of {model} was rejected in {target.name}: {version.note}. Whoever thinks "
            f"otherwise approves it first: slipway models approve {model} {version.version} --env {target.name} "
            "--note WHY. Nothing was changed."
        )
    if version.approval != "Approved":
        approval.approve(target, model, version, note)
        version = target.registry(model).read(version.arn)
    return approval.vouched(target, model, version)
