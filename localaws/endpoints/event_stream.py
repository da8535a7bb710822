"""Frames of Amazon's binary event stream, which botocore can read but not write.

A frame is: total length and headers length (4 bytes each), CRC32 of those eight bytes, headers, payload, CRC32 of all
before it. A header is: length of its name, name, type 7 (string), length of its value (2 bytes), value.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping

STRING = 7
AROUND = 16  # bytes of a frame that are neither headers nor payload


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    packed = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", len(packed) + len(payload) + AROUND, len(packed))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return message + struct.pack(">I", zlib.crc32(message))


def payload_frame(part: bytes) -> bytes:
    """One `PayloadPart`."""
    return frame(
        {":message-type": "event", ":event-type": "PayloadPart", ":content-type": "application/octet-stream"}, part
    )


def exception_frame(kind: str, code: str, message: str) -> bytes:
    """An error in the middle of a stream."""
    body = json.dumps({"Message": message, "ErrorCode": code}).encode()
    return frame({":message-type": "exception", ":exception-type": kind, ":content-type": "application/json"}, body)


def _header(name: str, value: str) -> bytes:
    name_bytes, value_bytes = name.encode(), value.encode()
    return struct.pack(">B", len(name_bytes)) + name_bytes + struct.pack(">BH", STRING, len(value_bytes)) + value_bytes
