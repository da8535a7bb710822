"""moto's randomness, repeatable: what a change draws depends on its seed, so that doing it again gives the same ids.

Keys of asymmetric KMS keys cannot be drawn from a seed: they are handed out to be kept, and given back.
"""

from __future__ import annotations

import base64
import random
import threading
from collections.abc import Callable, Iterable
from typing import Any

from typing_extensions import override


class _Here(threading.local):
    """What this thread draws from."""

    def __init__(self) -> None:
        self.generator = random.Random()  # noqa: S311  ids, not secrets
        self.given: list[bytes] = []  # keys to use again
        self.made: list[bytes] = []  # keys that were made


_here = _Here()


def begin(seed: int, keys: Iterable[bytes] = ()) -> list[bytes]:
    """From now on this thread draws as the change with this seed does; what comes back will hold the keys it makes."""
    _here.generator = random.Random(seed)  # noqa: S311
    _here.given = list(keys)
    _here.made = []
    return _here.made


def install() -> None:
    """Let moto draw from here; once is enough for a process."""
    from moto.kms import utils as kms
    from moto.moto_api._internal import mock_random
    from moto.moto_api._internal.moto_random import MotoRandom
    from moto.s3.models import UPLOAD_ID_BYTES, FakeMultipart

    class ByThread(MotoRandom):
        @override
        def random(self) -> float:
            return _here.generator.random()

        @override
        def getrandbits(self, k: int, /) -> int:
            return _here.generator.getrandbits(k)

    if type(mock_random) is not MotoRandom:
        return  # it was done before
    mock_random.__class__ = ByThread
    kms.generate_data_key = _bytes
    for kind in (kms.RSAPrivateKey, kms.ECDSAPrivateKey):
        _wrap(kind, _kept)
    _wrap(FakeMultipart, lambda upload: setattr(upload, "id", _word(UPLOAD_ID_BYTES)))


def _bytes(number_of_bytes: int) -> bytes:
    return _here.generator.randbytes(number_of_bytes)


def _word(count: int) -> str:
    """Letters and digits, as an upload id has."""
    return base64.b64encode(_bytes(count), altchars=b"00").decode().replace("=", "")


def _wrap(kind: type[Any], after: Callable[[Any], None]) -> None:
    """Do something more when one of a kind is made."""
    made = kind.__init__

    def init(self: Any, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        after(self)

    kind.__init__ = init


def _kept(key: Any) -> None:
    from cryptography.hazmat.primitives import serialization as form

    if _here.given:
        key.private_key = form.load_der_private_key(_here.given.pop(0), None)
    bare = form.NoEncryption()
    _here.made.append(key.private_key.private_bytes(form.Encoding.DER, form.PrivateFormat.PKCS8, bare))
