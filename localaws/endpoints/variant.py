"""A variant at work: its instances, how many there are, and which of them takes the next request."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from localaws.endpoints.instance import GRACE, STARTUP_LIMIT, Instance, NotHealthyError, Site
from localaws.endpoints.meter import Meter
from localaws.endpoints.model import ModelFiles, ServedModel
from localaws.objects import Objects

STARTED_AT_ONCE = 4  # more only slow each other down


class Variant:
    """One production or shadow variant of one fleet."""

    def __init__(self, site: Site, config: Mapping[str, Any], model: ServedModel, root: Path) -> None:
        self.site = site
        self.name = site.variant
        self.config = config
        self.model = model
        self.weight: float = config.get("InitialVariantWeight", 1.0)
        self.wanted = _first_count(config)
        self.meter = Meter(site)
        self.objects = Objects(site.plane.clients, site.scope.account, site.scope.region, model.role)
        self.files = ModelFiles(self.objects, root / "files")
        self._root = root
        self._least = (config.get("RoutingConfig") or {}).get("RoutingStrategy") != "RANDOM"
        self._instances: list[Instance] = []
        self._changed = threading.Condition()
        self._closed = False

    @property
    def serverless(self) -> Mapping[str, Any] | None:
        return self.config.get("ServerlessConfig")

    @property
    def instances(self) -> list[Instance]:
        """Those that serve or will serve again; not those on their way out."""
        with self._changed:
            return list(self._instances)

    @property
    def count(self) -> int:
        return len(self._instances)

    def reconfigure(self, serverless: Mapping[str, Any]) -> None:
        """Change the capacity of a serverless variant; others have none."""
        del serverless

    def grow(self, count: int) -> None:
        """Have at least `count` instances; raises when one does not come up."""
        with self._changed:
            missing = count - len(self._instances)
        if missing <= 0:
            return
        self.files.fetch(self.model)
        with ThreadPoolExecutor(STARTED_AT_ONCE) as pool:
            futures = [pool.submit(self.add_one) for _ in range(missing)]
        for future in futures:
            future.result()

    def add_one(self, outstanding: int = 0) -> Instance:
        """Start one instance and put it into rotation."""
        startup = self.config.get("ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_LIMIT)
        instance = Instance(self.site, self.model, self.files, self._root, startup)
        instance.outstanding = outstanding
        instance.start()
        with self._changed:
            if not self._closed:
                self._instances.append(instance)
                return instance
        instance.stop(0)
        raise NotHealthyError(f"The variant {self.name} was removed while an instance of it started.")

    def close(self, grace: float = GRACE) -> None:
        """End all instances, also those that are still starting."""
        with self._changed:
            self._closed = True
        self.shrink(0, grace)

    def shrink(self, count: int, grace: float = GRACE) -> None:
        """Have at most `count` instances; those that go answer what they have begun."""
        with self._changed:
            # What is already broken goes first.
            self._instances.sort(key=lambda instance: not instance.ready)
            leaving = self._instances[count:]
            del self._instances[count:]
            for instance in leaving:
                instance.leaving = True
        threads = [threading.Thread(target=self.end, args=(instance, grace)) for instance in leaving]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def end(self, instance: Instance, grace: float = GRACE) -> None:
        """Let an instance that takes no more requests answer what it has, then stop it."""
        with self._changed:
            self._changed.wait_for(lambda: instance.outstanding == 0, timeout=grace)
        instance.stop(grace)

    def remove(self, instance: Instance) -> None:
        """Take an instance out of rotation and end it."""
        with self._changed:
            if instance in self._instances:
                self._instances.remove(instance)
            instance.leaving = True
        self.end(instance)

    def acquire(self, wish: Callable[[Instance], bool] | None = None) -> Instance | None:
        """An instance for one request, preferably one that `wish` likes; None when none is ready."""
        with self._changed:
            ready = [instance for instance in self._instances if instance.ready]
            if wish is not None:
                ready = [instance for instance in ready if wish(instance)] or ready
            if not ready:
                return None
            instance = ready[0] if len(ready) == 1 else self._choose(ready)
            instance.outstanding += 1
            return instance

    def acquire_id(self, instance_id: str) -> Instance | None:
        """That very instance, if it still takes requests."""
        with self._changed:
            for instance in self._instances:
                if instance.id == instance_id and instance.ready:
                    instance.outstanding += 1
                    return instance
        return None

    def release(self, instance: Instance) -> None:
        with self._changed:
            instance.outstanding -= 1
            if instance.outstanding == 0:
                self._changed.notify_all()

    def _choose(self, ready: list[Instance]) -> Instance:
        if not self._least:
            return random.choice(ready)  # noqa: S311
        fewest = min(instance.outstanding for instance in ready)
        return random.choice([instance for instance in ready if instance.outstanding == fewest])  # noqa: S311


def _first_count(config: Mapping[str, Any]) -> int:
    if config.get("ServerlessConfig"):
        return 0
    managed = config.get("ManagedInstanceScaling") or {}
    count: int = config.get("InitialInstanceCount") or managed.get("MinInstanceCount") or 1
    return count
