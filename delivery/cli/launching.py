"""`slipway launch`: from nothing to a first prediction."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from delivery.cli.dashing import PORT
from delivery.cli.shared import Engine, Env, Json, platform, show, tell
from delivery.cli.waiting import following, waiting

if TYPE_CHECKING:
    from delivery.launch import Launch

# The PATH of whoever typed `make`, who does not see what make adds to it for itself.
OWN_PATH = "SLIPWAY_PATH"
NAME = "slipway"


def commands(app: typer.Typer) -> None:
    """Add the verb of this file."""
    app.command()(launch)


def launch(env: Env = "local", engine: Engine = None, json_: Json = False) -> None:
    """Bring an environment up, train on the sample data, deploy, and make a first prediction.

    Repeating it changes nothing and takes seconds.

    Example: `slipway launch`
    """
    from delivery.launch import MODEL
    from delivery.launch import launch as begin

    here = platform(env, engine)
    with waiting("working", at_once=False, stays=True) as shown:
        steps = following(shown, here.environment.now, lambda: here.pipeline(MODEL).pace())
        done = begin(here, tell, steps, Console(stderr=True))
    path = os.environ.get(OWN_PATH, os.environ.get("PATH", ""))
    typed = spelled(Path(sys.executable).with_name(NAME), path, Path.cwd())
    answer = {
        "row": done.row,
        "prediction": body(done),
        "variant": done.first.answer.variant,
        "url": done.url,
        "page": page(),
        "next": [*next_commands(done, typed, env)],
    }
    show(answer, told(done, typed, env), json_)


def spelled(program: Path, path: str, here: Path) -> str:
    """How this program is typed in a shell with that PATH that stands here."""
    found = shutil.which(NAME, path=path)
    if not program.exists() or (found is not None and Path(found).samefile(program)):
        return NAME
    return str(program.relative_to(here) if program.is_relative_to(here) else program)


def told(done: Launch, typed: str, env: str) -> str:
    """What a newcomer reads at the end; every command in it can be typed as it stands."""
    lines = [
        f"a customer: {done.row}",
        f"prediction: {body(done)}",
        f"            by {done.first.answer.variant}, in {done.first.milliseconds:.0f} ms",
        "",
        "next:",
        *(f"  {command:<36}  {why}".rstrip() for command, why in next_commands(done, typed, env).items()),
    ]
    if typed != NAME:
        activate = shlex.quote(typed.removesuffix(NAME) + "activate")
        lines += ["", f"`source {activate}` lets you type `{NAME}` alone, as the docs do."]
    if done.url:
        lines += ["", f"the embedded AWS shows itself at {done.url}"]
    return "\n".join(lines)


def next_commands(done: Launch, typed: str, env: str) -> dict[str, str]:
    """What to type next, and what it does."""
    there = "" if env == "local" else f" --env {env}"
    typed = shlex.quote(typed)
    return {
        f"{typed} dash{there}": f"all of it on a page, at {page()}",
        f"{typed} why churn{there}": "why this version serves",
        f"{typed} models list churn{there}": "the versions there are",
        f"{typed} invoke churn{there} --row {shlex.quote(done.row)}": "",
    }


def body(done: Launch) -> str:
    return done.first.answer.body.decode().strip()


def page() -> str:
    """Where `slipway dash` answers."""
    return f"http://127.0.0.1:{PORT}"
