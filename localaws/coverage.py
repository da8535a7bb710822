"""What the embedded AWS does with every operation of its services: `python -m localaws.coverage` writes the page.

The page is made from the tables that answer requests, so it cannot say more than is there.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from botocore import xform_name

from localaws.app import compose
from localaws.gateway import Service
from localaws.plane import Settings
from localaws.sagemaker import LEVELS
from localaws.shapes import service_model

PAGE = Path(__file__).parent / "COVERAGE.md"

MEANING = {
    "executed": "does what AWS does: runs programs, moves data and traffic, evaluates, fires, delivers",
    "stored": "kept, checked and answered as AWS does, with its effects on other resources; there is nothing to run",
    "moto": "answered by moto, which stands behind: kept, and in places simplified",
    "not implemented": "answers a typed 501 that names the operation; no SDK retries it",
}

STORED = {"budgets", "ce", "sagemaker-metrics"}  # our other services do what they are asked


def levels(service: Service) -> dict[str, str]:
    """Every operation of a service by what is done with it."""
    what = "stored" if service.name in STORED else "executed"
    ours = LEVELS if service.name == "sagemaker" else dict.fromkeys(service.operations, what)
    behind = set() if service.complete else moto_has(service.name)
    names = service_model(service.name).operation_names
    return {name: level(name, service, ours, behind) for name in sorted(names)}


def level(name: str, service: Service, ours: Mapping[str, str], behind: set[str]) -> str:
    if name in service.operations:
        return ours[name]
    return "moto" if name in behind else "not implemented"


def moto_has(service: str) -> set[str]:
    """The operations of a service that moto has a method for."""
    import moto.backends

    name = {"cloudwatch": "cloudwatch", "application-autoscaling": "applicationautoscaling"}.get(service, service)
    if name not in moto.backends.list_of_moto_modules():
        return set()
    module = __import__(f"moto.{name}.responses", fromlist=["responses"])
    classes = [item for item in vars(module).values() if isinstance(item, type) and item.__module__ == module.__name__]
    return {
        operation
        for operation in service_model(service).operation_names
        if any(hasattr(item, xform_name(operation)) for item in classes)
    }


def render(services: Mapping[str, Service]) -> str:
    """The page."""
    lines = ["# What the embedded AWS does", "", "Made by `python -m localaws.coverage`; do not edit.", ""]
    lines += [f"- **{word}**: {text}." for word, text in MEANING.items()]
    lines += ["", "Services that are not listed here are moto's alone.", ""]
    found = {name: levels(service) for name, service in sorted(services.items())}
    lines += ["| service | " + " | ".join(MEANING) + " |", "|---|" + "---|" * len(MEANING)]
    for name, operations in found.items():
        counts = [list(operations.values()).count(word) for word in MEANING]
        lines.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    for name, operations in found.items():
        lines += ["", f"## {name}", ""]
        for word in MEANING:
            those = [operation for operation, what in operations.items() if what == word]
            if those:
                lines += [f"**{word}** ({len(those)}): {', '.join(those)}", ""]
        lines.pop()
    return "\n".join(lines) + "\n"


def page() -> str:
    """The page of this version."""
    with tempfile.TemporaryDirectory() as work:
        plane = compose(Settings(containers=Path(work), work=Path(work)), "http://127.0.0.1:0")
        try:
            return render(plane.gateway.services)
        finally:
            for close in reversed(plane.closers):
                close()
            plane.clock.close()
            plane.store.close()


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")
