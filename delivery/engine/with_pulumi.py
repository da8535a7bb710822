"""The five verbs under the Pulumi CLI, which shows its own progress and keeps its own state.

Where nobody logged in, state is kept beside the work and its secrets under a passphrase made for this checkout; a team
logs in to a bucket or to Pulumi Cloud instead (`pulumi login`).
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from contract.platform import OUTPUT, PlatformOutputs
from delivery.engine import cost, machine
from delivery.engine.cloud import Cloud, process_environment, reach
from delivery.engine.convert import synthesise
from delivery.engine.declare import declare
from delivery.engine.engine import (
    Brought,
    Preview,
    leave,
    left_behind,
    over_budget,
    refuse_kept,
    refuse_lost_state,
    refuse_protected,
)
from delivery.engine.errors import EngineError, NoEngineError, RefusedError
from delivery.engine.events import Planned
from delivery.engine.lock import alone
from delivery.engine.machine import Workplace
from delivery.engine.removal import clear, look, make_way, removal_question
from delivery.engine.terraform import Plan
from stacks.forms import declared_configurations
from stacks.settings import Settings, load

Ask = Callable[[str], bool]
BACKEND, PASSPHRASE = "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE"
VERBS = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "replace": "replace",
    "create-replacement": "replace",
}


@dataclass(frozen=True, slots=True)
class Command:
    """The CLI on one stack."""

    workplace: Workplace
    cloud: Cloud
    binary: str

    @classmethod
    def of(cls, environment: str, root: Path, settings: Settings) -> Command:
        binary = machine.pulumi()
        if binary is None:
            raise NoEngineError("pulumi is not on PATH")
        return cls(Workplace(root, environment), reach(settings, root), binary)

    @property
    def variables(self) -> dict[str, str]:
        given = process_environment(self.cloud) | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
        if not kept_elsewhere(given):
            folder = self.workplace.folder / "pulumi"
            folder.mkdir(parents=True, exist_ok=True)
            given[BACKEND] = f"file://{folder}"
        if (
            not given.get(PASSPHRASE)
            and f"{PASSPHRASE}_FILE" not in given
            and given.get(BACKEND, "").startswith("file:")
        ):
            given[PASSPHRASE] = passphrase(self.workplace.folder / "passphrase")
        return given

    def run(self, *arguments: str, shown: bool = False) -> str:
        """Run one command; its output is returned, or shown as it comes."""
        full = [self.binary, *arguments, "--non-interactive", "--stack", self.workplace.environment]
        result = subprocess.run(
            full,
            cwd=self.workplace.root,
            env=self.variables,
            text=True,
            check=False,
            stdout=None if shown else subprocess.PIPE,
        )
        if result.returncode != 0:
            raise EngineError(
                f"pulumi {arguments[0]} failed (exit {result.returncode}); what it said is above. "
                f"If a run was interrupted: `slipway recover {self.workplace.environment}`."
            )
        return result.stdout or ""

    def stack(self) -> None:
        """Make the stack unless it is there."""
        arguments = [self.binary, "stack", "select", "--create", self.workplace.environment, "--non-interactive"]
        done = subprocess.run(
            arguments, cwd=self.workplace.root, env=self.variables, check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise EngineError(f"pulumi stack select failed:\n{done.stderr.strip()}")


def kept_elsewhere(variables: Mapping[str, str]) -> bool:
    """Whether state outlives this machine: in a backend that was named, or where somebody logged in."""
    return bool(variables.get(BACKEND)) or logged_in()


def logged_in() -> bool:
    return (Path(os.environ.get("PULUMI_HOME", str(Path.home() / ".pulumi"))) / "credentials.json").exists()


def passphrase(path: Path) -> str:
    """A passphrase of this checkout alone: it guards local state, which stands beside it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24))
    return path.read_text()


class WithPulumi:
    """Pulumi, as itself."""

    name = "pulumi"

    def up(self, environment: str, root: Path, console: Console, ask: Ask | None = None) -> Brought:
        settings = load(environment, root)
        with alone(Workplace(root, environment), f"up {environment}"):
            refuse_lost_state(settings, kept=kept_elsewhere(os.environ), remedy=f"set {BACKEND}")
            command, ahead = self._look_ahead(environment, root)
            if ahead.over_budget:
                raise RefusedError(f"over budget: {ahead.over_budget}. Nothing was changed.")
            console.print(ahead.text, highlight=False)
            console.print(f"cost: {ahead.cost.text}", highlight=False)
            if not ahead.plan.is_empty:
                if ask is not None and not ask(f"Make these {len(ahead.plan.changes)} changes to '{environment}'?"):
                    raise RefusedError("not agreed; nothing was changed")
                command.run("up", "--refresh", "--yes", "--skip-preview", shown=True)
            else:
                command.run("refresh", "--yes", "--skip-preview", shown=True)  # as after a rollback without any engine
            found = self._outputs(command)
            declared = declared_configurations(settings, root)
            return Brought(ahead.plan, found, tuple(left_behind(command.cloud, found, declared)))

    def preview(self, environment: str, root: Path, console: Console) -> Preview:
        del console
        load(environment, root)  # a name that is none leaves no folder behind
        with alone(Workplace(root, environment), f"preview {environment}"):
            return self._look_ahead(environment, root)[1]

    def down(self, environment: str, root: Path, console: Console, ask: Ask | None = None) -> None:
        settings = load(environment, root)
        refuse_protected(settings)
        workplace = Workplace(root, environment)
        with alone(workplace, f"down {environment}"):
            command = Command.of(environment, root, settings)
            command.stack()
            known = held(json.loads(command.run("stack", "export")))
            holding = look(command.cloud, known)
            refuse_kept(holding)
            for line in [*sorted(f"  - {kind} {called(values)}" for kind, values in known), *holding.lines]:
                console.print(line, highlight=False)
            if known and ask is not None and not ask(removal_question(environment, len(known), holding)):
                raise RefusedError("not agreed; nothing was removed")
            make_way(command.cloud, holding)
            command.run("destroy", "--yes", "--skip-preview", shown=True)
            clear(command.cloud, f"{settings.names.of()}-")
            command.run("stack", "rm", "--yes", "--preserve-config")
        leave(settings, workplace)

    def outputs(self, environment: str, root: Path) -> PlatformOutputs:
        return self._outputs(Command.of(environment, root, load(environment, root)))

    def recover(self, environment: str, root: Path, console: Console, ask: Ask | None = None) -> Sequence[str]:
        """Adopt interrupted creates by their known names, clear the rest, then refresh."""
        from delivery.engine.adopt import adopt

        del console
        settings = load(environment, root)
        with alone(Workplace(root, environment), f"recover {environment}"):
            command = Command.of(environment, root, settings)
            command.stack()
            return adopt(command, ask)

    def _look_ahead(self, environment: str, root: Path) -> tuple[Command, Preview]:
        declared = declare(environment, root)
        command = Command.of(environment, root, declared.settings)
        command.stack()
        document = json.loads(command.run("preview", "--refresh", "--json"))
        after = cost.monthly(
            cost.declared(synthesise(declared.recording, partial=True).document), declared.settings.region
        )
        before = cost.monthly(held(json.loads(command.run("stack", "export"))), declared.settings.region)
        plan = planned(document)
        text = "\n".join(f"  {each.verb} {each.address}" for each in plan.changes)
        return command, Preview(plan, cost.Change(before, after), text, over_budget(declared.settings, after))

    def _outputs(self, command: Command) -> PlatformOutputs:
        found = json.loads(command.run("stack", "output", "--json", "--show-secrets"))
        if OUTPUT not in found:
            raise EngineError(f"environment '{command.workplace.environment}' has no outputs yet: bring it up first")
        return PlatformOutputs.from_json(found[OUTPUT])


def planned(document: Mapping[str, Any]) -> Plan:
    """The steps of `pulumi preview --json` that change something."""
    steps = [each for each in document.get("steps", ()) if each["op"] in VERBS]
    return Plan(tuple(Planned(each["urn"].rpartition("::")[2], VERBS[each["op"]]) for each in steps))


def held(export: Mapping[str, Any]) -> list[cost.Resource]:
    """What the state holds, in the spelling the cost rules read."""
    from delivery.engine.schema import SchemaError, snake, terraform_type

    found: list[cost.Resource] = []
    for each in (export.get("deployment") or {}).get("resources") or ():
        try:
            kind = terraform_type(each["type"])
        except (SchemaError, ValueError):
            continue
        found.append((kind, spelled(each.get("inputs") or {}, snake)))
    return found


def called(values: Mapping[str, Any]) -> str:
    """The name a resource goes by in AWS, when it has one."""
    return next((str(each) for key, each in values.items() if key == "bucket" or key.endswith("name")), "")


def spelled(value: Any, spell: Callable[[str], str]) -> Any:
    match value:
        case dict():
            return {spell(key): spelled(each, spell) for key, each in value.items()}
        case list():
            return [spelled(each, spell) for each in value]
        case _:
            return value
