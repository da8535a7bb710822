"""The history of a model and of its data, as the ledger, the registry and the store have it together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from contract import places
from delivery.data import Changes, DataStore, Kept, changes
from delivery.dossier import Artifact, Stored
from delivery.environment import Environment
from delivery.ledger import Event
from delivery.registry import Version


class HistoryError(Exception):
    """A version cannot be brought back; the text says what was found and what to do."""


@dataclass(frozen=True, slots=True)
class Past:
    """One version of a model and what was decided about it, newest decision first."""

    version: int
    approval: str
    registered: datetime
    family: str
    data_hash: str
    artifact_hash: str
    tags: tuple[str, ...]
    decisions: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class DataPast:
    """One version of the data, what it changed, and the decisions that started from it."""

    kept: Kept
    changed: Changes | None
    used_by: tuple[Event, ...]


def log(versions: Sequence[Version], events: Sequence[Event]) -> list[Past]:
    """The versions of a model, newest first, each with the decisions that name it."""
    return [
        Past(
            version=each.version,
            approval=each.approval,
            registered=each.created,
            family=each.metadata.get("family", ""),
            data_hash=each.metadata.get("data_hash", ""),
            artifact_hash=each.metadata.get("artifact_hash", ""),
            tags=each.tags,
            decisions=tuple(concerning(each, events)),
        )
        for each in versions
    ]


def concerning(version: Version, events: Sequence[Event]) -> list[Event]:
    """The decisions about a version: those that name its package, or its evidence."""
    named = {version.arn, *filter(None, [version.metadata.get("evidence")])}
    return [
        each
        for each in reversed(events)
        if named & {str(value) for value in (*each.decision.inputs.values(), *each.decision.outputs.values())}
    ]


def data_log(store: DataStore, events: Sequence[Event]) -> list[DataPast]:
    """The versions of a model's data, newest first: what each changed, and what was made from it."""
    known = store.history()
    found = []
    for at, (kept, version) in enumerate(known):
        before = known[at + 1][1] if at + 1 < len(known) else None
        used = [each for each in reversed(events) if is_from(each, kept.hash)]
        found.append(DataPast(kept, changes(before, version) if before else None, tuple(used)))
    return found


def is_from(event: Event, data_hash: str) -> bool:
    return data_hash in str(event.decision.inputs.get("data", ""))


def checkout(environment: Environment, version: Version, folder: Path, progress: Callable[[int], None]) -> Artifact:
    """Bring a version's artifact back as it was registered; what its evidence does not vouch for is refused."""
    content = Stored(environment.s3).read(version.artifact)
    progress(len(content))
    artifact = Artifact(content, version.artifact)
    known = version.metadata.get("artifact_hash")
    if known is not None and known != artifact.hash:
        raise HistoryError(
            f"{version.artifact} was changed: it hashes to {artifact.hash}, the registry says {known}. Do not use it."
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / places.ARTIFACT).write_bytes(content)
    return artifact
