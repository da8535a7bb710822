"""The reference of commands, from the command line's own tree, as one page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer

from delivery.cli import application
from delivery.cli.exits import EXIT, MEANING
from delivery.platform import VERBS

PAGE = """# Commands

Written from the code by `make tables`. Every command has `--json` for its answer as JSON and, where it is about an
environment, `--env` (or `SLIPWAY_ENV`). Answers go to stdout, everything else to stderr. JSON has no word for a number
that is not finite: an unbounded bound, or a value that is not known, is `null`. In Python the same verbs are
methods of `slipway.Platform`; each is named beside its command.

`slipway --install-completion` teaches your shell to complete commands, options, and the environments and models that
stand in settings' files; no cloud is asked for them. Ctrl-C leaves what runs in the cloud
running: the same command picks it up again.

## Exit codes

An error is told in words: what was given, what was expected, why, and what to do. `SLIPWAY_DEBUG=1` shows its traceback
as well.

| code | means |
| --- | --- |
{exits}

{commands}
"""
COMMAND = """## slipway {name}

{text}

```text
{example}
```
{method}
| argument or option | what it is | default |
| --- | --- | --- |
{rows}
"""
EXAMPLE = re.compile(r"\s*Example: `([^`]+)`\s*")


def page() -> str:
    exits = "\n".join(f"| {code} | {MEANING[name]} |" for name, code in EXIT.items())
    return PAGE.format(exits=exits, commands="\n".join(section(name, each) for name, each in every_command().items()))


def every_command() -> dict[str, Any]:
    """Every command of the tree in order of name, by what is typed after `slipway`."""
    return dict(below(typer.main.get_command(application())))


def below(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, each in sorted(group.commands.items()):
        if hasattr(each, "commands"):
            yield from below(each, (*path, name))
        else:
            yield " ".join((*path, name)), each


def section(name: str, command: Any) -> str:
    text = command.help or ""
    example = EXAMPLE.search(text)
    method = f"\nIn Python: `Platform.{VERBS[name]}`.\n" if name in VERBS else ""
    return COMMAND.format(
        name=name,
        text=EXAMPLE.sub("", text).strip(),
        example=example[1] if example else "",
        method=method,
        rows="\n".join(row(each) for each in command.params if not getattr(each, "hidden", False)),
    )


def row(given: Any) -> str:
    names = ", ".join(f"`{each}`" for each in given.opts)
    choices = kinds(given)
    told = " ".join((getattr(given, "help", None) or "").split())
    return f"| {names} | {told}{f' One of {choices}.' if choices else ''} | {default(given)} |"


def kinds(given: Any) -> str:
    annotation = getattr(getattr(given, "type_descriptor", None), "annotation", None)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{each.value}`" for each in annotation)
    return ""


def default(given: Any) -> str:
    if given.required:
        return "required"
    value = given.default.value if isinstance(given.default, Enum) else given.default
    return "" if value in (None, False, "", ()) else f"`{value}`"
