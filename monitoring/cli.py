"""The monitor's command line: every file in `commands` is a command."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from contract.places import Container
from contract.records import RecordError
from monitoring import commands
from monitoring.profile import ProfileError
from monitoring.publish import CloudWatch, PublishError, cloudwatch_client, sagemaker_client
from monitoring.storage import StorageError, s3_client
from monitoring.table import TableError

OK, USAGE, UNREADABLE, VERDICT = 0, 2, 3, 4
ROOT = "/opt/ml/"
MESSAGE = 1024  # SageMaker keeps so much of a job's message
STARTED = "SLIPWAY_STARTED"


def moment() -> datetime:
    """When the pipeline's execution started, else now: a job that waited for a machine judges the window it was for."""
    given = os.environ.get(STARTED)
    return datetime.now(UTC) if given is None else datetime.fromisoformat(given).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Outside:
    """What the commands touch outside this process."""

    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    now: Callable[[], datetime] = moment
    s3: Callable[[], Any] = s3_client
    cloudwatch: Callable[[], CloudWatch] = cloudwatch_client
    sagemaker: Callable[[], Any] = sagemaker_client
    say: Callable[[str], None] = lambda text: print(text, flush=True)  # noqa: T201 (the command's own output)

    @property
    def container(self) -> Container:
        return Container.from_environment(self.environment)

    def based(self) -> Outside:
        """The same, with paths in the environment where this container's folders are."""
        return replace(self, environment={name: based(each, self.container) for name, each in self.environment.items()})


def based(text: str, container: Container) -> str:
    """A path below /opt/ml, where SAGEMAKER_BASE_DIR says that is; any other text as it is."""
    return str(container.base / text.removeprefix(ROOT)) if text.startswith(ROOT) else text


def found() -> dict[str, ModuleType]:
    """Every command by name."""
    names = sorted(each.name for each in pkgutil.iter_modules(commands.__path__))
    return {name: importlib.import_module(f"{commands.__name__}.{name}") for name in names}


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="monitor", description="Judges live traffic against a baseline.")
    subs = whole.add_subparsers(dest="command", metavar="COMMAND")
    for name, module in found().items():
        sub = subs.add_parser(
            name, help=module.SUMMARY, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.arguments(sub)
    return whole


def main(argv: Sequence[str] | None = None, outside: Outside | None = None) -> int:
    """Run one command; the exit code says how it ended."""
    outside = (outside or Outside()).based()
    given = [based(each, outside.container) for each in (sys.argv[1:] if argv is None else argv)]
    if not given and {"dataset_source", "SLIPWAY_CAPTURE_URI"} & set(outside.environment):
        given = ["judge"]
    try:
        args = parser().parse_args(given)
    except SystemExit as stop:
        return int(stop.code or 0)
    if args.command is None:
        parser().print_help(sys.stderr)
        return USAGE
    try:
        return int(found()[args.command].run(args, outside))
    except (StorageError, ProfileError, RecordError, TableError, PublishError, OSError) as problem:
        return _failed(str(problem), outside)
    except Exception as problem:  # noqa: BLE001 (a job must leave a message, whatever happened)
        traceback.print_exc()
        return _failed(f"{type(problem).__name__}: {problem}", outside)


def _failed(text: str, outside: Outside) -> int:
    sys.stderr.write(f"monitor: {text}\n")
    leave_message(text, outside)
    return UNREADABLE


def leave_message(text: str, outside: Outside) -> None:
    """What a processing job shows as its exit message; only where SageMaker made a place for it."""
    place = outside.container.message
    if place.parent.is_dir():
        place.write_bytes(text.encode()[:MESSAGE])
