"""Evidence, sealed so that nobody can change it afterwards.

A bundle holds the evidence, the gates it was judged by and the verdict, in one canonical JSON text. Its name is the
text's SHA-256 and its seal is a signature over that. Reading a bundle checks both, and judging it again gives the same
verdict.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from delivery.evidence import Evidence
from delivery.gates import Gates, Verdict, judge
from delivery.signing import Signer, signed_by

REMEDY = "Refused; make new evidence with `slipway gates`."
KEPT = "Refused; the bucket keeps every version of it: bring the first one back."


class BundleError(Exception):
    """A bundle is not what it claims; the text says how it shows and what to do."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Evidence, gates and verdict under one seal."""

    evidence: Evidence
    gates: Gates
    judged_at: datetime
    verdict: Verdict
    signature: str

    @property
    def text(self) -> bytes:
        return canonical(body_of(self.evidence, self.gates, self.judged_at, self.verdict))

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.text).hexdigest()

    def to_json(self) -> bytes:
        return canonical(json.loads(self.text) | {"signature": self.signature})


def stamp(document: Mapping[str, Any], signer: Signer) -> tuple[str, bytes]:
    """The name of a document, which is its text's hash, and what to store: the document with a signature over that."""
    digest = hashlib.sha256(canonical(document)).digest()
    return digest.hex(), canonical({**document, "signature": signer.sign(digest).hex()})


def stamped(stored: bytes, named: str, public_key: bytes) -> dict[str, Any]:
    """A document back as it was signed, or exactly what is wrong with it."""
    try:
        document = json.loads(stored)
        signature = bytes.fromhex(document.pop("signature"))
        text = canonical(document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise BundleError(f"{named} in the evidence bucket cannot be read ({problem}). {KEPT}") from None
    found = hashlib.sha256(text)
    if found.hexdigest() != named or stored != canonical({**document, "signature": signature.hex()}):
        raise BundleError(f"{named} in the evidence bucket was changed: its text hashes to {found.hexdigest()}. {KEPT}")
    if not signed_by(public_key, found.digest(), signature):
        raise BundleError(f"{named} in the evidence bucket is not signed by this environment's key. {KEPT}")
    return document


def seal(evidence: Evidence, gates: Gates, now: datetime, signer: Signer) -> Bundle:
    """Judge the evidence and sign what came out."""
    verdict = judge(gates, evidence, now)
    text = canonical(body_of(evidence, gates, now, verdict))
    return Bundle(evidence, gates, now, verdict, signer.sign(hashlib.sha256(text).digest()).hex())


def unseal(stored: bytes, named: str, public_key: bytes) -> Bundle:
    """Read a bundle back, or say exactly what is wrong with it."""
    try:
        document = json.loads(stored)
        bundle = Bundle(
            evidence=Evidence.model_validate(document["evidence"]),
            gates=Gates.model_validate(document["gates"]),
            judged_at=datetime.fromisoformat(document["judged_at"]),
            verdict=Verdict.model_validate(document["verdict"]),
            signature=document["signature"],
        )
        signature = bytes.fromhex(bundle.signature)
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError) as problem:
        raise BundleError(f"evidence bundle {named} cannot be read ({problem}). {REMEDY}") from None
    if stored != bundle.to_json() or bundle.hash != named:
        raise BundleError(f"evidence bundle {named} was changed: its text hashes to {bundle.hash}. {REMEDY}")
    if not signed_by(public_key, hashlib.sha256(bundle.text).digest(), signature):
        raise BundleError(f"evidence bundle {named} is not signed by this environment's key. {REMEDY}")
    return agreed(bundle, named)


def agreed(bundle: Bundle, named: str) -> Bundle:
    """Judging again must give the verdict that was sealed."""
    again = judge(bundle.gates, bundle.evidence, bundle.judged_at)
    if again != bundle.verdict:
        raise BundleError(
            f"evidence bundle {named} says '{bundle.verdict.word}', judging it again says '{again.word}'. {REMEDY}"
        )
    return bundle


def body_of(evidence: Evidence, gates: Gates, judged_at: datetime, verdict: Verdict) -> dict[str, Any]:
    return {
        "evidence": evidence.model_dump(mode="json"),
        "gates": gates.model_dump(mode="json"),
        "judged_at": judged_at.isoformat(),
        "verdict": verdict.model_dump(mode="json"),
    }


def canonical(document: Mapping[str, Any]) -> bytes:
    """One text for one value: sorted keys, no spaces, plain ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
