"""Signing with a key nobody can copy, and checking with the key everybody may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class SigningError(Exception):
    """A key cannot be used, with what it is and what is expected."""


class Signer(Protocol):
    """Signs the 32 bytes of a digest, as a message, with a key nobody can copy (KMS on AWS)."""

    def sign(self, digest: bytes) -> bytes: ...

    def public_key(self) -> bytes:
        """The key that verifies, as DER."""
        ...


@dataclass(frozen=True, slots=True)
class KmsSigner:
    """Signs with an asymmetric KMS key; `kms` is a boto3 client."""

    kms: Any
    key: str

    def sign(self, digest: bytes) -> bytes:
        answer = self.kms.sign(KeyId=self.key, Message=digest, MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256")
        return answer["Signature"]

    def public_key(self) -> bytes:
        return self.kms.get_public_key(KeyId=self.key)["PublicKey"]


def signed_by(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether the signature over a digest's bytes was made with that key's private half."""
    key = serialization.load_der_public_key(public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise SigningError(f"the evidence key is a {type(key).__name__}, expected an elliptic-curve key.")
    try:
        key.verify(signature, digest, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
