"""The five verbs under Terraform, shown on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from rich.console import Console

from contract.platform import PlatformOutputs
from delivery.engine import engine
from delivery.engine.engine import Brought, Preview, Removal
from delivery.engine.progress import Shown, listed
from delivery.engine.removal import removal_question
from delivery.engine.terraform import Plan

Ask = Callable[[str], bool]


class WithTerraform:
    """Terraform, with progress."""

    name = "terraform"

    def up(self, environment: str, root: Path, console: Console, ask: Ask | None = None) -> Brought:
        def agreed(ahead: Preview) -> bool:
            for line in listed(ahead.plan.changes):
                console.print(line, highlight=False)
            console.print(f"cost: {ahead.cost.text}", highlight=False)
            return ask is None or ask(f"Make these {len(ahead.plan.changes)} changes to '{environment}'?")

        with Showing(console) as showing, console.status(f"comparing {environment} with what is there"):
            return engine.up(environment, root, ask=agreed, applying=showing.applying)

    def preview(self, environment: str, root: Path, console: Console) -> Preview:
        with console.status(f"comparing {environment} with what is there"):
            return engine.preview(environment, root)

    def down(self, environment: str, root: Path, console: Console, ask: Ask | None = None) -> None:
        def agreed(removal: Removal) -> bool:
            for line in [*listed(removal.plan.changes), *removal.holding.lines]:
                console.print(line, highlight=False)
            return ask is None or ask(removal_question(environment, len(removal.plan.changes), removal.holding))

        with Showing(console) as showing, console.status(f"looking at what stands in {environment}"):
            engine.down(environment, root, ask=agreed, removing=showing.applying)

    def outputs(self, environment: str, root: Path) -> PlatformOutputs:
        return engine.outputs(environment, root)

    def recover(self, environment: str, root: Path, console: Console, ask: Ask | None = None) -> Sequence[str]:
        from delivery.engine.recover import recover

        with console.status(f"looking for what an interrupted run of {environment} left"):
            return recover(environment, root, ask)


class Showing:
    """Opens the progress display once it is known how much there is to do."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.shown: Shown | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.shown is not None:
            self.shown.__exit__(None, None, None)

    def applying(self, plan: Plan) -> Shown:
        self.shown = Shown(self.console, "working", len(plan.changes)).__enter__()
        return self.shown
