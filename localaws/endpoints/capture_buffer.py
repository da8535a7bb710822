"""Captured lines on their way to S3: gathered per variant and hour, written in one object each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from localaws.endpoints.capture import Exchange, Rules, key, line
from localaws.objects import Objects
from localaws.plane import Plane

log = logging.getLogger(__name__)

DELAY = 10.0  # seconds of the clock between the first record of an object and its writing
MOST_LINES = 5_000
MOST_BYTES = 4 << 20


class Place(NamedTuple):
    """What one object holds: the records of one variant within one hour, under one set of rules."""

    rules: Rules
    variant: str
    hour: int


@dataclass
class Batch:
    """The lines of one object so far."""

    began: float
    lines: list[str] = field(default_factory=list)
    size: int = 0


class CaptureBuffer:
    """Gathers the capture of one endpoint."""

    def __init__(self, plane: Plane, objects: Callable[[], Objects], endpoint: str) -> None:
        self._plane, self._objects, self._endpoint = plane, objects, endpoint
        self._batches: dict[Place, Batch] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def add(self, rules: Rules, variant: str, exchange: Exchange) -> None:
        text = line(rules, exchange)
        place = Place(rules, variant, int(exchange.at // 3600))
        with self._lock:
            first = not self._batches
            batch = self._batches.setdefault(place, Batch(exchange.at))
            batch.lines.append(text)
            batch.size += len(text)
            full = len(batch.lines) >= MOST_LINES or batch.size >= MOST_BYTES
        if full:
            self.write_soon()
        elif first:
            self._plane.clock.call_later(DELAY, self.write_soon, f"capture of {self._endpoint}")

    def write_soon(self) -> None:
        self._plane.clock.spawn(self.write, f"writing the capture of {self._endpoint}")

    def write(self) -> None:
        """Write everything gathered so far."""
        with self._writing:
            with self._lock:
                batches = self._batches
                self._batches = dict[Place, Batch]()
            for place, batch in batches.items():
                self._put(place, batch)

    def _put(self, place: Place, batch: Batch) -> None:
        bucket, path = key(place.rules, self._endpoint, place.variant, batch.began)
        body = ("\n".join(batch.lines) + "\n").encode()
        try:
            self._objects().write(
                f"s3://{bucket}/{path}", body, key_id=place.rules.kms_key, content_type="application/jsonl"
            )
        except Exception:  # capture never breaks serving, but it must not fail in silence either
            log.exception("the capture of %s could not be written to s3://%s/%s", self._endpoint, bucket, path)
