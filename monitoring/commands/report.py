"""Write the HTML of a report again from its JSON twin.

monitor report --input out/report.json --output report.html
"""

from __future__ import annotations

import argparse
from types import ModuleType
from typing import TYPE_CHECKING

from monitoring.profile import ProfileError
from monitoring.report import experiment, outcomes, window
from monitoring.storage import file, read_json

if TYPE_CHECKING:
    from monitoring.cli import Outside

SUMMARY = "write a report's HTML from its JSON"
KINDS: dict[str, ModuleType] = {"window": window, "experiment": experiment, "outcomes": outcomes}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input", metavar="FILE", required=True, help="report.json")
    parser.add_argument("--output", metavar="FILE", required=True, help="where the HTML goes")


def run(args: argparse.Namespace, outside: Outside) -> int:
    document = read_json(args.input, outside.s3)
    kind, version = str(document.get("kind")), document.get("version")
    if kind not in KINDS or version != KINDS[kind].VERSION:
        known = ", ".join(f"{name} version {module.VERSION}" for name, module in KINDS.items())
        raise ProfileError(f"{args.input} is a {kind!r} report of version {version!r}; this program writes {known}")
    try:
        html = KINDS[kind].page(document)
    except (KeyError, TypeError, AttributeError, ValueError) as problem:
        raise ProfileError(f"{args.input} is a {kind} report without its parts: {problem!r}") from None
    where, name = file(args.output, outside.s3)
    where.write(name, html.encode(), "text/html; charset=utf-8")
    outside.say(f"report: {args.output}")
    return 0
