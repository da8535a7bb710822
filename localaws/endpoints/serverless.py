"""A serverless variant: a worker per request in flight, started when it is needed and ended when it is idle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from localaws.endpoints.instance import Instance, NotHealthyError, Site
from localaws.endpoints.model import ServedModel
from localaws.endpoints.variant import Variant
from localaws.errors import ThrottlingException

IDLE = 600.0  # seconds of the clock after which a worker that had nothing to do is ended


class ServerlessVariant(Variant):
    """Starts from nothing, up to its concurrency; provisioned workers are always there."""

    def __init__(self, site: Site, config: Mapping[str, Any], model: ServedModel, root: Path) -> None:
        super().__init__(site, config, model, root)
        self.capacity: dict[str, Any] = dict(config["ServerlessConfig"])
        self._starting = 0
        self._gate = threading.Lock()
        self._used: dict[str, float] = {}

    @property
    def provisioned(self) -> int:
        return self.capacity.get("ProvisionedConcurrency", 0)

    @override
    def reconfigure(self, serverless: Mapping[str, Any]) -> None:
        self.capacity |= serverless
        self.config = {**self.config, "ServerlessConfig": self.capacity}

    @override
    def grow(self, count: int) -> None:
        """Prove that the container comes up, and keep what is provisioned warm."""
        super().grow(max(self.provisioned, 1 if not self._used and not self.count else 0))
        now = self.site.plane.clock.now()
        for instance in self.instances:
            self._used.setdefault(instance.id, now)
        self._look_later()

    @override
    def acquire(self, wish: Callable[[Instance], bool] | None = None) -> Instance | None:
        instance = self._free()
        if instance is not None:
            return instance
        with self._gate:
            if self._starting + self.count >= self.capacity["MaxConcurrency"]:
                raise ThrottlingException(
                    f"Too many requests: the endpoint's MaxConcurrency is {self.capacity['MaxConcurrency']}.",
                    status=429,
                )
            self._starting += 1
        began = time.monotonic()
        try:
            self.files.fetch(self.model)
            made = self.add_one(outstanding=1)
        except NotHealthyError:
            return None
        finally:
            with self._gate:
                self._starting -= 1
        self.meter.took("ModelSetupTime", time.monotonic() - began)
        self._used[made.id] = self.site.plane.clock.now()
        self._look_later()
        return made

    @override
    def release(self, instance: Instance) -> None:
        self._used[instance.id] = self.site.plane.clock.now()
        super().release(instance)

    def _free(self) -> Instance | None:
        """A worker without a request; each takes one at a time."""
        with self._changed:
            for instance in self._instances:
                if instance.ready and instance.outstanding == 0:
                    instance.outstanding += 1
                    return instance
        return None

    def _look_later(self) -> None:
        self.site.plane.clock.call_later(IDLE, self._look, f"idle workers of {self.site.endpoint}")

    def _look(self) -> None:
        """End workers that have been idle for too long, but never those that are provisioned."""
        now = self.site.plane.clock.now()
        idle = [
            instance
            for instance in self.instances
            if instance.outstanding == 0 and now - self._used.get(instance.id, now) >= IDLE
        ]
        for instance in idle[: max(self.count - self.provisioned, 0)]:
            self._used.pop(instance.id, None)
            self.site.plane.clock.spawn(lambda one=instance: self.remove(one), f"ending an idle worker {instance.id}")
