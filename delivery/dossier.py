"""Gather the evidence of a version: what its artifact vouches for, what its run measured, who approved it.

Facts come from the bytes themselves where they can: the artifact is downloaded, hashed and asked for its manifest.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from contract import places
from contract.records import Manifest, RecordError
from contract.stages import EVALUATION_FILE, EXPLANATION_FILE, PREDICTIONS_FILE
from delivery.bundle import Bundle, stamp, stamped, unseal
from delivery.environment import Environment
from delivery.evidence import Approval, Evidence, Measure, SliceMeasure
from delivery.ledger import Decision, Event
from delivery.registry import Version

MOST_IMPORTANT = 20
EXPERIMENT = "experiment"


class DossierError(Exception):
    """Something a version needs for its evidence is not there; the text says what and where."""


def collect(environment: Environment, model: str, version: Version) -> Evidence:
    """All that is known about a version now."""
    stored = Stored(environment.s3)
    artifact = read_artifact(stored, version.artifact)
    run = version.fact("run_uri")
    evaluation = stored.document(f"{run}/evaluation/{EVALUATION_FILE}")
    explanation = stored.document(f"{run}/explanation/{EXPLANATION_FILE}")
    champion = champion_bundle(environment, model)
    decisions = signed(environment.ledger.events(model), version.arn, environment.signer.public_key())
    return Evidence(
        model=model,
        version=version.version,
        author=version.fact("author"),
        made_at=version.created,
        artifact_hash=artifact.hash,
        artifact_bytes=artifact.size,
        data_hash=artifact.manifest.data_hash,
        code_hash=artifact.manifest.code_hash,
        images={**environment.outputs.images, "inference": version.image},
        metrics={name: measure(each) for name, each in evaluation["metrics"].items()},
        slices=tuple(slices(evaluation)),
        champion=champion.evidence.metrics if champion else None,
        latency_p99_ms=evaluation.get("latency_p99_ms"),
        drift_score=drift_since(environment, model, champion, artifact.manifest.data_hash, run),
        explanation=importances(explanation),
        approvals=approvals(decisions, by_caller=environment.tells_callers_apart),
        author_caller=author_caller(decisions),
        experiment=experiment(environment, model, decisions),
    )


def drift_since(
    environment: Environment, model: str, champion: Bundle | None, data_hash: str, run: str
) -> float | None:
    """How far the rows of a run are from what the champion was judged on; nothing when there is nothing to compare.

    The largest effect that is proven, in units of what matters: 0 when none is, above 1 when the inputs have moved.
    """
    if champion is None:
        return None
    if champion.evidence.data_hash == data_hash:
        return 0.0
    baseline = f"s3://{environment.bucket('artifacts')}/{places.baseline_key(model, champion.evidence.artifact_hash)}"
    try:
        known = Stored(environment.s3).read(baseline)
    except DossierError:
        return None  # made by a run of before there were baselines; a gate that asks for drift says so
    return proven_effect(known, f"{run}/evaluation/{PREDICTIONS_FILE}", lambda: environment.s3)


def proven_effect(baseline: bytes, rows: str, connect: Callable[[], Any]) -> float:
    """The largest effect in an input column that the monitor's own judge would call drift."""
    from monitoring.baseline import Baseline
    from monitoring.capture import Span
    from monitoring.storage import file
    from monitoring.verdict import judge, sums_of
    from monitoring.window import Source, read

    kept = Baseline.from_bytes(baseline)
    folder, name = file(rows, connect)
    window = read(Source(folder, "parquet"), [name], kept, Span())
    verdict = judge([sums_of(window.profile)], [kept.reference_at()])
    inputs = {column.name for column in kept.layout.columns if column.role == "feature"}
    return max((each.effect for each in verdict.causes if inputs.issuperset(each.columns)), default=0.0)


class Stored:
    """Objects in S3 by their address; `s3` is a boto3 client."""

    def __init__(self, s3: Any) -> None:
        self.s3 = s3

    def read(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as problem:
            code = problem.response["Error"]["Code"]
            if code not in ("NoSuchKey", "NoSuchBucket", "404"):
                raise
            raise DossierError(
                f"{uri} is not there ({code}), but the registry names it. Run the pipeline again."
            ) from None

    def document(self, uri: str) -> dict[str, Any]:
        try:
            return json.loads(self.read(uri))
        except ValueError as problem:
            raise DossierError(f"{uri} is not JSON: {problem}. Run the pipeline again.") from None


class Artifact:
    """The bytes of a model.tar.gz: their hash, their size, and the manifest inside."""

    def __init__(self, content: bytes, uri: str) -> None:
        self.hash = hashlib.sha256(content).hexdigest()
        self.size = len(content)
        self.manifest = read_manifest(content, uri)


def read_artifact(stored: Stored, uri: str) -> Artifact:
    return Artifact(stored.read(uri), uri)


def read_manifest(content: bytes, uri: str) -> Manifest:
    """The manifest in a packed artifact, without unpacking anything else."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r:gz") as archive:
                members = {Path(name).as_posix(): name for name in archive.getnames()}
                member = archive.extractfile(members[places.MANIFEST])
                return Manifest.from_json(json.loads(member.read() if member else ""))
        except (tarfile.TarError, EOFError, KeyError, ValueError, RecordError) as problem:
            raise DossierError(
                f"{uri} is no artifact of ours ({problem}): it has no readable {places.MANIFEST}. Train again."
            ) from None


def measure(given: Mapping[str, Any]) -> Measure:
    return Measure(value=given["value"], low=given.get("low"), high=given.get("high"))


def slices(evaluation: Mapping[str, Any]) -> list[SliceMeasure]:
    return [
        SliceMeasure(
            column=each["column"], level=each["level"], metric=metric, rows=each["rows"], measure=Measure(value=value)
        )
        for each in evaluation.get("slices", ())
        for metric, value in each["metrics"].items()
        if value is not None
    ]


def importances(explanation: Mapping[str, Any]) -> dict[str, float]:
    found = {each["column"]: each["loss_increase"] for each in explanation.get("importances", ())}
    return dict(sorted(found.items(), key=lambda each: -abs(each[1]))[:MOST_IMPORTANT])


def signed(events: Sequence[Event], package: str, public_key: bytes) -> list[Decision]:
    """What was decided about a package; what the environment's key did not sign is nobody's decision."""
    about = [each for each in events if package in (each.decision.inputs.get("package"), made_by(each.decision))]
    return [each.decision for each in about if each.is_signed(public_key)]


def made_by(decision: Decision) -> str | None:
    """The package that a run registered."""
    return decision.outputs.get("package") if decision.what == "run" else None


def approvals(decisions: Sequence[Decision], *, by_caller: bool) -> tuple[Approval, ...]:
    """Everybody's yes; where AWS tells callers apart, one without a caller is a name that anybody could have given."""
    return tuple(
        Approval.model_validate({"who": each.who, "when": each.at, "note": each.why, "caller": each.caller})
        for each in decisions
        if each.what == "approve" and (each.caller or not by_caller)
    )


def author_caller(decisions: Sequence[Decision]) -> str:
    """The caller whose run made the package; empty when a schedule or an alarm did, or nobody kept it."""
    return next((each.caller for each in decisions if made_by(each)), "")


def experiment(environment: Environment, model: str, decisions: Sequence[Decision]) -> dict[str, Any] | None:
    """What the last experiment found that the package was judged by; its record is read with its seal checked."""
    named = [each.inputs[EXPERIMENT] for each in decisions if each.what == "gate" and EXPERIMENT in each.inputs]
    return read_result(environment, model, named[-1]) if named else None


def champion_bundle(environment: Environment, model: str) -> Bundle | None:
    """The evidence of what serves now."""
    release = environment.releases.read().models.get(model)
    return read_bundle(environment, model, release.champion.package.evidence) if release else None


def read_bundle(environment: Environment, model: str, named: str) -> Bundle:
    """A bundle from the evidence bucket, its seal checked."""
    uri = f"s3://{environment.bucket('evidence')}/{places.evidence_key(model, named)}"
    return unseal(Stored(environment.s3).read(uri), named, environment.signer.public_key())


def write_bundle(environment: Environment, model: str, bundle: Bundle) -> None:
    environment.s3.put_object(
        Bucket=environment.bucket("evidence"), Key=places.evidence_key(model, bundle.hash), Body=bundle.to_json()
    )


def result_key(model: str, named: str) -> str:
    return places.evidence_key(model, f"experiments/{named}")


def write_result(environment: Environment, model: str, record: Mapping[str, Any]) -> str:
    """Keep what an experiment ended on, signed, under its hash; `result` in it is what evidence repeats."""
    named, body = stamp(record, environment.signer)
    environment.s3.put_object(
        Bucket=environment.bucket("evidence"), Key=result_key(model, named), Body=body, ChecksumAlgorithm="SHA256"
    )
    return named


def read_result(environment: Environment, model: str, named: str) -> dict[str, Any]:
    """What an experiment found, its seal checked, and the record it rests on by its hash."""
    uri = f"s3://{environment.bucket('evidence')}/{result_key(model, named)}"
    record = stamped(Stored(environment.s3).read(uri), named, environment.signer.public_key())
    return {**record["result"], "record": named}
