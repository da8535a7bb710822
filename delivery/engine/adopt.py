"""What an interrupted Pulumi run left: creates whose answer never came, adopted by name or cleared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from delivery.engine import found
from delivery.engine.cloud import Cloud
from delivery.engine.errors import RefusedError
from delivery.engine.schema import snake, terraform_type

Ask = Callable[[str], bool]


class Runs(Protocol):
    """The Pulumi command line on one stack."""

    @property
    def cloud(self) -> Cloud: ...
    def run(self, *arguments: str, shown: bool = False) -> str: ...


def adopt(command: Runs, ask: Ask | None) -> list[str]:
    """Give every interrupted create its id when the thing exists; forget it when it does not."""
    command.run("cancel", "--yes")
    pending = list(interrupted(json.loads(command.run("stack", "export"))))
    there = {urn: id_ for urn, kind, inputs in pending if (id_ := known(command.cloud, kind, inputs)) is not None}
    if (
        pending
        and ask is not None
        and not ask(f"{len(pending)} interrupted creates, {len(there)} of them done. Go on?")
    ):
        raise RefusedError("not agreed; nothing was changed")
    imports = [part for urn, id_ in there.items() for part in ("--import-pending-creates", urn, id_)]
    command.run("refresh", "--yes", "--skip-preview", *imports, "--clear-pending-creates", shown=True)
    lines = [f"adopted: {urn} ({id_})" for urn, id_ in there.items()]
    lines += [f"cleared: {urn}, which was never made" for urn, _, _ in pending if urn not in there]
    return lines or ["nothing to recover: no interrupted operation in the state"]


def interrupted(export: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for each in (export.get("deployment") or {}).get("pending_operations") or ():
        if each["type"] == "creating":
            resource = each["resource"]
            yield resource["urn"], resource["type"], resource.get("inputs") or {}


def known(cloud: Cloud, kind: str, inputs: Mapping[str, Any]) -> str | None:
    finder = found.FINDERS.get(terraform_type(kind))
    return finder(cloud, {snake(key): value for key, value in inputs.items()}) if finder else None
