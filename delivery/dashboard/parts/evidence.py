"""Why what serves may serve: the version behind the champion, its sealed evidence, and what each gate found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from contract import places
from contract.release import CHAMPION
from delivery.bundle import Bundle, BundleError, unseal
from delivery.dashboard.looking import Look
from delivery.dossier import DossierError, Stored
from delivery.registry import Registry, Version
from monitoring.report.page import number, table, text

TITLE, PLACE, WIDE = "Evidence", 15, False
EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True)
class Found:
    """The version that serves, and its bundle or why there is none that can be believed."""

    version: Version | None = None
    bundle: Bundle | None = None
    problem: str = ""


def read(look: Look) -> Found:
    artifact = served(look)
    if artifact is None:
        return Found()
    versions = Registry(look.client("sagemaker"), look.names.package_group(look.model)).versions()
    version = next((each for each in versions if each.artifact == artifact), None)
    if version is None:
        return Found(problem=f"no version in the registry has the artifact {artifact}")
    return believed(look, version)


def served(look: Look) -> str | None:
    """The artifact behind the champion, as the endpoint itself has it."""
    sagemaker = look.client("sagemaker")
    try:
        config = sagemaker.describe_endpoint(EndpointName=look.endpoint)["EndpointConfigName"]
    except ClientError as problem:
        if "Could not find endpoint" in problem.response["Error"].get("Message", ""):
            return None
        raise
    variants: list[dict[str, Any]] = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    champion = next(each for each in variants if each["VariantName"] == CHAMPION)
    return sagemaker.describe_model(ModelName=champion["ModelName"])["PrimaryContainer"].get("ModelDataUrl")


def believed(look: Look, version: Version) -> Found:
    """The bundle of a version, its seal checked."""
    named = version.metadata.get(EVIDENCE)
    if named is None:
        return Found(version, problem="this version names no evidence")
    uri = f"s3://{look.bucket('evidence')}/{places.evidence_key(look.model, named)}"
    try:
        stored = Stored(look.client("s3")).read(uri)
        return Found(version, unseal(stored, named, look.environment.signer.public_key()))
    except (BundleError, DossierError) as problem:
        return Found(version, problem=str(problem))


def show(found: Found) -> str:
    if found.version is None:
        return f'<p class="empty">{text(found.problem or "Nothing serves yet, so there is nothing to vouch for.")}</p>'
    version = found.version
    head = (
        f"<p><b>version {version.version}</b> {text(version.metadata.get('family', ''))} "
        f'<span class="soft">data {text(version.metadata.get("data_hash", "unknown")[:12])}, '
        f"registered {version.created:%d %b %H:%M}</span></p>"
    )
    if found.bundle is None:
        return f'{head}<p class="bad-text">{text(found.problem)}</p>'
    return head + verdict(found.bundle)


def verdict(bundle: Bundle) -> str:
    mood = "good" if bundle.verdict.word == "pass" else "bad"
    yes = "".join(f"<li>{text(each.who)}: {text(each.note)}</li>" for each in bundle.evidence.approvals)
    rows = [
        [
            f'<span class="{"good" if each.word == "pass" else "bad"}-text">{text(each.word)}</span>',
            text(each.gate),
            f'<span class="text">{text(each.found)}</span>',
            f'<span class="text">{text(each.wanted)}</span>',
        ]
        for each in bundle.verdict.findings
    ]
    measures = [[text(name), number(each.value)] for name, each in bundle.evidence.metrics.items()]
    return (
        f'<p>sealed {bundle.judged_at:%d %b %H:%M} <span class="tag {mood}">{text(bundle.verdict.word)}</span> '
        f'<span class="soft">{text(bundle.hash[:16])}</span></p><p>approved by</p><ul>{yes or "<li>nobody</li>"}</ul>'
        f"<details><summary>what each gate found</summary>"
        f"{table(['', 'gate', 'found', 'wanted'], rows, 'Gates')}</details>"
        f"<details><summary>measures</summary>{table(['measure', 'value'], measures, 'Measures')}</details>"
    )
