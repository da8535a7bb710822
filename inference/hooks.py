"""A team's own steps around a prediction, named by import path `package.module:function`.

    before(call: Call) -> Call                                        may rewrite the body and its content type
    after(call: Call, predictions: Predictions) -> Predictions        may change what is told

A hook that raises `inference.refusals.RequestError` refuses the request; anything else it raises is answered as our
fault.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from inference.predictions import Predictions


class HookError(Exception):
    """A hook cannot be found; the text says which part of its import path is wrong."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request for predictions, as hooks see it."""

    body: bytes
    content_type: str
    accept: str
    inference_id: str | None = None
    custom_attributes: str | None = None


Before = Callable[[Call], Call]
After = Callable[[Call, Predictions], Predictions]


def load(path: str) -> Any:
    """The function an import path names, or None for an empty path."""
    if not path:
        return None
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as problem:
        raise HookError(
            f"the hook '{path}' cannot be imported: {problem}; its module must be on PYTHONPATH in the image"
        ) from problem
    function = getattr(module, name, None)
    if not callable(function):
        raise HookError(f"the hook '{path}': module '{module_name}' has no function named '{name}'")
    return function
