"""One file per part of the page: TITLE, PLACE in the order, `read` what AWS says, `show` it as HTML; found here."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any, Protocol

from delivery.dashboard.looking import Look


class Part(Protocol):
    """What a file of this folder offers; `read` asks AWS, `show` is pure."""

    TITLE: str
    PLACE: int
    WIDE: bool

    def read(self, look: Look) -> Any: ...

    def show(self, found: Any) -> str: ...


@cache
def parts() -> dict[str, Part]:
    """Every part by name, in the order of the page."""
    found: dict[str, Any] = {
        each.name: importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__)
    }
    return dict(sorted(found.items(), key=lambda each: each[1].PLACE))
