"""The Terraform engine: the real binary and the real provider over the document we synthesise.

Planning, applying, state and its locks are Terraform's own; here is only how it is called and how its words are read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from delivery.engine import events, machine
from delivery.engine.cloud import Cloud, process_environment
from delivery.engine.convert import Synthesis
from delivery.engine.errors import EngineError, LockedError, NoEngineError
from delivery.engine.events import Diagnosed, Drifted, Event, Planned
from delivery.engine.machine import CLI_CONFIG, Workplace

PARALLEL = 24
LOCK_WAIT = "10s"
SELDOM = "400"  # both collect garbage in a quarter of their short lives otherwise; a fifth more memory instead
NO_CHANGES, CHANGES = 0, 2
GONE = ("delete", "remove")
LOCK = ".terraform.lock.hcl"
HASHES = re.compile(r"\n *hashes = \[.*?\]", re.DOTALL)

Listener = Callable[[Event], None]


def nobody(_: Event) -> None:
    """A listener that does not mind."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an apply would do, and what the cloud says otherwise than the state remembers."""

    changes: tuple[Planned, ...]
    outputs_change: bool = False
    drifted: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.changes and not self.outputs_change

    def count(self, *verbs: str) -> int:
        return sum(each.verb in verbs for each in self.changes)

    @property
    def to_read_back(self) -> tuple[str, ...]:
        """What the state may remember otherwise than a reading says, once this is applied."""
        made = (each.address for each in self.changes if each.verb not in GONE)
        return tuple(dict.fromkeys((*made, *self.drifted)))


@dataclass(frozen=True, slots=True)
class Terraform:
    """One environment's working folder under Terraform."""

    workplace: Workplace
    cloud: Cloud
    binary: str
    secrets: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, workplace: Workplace, cloud: Cloud, synthesis: Synthesis) -> Terraform:
        """Ready to plan: the document written, the provider linked."""
        binary = machine.terraform()
        if binary is None:
            raise NoEngineError("terraform is not on PATH")
        engine = cls(workplace, cloud, binary, synthesis.secrets)
        write(workplace.document, synthesis.document)
        engine.initialise(synthesis.document["terraform"])
        return engine

    # What it is asked

    def plan(self, listen: Listener = nobody, *extra: str) -> Plan:
        """Compare what is declared with what is there; keep the plan for `apply`."""
        arguments = ["plan", f"-out={self.workplace.plan}", "-json", "-detailed-exitcode", *self.common, *extra]
        seen, code = self.stream(arguments, listen)
        if code not in (NO_CHANGES, CHANGES):
            raise failure("planning", seen)
        changes = tuple(each for each in seen if isinstance(each, Planned))
        drifted = tuple(each.address for each in seen if isinstance(each, Drifted))
        return Plan(changes, outputs_change=code == CHANGES, drifted=drifted)

    def apply(self, listen: Listener = nobody) -> None:
        """Make the changes of the last plan."""
        seen, code = self.stream(["apply", "-json", *self.common, str(self.workplace.plan)], listen)
        self.workplace.plan.unlink(missing_ok=True)
        if code != 0:
            raise failure("applying", seen)

    def read_back(self, addresses: Sequence[str]) -> None:
        """Take into the state what the cloud says; an apply remembers what was asked, where AWS adds empty values."""
        targets = [f"-target={each}" for each in addresses]
        seen, code = self.stream(["apply", "-refresh-only", "-auto-approve", "-json", *self.common, *targets], nobody)
        if code != 0:
            raise failure("reading back what is there", seen)

    def plan_removal(self) -> Plan:
        """What removing everything in the state would remove; keep it for `apply`."""
        return self.plan(nobody, "-destroy")

    def show_plan(self) -> str:
        """The last plan as Terraform itself prints it."""
        return self.run(["show", "-no-color", str(self.workplace.plan)])

    def plan_document(self) -> dict[str, Any]:
        return json.loads(self.run(["show", "-json", str(self.workplace.plan)]))

    def validate(self) -> None:
        answer = json.loads(self.run(["validate", "-json"], allowed=(0, 1)))
        if not answer["valid"]:
            lines = [f"{each['summary']}: {each.get('detail', '')}" for each in answer["diagnostics"]]
            raise EngineError("the provider refuses the synthesised document:\n" + "\n".join(lines))

    def outputs(self) -> dict[str, Any]:
        return {name: each["value"] for name, each in self.state().get("outputs", {}).items()}

    def state(self) -> dict[str, Any]:
        """The whole state as Terraform keeps it; empty when nothing was brought up."""
        text = self.kept_here() if self.keeps_here else self.run(["state", "pull"])
        try:
            return json.loads(text) if text.strip() else {}
        except ValueError:
            raise EngineError(f"the state {self.workplace.state} is damaged: `slipway recover` mends it.") from None

    @property
    def keeps_here(self) -> bool:
        """Whether the state is a file beside the work, which is read without starting Terraform."""
        return "local" in json.loads(self.workplace.document.read_text())["terraform"]["backend"]

    def kept_here(self) -> str:
        return self.workplace.state.read_text() if self.workplace.state.exists() else ""

    def forget(self, addresses: Sequence[str]) -> None:
        """Drop resources from the state without touching the cloud."""
        if addresses:
            self.run(["state", "rm", *addresses])

    # How it is called

    @property
    def common(self) -> list[str]:
        return [f"-parallelism={PARALLEL}", f"-lock-timeout={LOCK_WAIT}", "-input=false"]

    @property
    def variables(self) -> dict[str, str]:
        """Where it stands, what it may reach, and the secrets, which are never in a file."""
        folder = self.workplace.terraform
        config = machine.cli_config(folder)
        return {
            **process_environment(self.cloud),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "CHECKPOINT_DISABLE": "1",
            "GOGC": os.environ.get("GOGC", SELDOM),
            **({CLI_CONFIG: str(config)} if config else {}),
            **{f"TF_VAR_{name}": value for name, value in self.secrets.items()},
        }

    def initialise(self, settings: Mapping[str, Any]) -> None:
        """Link the provider and the backend, once per change of either."""
        folder = self.workplace.terraform
        stamp = folder / ".initialised"
        wanted = hashlib.sha256(json.dumps([settings, str(machine.mirror())], sort_keys=True).encode()).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted and (folder / ".terraform").exists():
            return
        try:
            self.run(["init", "-reconfigure", "-input=false", "-no-color"])
        except EngineError as problem:
            raise EngineError(
                f"{problem}\nTerraform needs the AWS provider {settings['required_providers']['aws']['version']}: from "
                f"its registry, or from a folder laid out as a mirror, named by {machine.MIRROR}."
            ) from None
        if self.cloud.url is not None:
            unsealed(folder / LOCK)
        stamp.write_text(wanted)

    def start(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.binary, f"-chdir={self.workplace.terraform}", *arguments],
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, arguments: Sequence[str], allowed: Sequence[int] = (0,)) -> str:
        with self.start(arguments) as process:
            out, _ = process.communicate()
        if process.returncode not in allowed:
            raise EngineError(f"terraform {arguments[0]} failed (exit {process.returncode}):\n{out.strip()}")
        return out

    def stream(self, arguments: Sequence[str], listen: Listener) -> tuple[list[Event], int]:
        """Run, telling each event as it comes; an interrupt is passed on and waited for, so that state is saved."""
        seen: list[Event] = []
        with self.start(arguments) as process:
            try:
                for event in events.read(lines(process)):
                    seen.append(event)
                    listen(event)
            except KeyboardInterrupt:
                sys.stderr.write("\nstopping: what is under way finishes first, so that nothing is lost\n")
                process.wait()
                raise
        return seen, process.returncode


def unsealed(lock: Path) -> None:
    """Forget the provider's hash: every command would read its 600 MB again to compare, half a second each time.

    Only for a cloud on this machine, where no account can be harmed; `init` compared it when it linked it.
    """
    lock.write_text(HASHES.sub("", lock.read_text()))


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    if process.stdout is not None:
        yield from process.stdout


def write(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document, indent=1, sort_keys=True))
    part.replace(path)


def failure(doing: str, seen: Sequence[Event]) -> EngineError:
    """What Terraform's diagnostics mean for the person who asked."""
    errors = [each for each in seen if isinstance(each, Diagnosed) and each.severity == "error"]
    text = "\n".join(each.text for each in errors) or "terraform ended without saying why"
    if "state lock" in text:
        return LockedError(f"another run holds the state.\n{text}\nNothing was changed. Wait for it, then try again.")
    hint = "Run the command again: what was done stays done."
    if "already exist" in text.lower():
        hint = (
            "It was made before but is not in the state, as an interrupted run leaves it: `slipway recover` adopts it."
        )
    if "'RollingBack'" in text:
        hint = "Alarms take its new version back: `slipway status MODEL` waits until that is over, and records it."
    return EngineError(f"{doing} failed:\n{text}\n{hint}")
