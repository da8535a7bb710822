"""Which engine does the work: Pulumi when it is here, else Terraform; both offer the same five verbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from rich.console import Console

from contract.platform import PlatformOutputs
from delivery.engine import machine
from delivery.engine.engine import Brought, Preview
from delivery.engine.errors import NoEngineError

Ask = Callable[[str], bool]
NAMES = ("pulumi", "terraform")


class Engine(Protocol):
    """What an engine can be asked; `ask` is how it asks back, none means that all is agreed."""

    @property
    def name(self) -> str: ...
    def up(self, environment: str, root: Path, console: Console, ask: Ask | None = None) -> Brought: ...
    def preview(self, environment: str, root: Path, console: Console) -> Preview: ...
    def down(self, environment: str, root: Path, console: Console, ask: Ask | None = None) -> None: ...
    def outputs(self, environment: str, root: Path) -> PlatformOutputs: ...
    def recover(self, environment: str, root: Path, console: Console, ask: Ask | None = None) -> Sequence[str]: ...


def choose(forced: str | None = None) -> str:
    """The name of the engine to use; a forced one must be here."""
    here = {"pulumi": machine.pulumi(), "terraform": machine.terraform()}
    if forced is not None:
        if forced not in here:
            raise NoEngineError(f"--engine {forced}: expected one of {', '.join(NAMES)}")
        if here[forced] is None:
            raise NoEngineError(f"--engine {forced}: {forced} is not on PATH. {how_to_get_one()}")
        return forced
    for name in NAMES:
        if here[name]:
            return name
    raise NoEngineError(f"no engine on this machine: neither pulumi nor terraform is on PATH. {how_to_get_one()}")


def engine(forced: str | None = None) -> Engine:
    if choose(forced) == "pulumi":
        from delivery.engine.with_pulumi import WithPulumi

        return WithPulumi()
    from delivery.engine.with_terraform import WithTerraform

    return WithTerraform()


def how_to_get_one() -> str:
    return (
        "To get one: `slipway engine --install` fetches the pinned Pulumi CLI with the SDK's own installer; or install "
        "Terraform 1.10 or newer, which also works where no registry can be reached when "
        f"{machine.MIRROR} names a folder with the AWS provider."
    )
