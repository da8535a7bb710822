"""What can be set on a family: typed, bounded, and read from text without surprises."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from contract.records import nearest

HyperparameterKind = Literal["integer", "number", "boolean", "choice", "text"]
TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")


class HyperparameterError(ValueError):
    """Hyperparameters cannot be used; the text lists every problem with what to do."""


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """One thing that can be set: its kind, its default, and the range that makes sense.

    `search` is the part of the range that tuning looks through; without it tuning leaves the default.
    """

    name: str
    kind: HyperparameterKind
    default: Any
    about: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    search: tuple[float, float] | None = None
    log: bool = False

    @property
    def bounds(self) -> str:
        """What values make sense and which of them tuning looks at, in words."""
        within = f", {self.low:g} to {self.high:g}" if self.kind in ("integer", "number") else ""
        within += f": {', '.join(self.choices)}" if self.choices else ""
        return within + (f"; tuning looks from {self.search[0]:g} to {self.search[1]:g}" if self.search else "")

    def read(self, given: object) -> Any:
        """The value that the given text or value stands for, or an error saying what would have been right."""
        text = str(given).strip().strip('"')
        if self.kind == "boolean":
            return self._read_boolean(text)
        if self.kind == "choice":
            if text not in self.choices:
                raise self._refusal(given, f"one of {', '.join(self.choices)}")
            return text
        if self.kind == "text":
            return text
        return self._read_number(given, text)

    def _read_boolean(self, text: str) -> bool:
        if text.lower() not in TRUE + FALSE:
            raise self._refusal(text, "true or false")
        return text.lower() in TRUE

    def _read_number(self, given: object, text: str) -> float | int:
        what = "a whole number" if self.kind == "integer" else "a number"
        expected = f"{what} from {self.low:g} to {self.high:g}"
        try:
            value = float(text)
        except ValueError:
            raise self._refusal(given, expected) from None
        whole = self.kind != "integer" or value.is_integer()
        if not whole or not self.low <= value <= self.high or not math.isfinite(value):
            raise self._refusal(given, expected)
        return int(value) if self.kind == "integer" else value

    def _refusal(self, given: object, expected: str) -> HyperparameterError:
        return HyperparameterError(f"{self.name} is '{given}', expected {expected} ({self.about})")


def read_all(known: Sequence[Hyperparameter], given: Mapping[str, object]) -> dict[str, Any]:
    """Every known hyperparameter with its given or default value; all mistakes are reported together."""
    named = {each.name: each for each in known}
    values = {name: each.default for name, each in named.items()}
    problems: list[str] = []
    for name, value in given.items():
        if name not in named:
            problems.append(f"unknown hyperparameter '{name}'.{nearest(name, list(named))}")
            continue
        try:
            values[name] = named[name].read(value)
        except HyperparameterError as problem:
            problems.append(str(problem))
    if problems:
        raise HyperparameterError("\n".join([*problems, f"Known: {', '.join(sorted(named))}."]))
    return values
