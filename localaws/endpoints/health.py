"""Looks at every instance now and then: pings it, as SageMaker does, and sends what it logged."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from localaws.endpoints.instance import Instance
from localaws.endpoints.live import Endpoints

LOGS_EVERY = 1.0  # real seconds
PING_EVERY = 5


class HealthWatch:
    """One thread for all instances of all endpoints."""

    def __init__(self, endpoints: Endpoints, also: Callable[[], None]) -> None:
        self._endpoints = endpoints
        self._also = also  # done at every tick
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="endpoint health", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        for tick in itertools.count(1):
            if self._stop.wait(LOGS_EVERY):
                return
            self._also()
            for instance in self._instances():
                instance.flush()
                if tick % PING_EVERY == 0:
                    instance.check()

    def _instances(self) -> list[Instance]:
        return [
            instance
            for live in self._endpoints.all()
            for fleet in list(live.fleets)
            for variant in fleet.everyone
            for instance in variant.instances
        ]

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
