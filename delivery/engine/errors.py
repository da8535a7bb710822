"""What can go wrong with an engine, each telling what to do."""

from __future__ import annotations


class EngineError(Exception):
    """An engine could not do what was asked; the text says what happened and what to do next."""


class NoEngineError(EngineError):
    """Neither engine is on this machine."""


class LockedError(EngineError):
    """Another run holds the environment's state."""


class RefusedError(EngineError):
    """Asked for something the environment's own settings forbid."""
