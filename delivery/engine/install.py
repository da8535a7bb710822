"""Fetch the Pulumi CLI that fits the locked SDK, with the SDK's own installer."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from delivery.engine.errors import EngineError
from delivery.engine.machine import WORK


def install_pulumi(root: Path) -> Path:
    """Put the CLI of the SDK's version below the work folder; nothing else on the machine is touched."""
    from pulumi.automation import PulumiCommand
    from semver import VersionInfo

    folder = root / WORK / "pulumi-cli"
    wanted = version("pulumi")
    try:
        PulumiCommand.install(root=str(folder), version=VersionInfo.parse(wanted))
    except Exception as problem:
        raise EngineError(
            f"the Pulumi CLI {wanted} could not be fetched: {problem}. It comes from get.pulumi.com; where that "
            "cannot be reached, install Terraform, or put a pulumi binary on PATH."
        ) from problem
    return folder / "bin" / "pulumi"
