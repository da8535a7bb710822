"""The variants of one endpoint configuration on one endpoint: what a deployment brings up, shifts to and takes down."""

from __future__ import annotations

import itertools
import math
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from localaws import kinds, resources
from localaws.endpoints.capture import rules_from
from localaws.endpoints.instance import GRACE, Site
from localaws.endpoints.model import read_model
from localaws.endpoints.routing import Lane
from localaws.endpoints.serverless import ServerlessVariant
from localaws.endpoints.variant import Variant
from localaws.errors import ValidationException
from localaws.plane import Plane
from localaws.store import Body, Scope

_numbers = itertools.count(1)


class Fleet:
    """One side of an endpoint."""

    def __init__(self, plane: Plane, scope: Scope, endpoint: str, config: Body, root: Path) -> None:
        self.config = config
        self.config_name: str = config["EndpointConfigName"]
        self.number = next(_numbers)
        self.share = 0.0
        self.capture = rules_from(config.get("DataCaptureConfig"))
        self._plane, self._scope, self._endpoint = plane, scope, endpoint
        self._root = root / f"fleet-{self.number}"
        self.variants = {given["VariantName"]: self._variant(given) for given in config["ProductionVariants"]}
        self.shadows = [self._variant(given) for given in config.get("ShadowProductionVariants", ())]

    @classmethod
    def of(cls, plane: Plane, scope: Scope, endpoint: str, config_name: str) -> Fleet:
        config = resources.find(kinds.ENDPOINT_CONFIG, scope, config_name).body
        root = plane.settings.work / "endpoint" / scope.account / scope.region / endpoint
        return cls(plane, scope, endpoint, config, root)

    def _variant(self, given: Mapping[str, Any]) -> Variant:
        name = given["VariantName"]
        if "ModelName" not in given:
            raise ValidationException(
                f"Variant {name} has no ModelName: the embedded AWS does not run inference components. "
                "Give the variant a model."
            )
        site = Site(self._plane, self._scope, self._endpoint, self.config_name, name)
        model = read_model(self._scope, given["ModelName"])
        kind = ServerlessVariant if given.get("ServerlessConfig") else Variant
        return kind(site, given, model, self._root / name)

    @property
    def everyone(self) -> list[Variant]:
        return [*self.variants.values(), *self.shadows]

    @property
    def total(self) -> int:
        """How many instances it wants."""
        return sum(variant.wanted for variant in self.variants.values())

    def retain(self, live: Fleet, excluded: Iterable[str]) -> None:
        """Take over weights, counts and capture from the fleet that serves now, for variants of the same name."""
        left_out = set(excluded)
        for name, variant in self.variants.items():
            old = live.variants.get(name)
            if old is None:
                continue
            if "DesiredWeight" not in left_out:
                variant.weight = old.weight
            if "DesiredInstanceCount" not in left_out and not variant.serverless:
                variant.wanted = old.wanted
        if "DataCaptureConfig" not in left_out:
            self.use_capture(live.config.get("DataCaptureConfig"))

    def use_capture(self, config: Mapping[str, Any] | None) -> None:
        """Capture by another configuration than the fleet's own."""
        self.capture = rules_from(config)
        self.config = {**self.config, "DataCaptureConfig": config}

    def lanes(self) -> list[Lane[Variant]]:
        return [Lane(name, variant, self.number, self.share, variant.weight) for name, variant in self.variants.items()]

    def grow(self, fraction: float) -> None:
        """Have at least this fraction of every variant's instances."""
        if fraction > 0:
            _together([partial(variant.grow, _part(fraction, variant.wanted)) for variant in self.everyone])

    def shrink(self, fraction: float, grace: float = GRACE) -> None:
        """Have at most this fraction."""
        instances = [variant for variant in self.everyone if not variant.serverless or fraction == 0]
        _together([partial(variant.shrink, _part(fraction, variant.wanted), grace) for variant in instances])

    def end(self, grace: float = GRACE) -> None:
        _together([partial(variant.close, grace) for variant in self.everyone])
        shutil.rmtree(self._root, ignore_errors=True)


def _part(fraction: float, wanted: int) -> int:
    return math.ceil(fraction * wanted - 1e-6)


def _together(work: list[Callable[[], None]]) -> None:
    """Do all at the same time; the first failure is raised once all are through."""
    failures: list[BaseException] = []

    def run(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001  handed to the caller below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
