"""Smithy's RPC-over-CBOR protocol, seen from the server: what boto3 speaks to CloudWatch.

botocore writes requests and reads answers along their shapes; a server does the same the other way round.
"""

import re
from datetime import datetime
from typing import Any

from botocore.model import DenormalizedStructureBuilder, Shape
from botocore.parsers import RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer

CONTENT_TYPE = "application/cbor"
PROTOCOL = "smithy-rpc-v2-cbor"
PATH = re.compile(r"/service/([^/]+)/operation/([^/]+)")

_ERROR = DenormalizedStructureBuilder().with_members({"__type": {"type": "string"}, "message": {"type": "string"}})


class _Writer(RpcV2CBORSerializer):
    """botocore's serializer, with its shape-driven core in reach."""

    def write(self, shape: Shape, value: dict[str, Any]) -> bytes:
        written = bytearray()
        self._serialize_data_item(written, value, shape)  # pyrefly: ignore[missing-attribute]
        return bytes(written)


class _Reader(RpcV2CBORParser):
    """botocore's parser, with its decoder in reach."""

    def read(self, body: bytes) -> Any:
        return self.parse_data_item(self.get_peekable_stream_from_bytes(body))


def read(body: bytes) -> dict[str, Any]:
    """The members of a request; times as epoch seconds."""
    found = _plain(_Reader().read(body)) if body else {}
    return found if isinstance(found, dict) else {}


def write(shape: Shape | None, value: dict[str, Any]) -> bytes:
    """An answer along its shape."""
    return _Writer().write(shape, value) if shape else _Writer().write(_ERROR.build_model(), {})


def write_error(code: str, message: str) -> bytes:
    return _Writer().write(_ERROR.build_model(), {"__type": code, "message": message})


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.timestamp()
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case _:
            return value
