"""Whoever writes Python has the verbs of whoever types."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import typer

from delivery.cli import application
from slipway import VERBS, Platform

# About this machine, before there is an environment to speak of; `launch` is a function of its own.
MACHINE = {"dash", "demo", "doctor", "engine", "launch", "local start", "local stop", "local status", "local reset"}


def typed(group: Any, path: tuple[str, ...] = ()) -> set[str]:
    """Every command, as it is typed after `slipway`."""
    found: set[str] = set()
    for name, each in group.commands.items():
        found |= typed(each, (*path, name)) if hasattr(each, "commands") else {" ".join((*path, name))}
    return found


def test_every_command_is_a_method_too() -> None:
    assert typed(typer.main.get_command(application())) - MACHINE == set(VERBS)


@pytest.mark.parametrize("method", sorted(set(VERBS.values())))
def test_every_verb_is_a_typed_method(method: str) -> None:
    assert inspect.signature(getattr(Platform, method)).return_annotation is not inspect.Signature.empty
