"""One file per form an answer may have; each says its names in MEDIA_TYPES and has `encode`.

A form that can be told piece by piece also has `parts`, for answers too long to hold at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from inference.decoding import media_type
from inference.refusals import RequestError, shown


@dataclass(frozen=True, slots=True)
class Form:
    """The form an answer will have: its media type as a header, what encodes it, and the caller's parameters."""

    header: bytes
    module: ModuleType
    parameters: Mapping[str, str]


@cache
def encoders() -> Mapping[str, ModuleType]:
    """Every media type with the module that encodes it, found by looking at the files beside this one."""
    modules = [import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__)]
    return {name: module for module in modules for name in module.MEDIA_TYPES}


@lru_cache(maxsize=256)
def negotiate(accept: str, content_type: str, default: str) -> Form:
    """The form the caller prefers; with no preference the default, else the request's own form, else JSON."""
    ranges = sorted((_weighed(each) for each in accept.split(",") if each.strip()), key=lambda pair: -pair[0])
    for weight, name, parameters in ranges or [(1.0, "*/*", {})]:
        if weight <= 0:
            continue
        if name in encoders():
            return Form(name.encode(), encoders()[name], parameters)
        for known in (default, media_type(content_type)[0], "application/json"):
            if known in encoders() and (name == "*/*" or known.split("/")[0] + "/*" == name):
                return Form(known.encode(), encoders()[known], parameters)
    raise RequestError(
        f"Accept {shown(accept)} asks for a form that is not given here; accept one of {', '.join(encoders())}",
        status=406,
        code="not_acceptable",
    )


def _weighed(text: str) -> tuple[float, str, Mapping[str, str]]:
    name, parameters = media_type(text)
    try:
        return float(parameters.get("q", "1")), name, parameters
    except ValueError:
        return 1.0, name, parameters
