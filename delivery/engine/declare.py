"""From an environment's name to what its program declares: settings, releases, recording."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from delivery.engine.recording import Recording, record
from delivery.engine.schema import outputs_of
from stacks.platform import program
from stacks.settings import KEY, ROOT, Settings, load


@dataclass(frozen=True, slots=True)
class Declared:
    """One environment as its files stand now."""

    settings: Settings
    recording: Recording


def declare(environment: str, root: Path = ROOT, *, preview: bool = False) -> Declared:
    """Check the settings, then run the program against the recording monitor."""
    settings = load(environment, root)
    recording = record(
        lambda: program(root), environment, outputs_of, configuration(environment, root), preview=preview
    )
    return Declared(settings, recording)


def configuration(environment: str, root: Path) -> Mapping[str, str]:
    """The stack's configuration as the real engine would hand it over: text, structures as JSON."""
    document: dict[str, Any] = yaml.safe_load((root / f"Pulumi.{environment}.yaml").read_text())
    plain = {key: value for key, value in document["config"].items() if not is_encrypted(value)}
    plain.setdefault(KEY, {})
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in plain.items()}


def is_encrypted(value: Any) -> bool:
    """A value only the Pulumi engine can open; it has the passphrase, we do not."""
    return isinstance(value, Mapping) and set(value) == {"secure"}
