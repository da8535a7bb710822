"""The command line: one application, its commands found in the files beside this one.

A file here defines `commands(app)`, which adds what it offers; nothing else has to know about it. Errors of ours end
as one readable text on stderr, never as a traceback; exit codes are in `EXIT`.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import re
import sys
import traceback
from importlib import metadata
from typing import Annotated

import typer
from typer.exceptions import TyperException

from contract.records import nearest
from delivery.cli.exits import EXIT, MEANING, exit_code, machine_text

DEBUG = "SLIPWAY_DEBUG"


def tell_version(asked: bool) -> None:
    """The version of the package that is installed here, and of the Python that runs it."""
    if asked:
        typer.echo(f"slipway {metadata.version('slipway')}, Python {platform.python_version()}")
        raise typer.Exit


def application() -> typer.Typer:
    """The whole application, with every command file found."""
    app = typer.Typer(
        name="slipway",
        help="From training data to a safely operated SageMaker endpoint.",
        no_args_is_help=True,
        epilog="Exit codes: " + "; ".join(f"{code} {MEANING[name]}" for name, code in EXIT.items()) + ".",
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda each: each.name):
        if found.name.startswith("_"):
            continue
        module = importlib.import_module(f"{__name__}.{found.name}")
        if hasattr(module, "commands"):
            module.commands(app)
    return app


def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=tell_version)
    ] = False,
) -> None:
    """Nothing by itself; the commands are below."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; what it returns is the process's exit code."""
    try:
        answer = application()(arguments, prog_name="slipway", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        answer = EXIT["interrupted"]
    except TyperException as problem:
        shown = getattr(problem, "show", None)  # usage errors know how to print themselves, with the usage line
        shown() if shown else sys.stderr.write(f"{problem}\n")
        sys.stderr.write(nearest_choice(str(problem)))
        return EXIT["usage"]
    except BrokenPipeError:  # whoever read the answer has seen enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor may the interpreter's end write to it
        return EXIT["failed"]
    except Exception as problem:  # noqa: BLE001 the last place that can make a readable text of it
        return told(problem)
    if answer == EXIT["interrupted"]:  # from typer too, which makes a code of Ctrl-C by itself
        sys.stderr.write("stopped; run the same command again and it continues\n")
    return answer if isinstance(answer, int) else 0


CHOICE = re.compile(r"'([^']*)' is not one of ((?:'[^']*'(?:, )?)+)")


def nearest_choice(told: str) -> str:
    """A line that names the nearest value, where an option was given one it does not know."""
    found = CHOICE.search(told)
    hint = nearest(found[1], re.findall(r"'([^']*)'", found[2])) if found else ""
    return f"{hint.strip()}\n" if hint else ""


def told(problem: Exception) -> int:
    """An error of ours, of the cloud or of this machine as its text; anything else is our bug, shown whole."""
    code = exit_code(problem)
    if code is None or os.environ.get(DEBUG):
        traceback.print_exception(problem)
        return EXIT["bug"] if code is None else code
    sys.stderr.write(f"slipway: {machine_text(problem) if isinstance(problem, OSError) else problem}\n")
    return code
