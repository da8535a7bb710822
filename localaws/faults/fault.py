"""A fault as it is asked for: which calls it strikes, what it does to them, and how often."""

import fnmatch
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

EFFECTS = ("fail", "throttle", "delay", "drop")


class FaultError(Exception):
    """The fault that was asked for cannot be one."""


@dataclass
class Fault:
    """One fault; `struck` counts how often it hit."""

    effect: str
    operation: str = "*"  # a pattern of names, such as Describe*
    service: str = "*"  # as botocore calls it, or as requests are signed for it
    where: Mapping[str, str] = field(default_factory=dict)  # parameters the call must have, by pattern
    times: int | None = None  # how often; None is for ever
    after: int = 0  # how many calls are let through first
    share: float = 1.0  # of the calls, by a generator of its own
    seed: int = 0
    seconds: float = 0.0  # of a delay, on the clock
    code: str = "InternalFailure"
    status: int = 500
    message: str = "An injected fault."
    id: str = ""
    struck: int = 0

    def __post_init__(self) -> None:
        if self.effect not in EFFECTS:
            raise FaultError(f"a fault's effect is one of {', '.join(EFFECTS)}, got {self.effect!r}")
        if self.effect == "delay" and self.seconds <= 0:
            raise FaultError(f"a delay needs seconds above 0, got {self.seconds}")
        if not 0 < self.share <= 1:
            raise FaultError(f"share must be above 0 and at most 1, got {self.share}")
        self._random = random.Random(self.seed)  # noqa: S311  the same calls are struck again in the same order
        self._lock = threading.Lock()

    def concerns(self, service: str, signed: str, operation: str) -> bool:
        named = fnmatch.fnmatchcase(service, self.service) or fnmatch.fnmatchcase(signed, self.service)
        return named and fnmatch.fnmatchcase(operation, self.operation)

    def fits(self, params: Mapping[str, Any]) -> bool:
        return all(fnmatch.fnmatchcase(str(params.get(name, "")), wanted) for name, wanted in self.where.items())

    def strikes(self) -> bool:
        """Whether this call is hit; each call counts."""
        with self._lock:
            if self.times is not None and self.struck >= self.times:
                return False
            if self.after > 0:
                self.after -= 1
                return False
            if self.share < 1 and self._random.random() >= self.share:
                return False
            self.struck += 1
            return True

    def shown(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


def fault(given: Mapping[str, Any]) -> Fault:
    """A fault out of JSON; an unknown member is an error that names the known ones."""
    known = {each.name for each in fields(Fault)} - {"id", "struck"}
    unknown = sorted(given.keys() - known)
    if unknown:
        raise FaultError(f"a fault has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    if "effect" not in given:
        raise FaultError(f"a fault needs an effect: one of {', '.join(EFFECTS)}")
    try:
        return Fault(**given)
    except TypeError as error:
        raise FaultError(f"the fault cannot be read: {error}") from error
