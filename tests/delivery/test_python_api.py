"""Whoever writes Python has the verbs of whoever types."""

from __future__ import annotations

import inspect

import pytest

from delivery.cli.reference import every_command
from slipway import VERBS, Platform

# About this machine, before there is an environment to speak of; `launch` is a function of its own.
MACHINE = {"dash", "demo", "doctor", "engine", "launch", "local start", "local stop", "local status", "local reset"}


def test_every_command_is_a_method_too() -> None:
    assert set(every_command()) - MACHINE == set(VERBS)


@pytest.mark.parametrize("method", sorted(set(VERBS.values())))
def test_every_verb_is_a_typed_method(method: str) -> None:
    assert inspect.signature(getattr(Platform, method)).return_annotation is not inspect.Signature.empty
