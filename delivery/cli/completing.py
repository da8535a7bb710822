"""What a shell completes besides commands and options: environments and models, from settings' files alone.

No cloud is asked, and settings that are wrong complete as far as they can be read: the command itself says what is
wrong with them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

ROOT = "SLIPWAY_ROOT"
ASKED_FOR = ("env", "given", "target")  # where a command line names its environment


def root() -> Path:
    """The checkout that a command works on: the one that is named, else the one it stands in."""
    from stacks.settings import ROOT as OURS

    return Path(os.environ[ROOT]).resolve() if os.environ.get(ROOT) else OURS


def environment_names(incomplete: str) -> list[str]:
    """The environments that begin so."""
    from stacks.settings import environments

    return [each for each in environments(root()) if each.startswith(incomplete)]


def model_names(context: typer.Context, incomplete: str) -> list[str]:
    """The models that begin so, of the environment that the command line names so far."""
    given: Mapping[str, Any] = context.params
    named = next((given[name] for name in ASKED_FOR if given.get(name)), "local")
    return [each for each in models_of(str(named), root()) if each.startswith(incomplete)]


def models_of(environment: str, root: Path) -> list[str]:
    """The models in an environment's file, as they stand; none when it cannot be read."""
    from stacks.settings import KEY, SettingsError, read

    try:
        found: Any = read(root / f"Pulumi.{environment}.yaml")
        return sorted(map(str, found["config"][KEY]["models"]))
    except (SettingsError, OSError, ValueError, KeyError, TypeError):
        return []
