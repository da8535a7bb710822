"""After a run was killed: find what is made but not in the state, or in the state but gone, and say what was done.

What exists under a name we declare is adopted into the state. What exists under a name of ours that nothing declares,
knows or uses is removed. What the state holds and the cloud does not is made again by the next `up`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from delivery.engine import found
from delivery.engine.cloud import Cloud
from delivery.engine.engine import Environment, opened
from delivery.engine.errors import LockedError, RefusedError
from delivery.engine.events import Drifted, Event
from delivery.engine.lock import alone
from delivery.engine.machine import Workplace
from delivery.engine.terraform import Plan, Terraform, nobody
from stacks.settings import load

Ask = Callable[[str], bool]
ADOPT = "adopt.tf.json"


def recover(environment: str, root: Path, ask: Ask | None = None) -> list[str]:
    """Make cloud and state agree again; what was found and done, a line each."""
    load(environment, root)  # a name that is none leaves no folder behind
    workplace = Workplace(root, environment)
    with alone(workplace, f"recover {environment}"):
        lines = list(mend_state(workplace, ask))
        here = opened(environment, root)
        seen: list[Event] = []
        plan = unlocked(here.terraform, seen.append, ask)
        gone = [each for each in seen if isinstance(each, Drifted) and each.verb == "delete"]
        lines += [f"gone: {each.address}; the next `slipway up` makes it again" for each in gone]
        lines += adopt(here, plan, ask)
        lines += clear(here, ask)
    return lines or ["nothing to recover: cloud and state agree"]


def agreed(ask: Ask | None, question: str) -> None:
    if ask is not None and not ask(question):
        raise RefusedError("not agreed; nothing more was done")


# State that cannot be read or is locked ----------------------------------------------------------------


def mend_state(workplace: Workplace, ask: Ask | None) -> Iterator[str]:
    """A torn state file goes aside; the copy Terraform keeps beside it takes its place.

    A kill during the very first write leaves no copy. Then there is no state, and all that has a known name is adopted.
    """
    if not workplace.state.exists() or readable(workplace.state):
        return
    backup = workplace.state.with_suffix(".tfstate.backup")
    damaged = workplace.state.with_suffix(".damaged")
    has_copy = backup.exists() and readable(backup)
    remedy = "Put its copy back?" if has_copy else "It has no copy. Adopt everything with a known name?"
    agreed(ask, f"{workplace.state.name} is damaged. {remedy}")
    workplace.state.replace(damaged)
    if has_copy:
        backup.replace(workplace.state)
        yield f"the state was damaged: its copy was put back, the damaged one kept as {damaged.name}"
    else:
        yield f"the state was damaged and had no copy: begun anew, the damaged one kept as {damaged.name}"


def readable(path: Path) -> bool:
    """Whether Terraform can read it; an empty file is what it makes before it writes for the first time."""
    try:
        text = path.read_text()
        return not text or isinstance(json.loads(text), dict)
    except (ValueError, OSError):
        return False


def unlocked(terraform: Terraform, listen: Callable[[Event], None], ask: Ask | None) -> Plan:
    """Plan; a lock left by a run that is gone is opened after asking."""
    try:
        return terraform.plan(listen)
    except LockedError as problem:
        lock = re.search(r"ID:\s+(\S+)", str(problem))
        if lock is None or ask is None:
            raise
        agreed(ask, f"{problem}\nIs that run surely gone? Opening its lock while it works damages the state.")
        terraform.run(["force-unlock", "-force", lock[1]])
        return terraform.plan(listen)


# Made, but not in the state ------------------------------------------------------------------------------


def adopt(here: Environment, plan: Plan, ask: Ask | None) -> list[str]:
    """Import what the plan would create although it is there.

    What hangs on an adopted thing is known by its id, so after each round is looked once more.
    """
    lines: list[str] = []
    while there := dict(already_there(here, plan)):
        listing = "\n".join(f"  {address} is {id_}" for address, id_ in there.items())
        agreed(ask, f"Made, but not in the state:\n{listing}\nAdopt them?")
        take_in(here, there)
        lines += [f"adopted: {address} ({id_})" for address, id_ in there.items()]
        plan = here.terraform.plan()
    return lines


def take_in(here: Environment, there: Mapping[str, str]) -> None:
    file = here.workplace.terraform / ADOPT
    file.write_text(json.dumps({"import": [{"to": address, "id": id_} for address, id_ in there.items()]}))
    try:
        here.terraform.plan(nobody, *(f"-target={address}" for address in there))
        here.terraform.apply()
    finally:
        file.unlink(missing_ok=True)


def already_there(here: Environment, plan: Plan) -> Iterator[tuple[str, str]]:
    wanted = {each.address for each in plan.changes if each.verb == "create"}
    if not wanted:
        return
    for change in here.terraform.plan_document()["resource_changes"]:
        finder = found.FINDERS.get(change["type"])
        if change["address"] in wanted and finder is not None:
            id_ = finder(cloud_of(here, change["type"], change["name"]), change["change"]["after"])
            if id_ is not None:
                yield change["address"], id_


def cloud_of(here: Environment, kind: str, name: str) -> Cloud:
    """Where a resource is declared: a copy stands in another region, under a provider of its own."""
    document = here.synthesis.document
    alias = document["resource"][kind][name].get("provider", "").partition(".")[2]
    region = next((each["region"] for each in document["provider"]["aws"] if each.get("alias", "") == alias), None)
    return replace(here.cloud, region=region or here.cloud.region)


# Ours, and nobody's ------------------------------------------------------------------------------------


def clear(here: Environment, ask: Ask | None) -> list[str]:
    """Remove models and configurations that nothing declares, knows or uses."""
    prefix = f"{here.settings.names.of()}-"
    known = names_in(here.terraform.state()) | names_declared(here.synthesis.document)
    left = list(found.strays(here.cloud, prefix, known))
    if not left:
        return []
    agreed(ask, "Left over and used by nothing:\n" + "\n".join(f"  {kind} {name}" for kind, name in left) + "\nRemove?")
    for kind, name in left:
        found.remove(here.cloud, kind, name)
    return [f"removed: {kind} {name}, which nothing declares or uses" for kind, name in left]


def names_in(state: Mapping[str, Any]) -> set[str]:
    return {
        str(instance["attributes"].get("name")) for each in state.get("resources", ()) for instance in each["instances"]
    }


def names_declared(document: Mapping[str, Any]) -> set[str]:
    return {str(each.get("name")) for kind in document["resource"].values() for each in kind.values()}
