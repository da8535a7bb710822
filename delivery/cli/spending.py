"""`slipway cost | idle`: what is paid, and what is paid for nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from delivery.cli.exits import EXIT
from delivery.cli.shared import Env, Json, platform, show, table


def commands(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    for command in (cost, idle):
        app.command()(command)


def cost(env: Env = "local", json_: Json = False) -> None:
    """What an environment costs a month now, resource by resource, and what an experiment or a canary would add.

    The floor is what runs at the least, the ceiling what scaling may make of it. Requests, runs and storage come on
    top.

    Example: `slipway cost`
    """
    found = platform(env).cost()
    rows = [[f"{each.floor:,.2f}", f"{each.ceiling:,.2f}", each.what] for each in found.now.lines]
    rows.append([f"{found.now.floor:,.2f}", f"{found.now.ceiling:,.2f}", "all of it"])
    text = table(["at least", "at most", "USD a month"], rows)
    extras = [[f"{each.usd:,.2f}", f"a {each.per}", f"{each.model}: {each.what}"] for each in found.extras]
    if extras:
        text += "\n\n" + table(["USD more", "", "for"], extras)
    show(found, f"{text}\n\nprices of {found.now.as_of}, infra/prices.csv", json_)


def idle(
    days: Annotated[int, typer.Option(help="Asked for nothing for so many days.", min=1)] = 7,
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Find forgotten endpoints: not one request for days, by CloudWatch's count. Exit 1 when there is one.

    Example: `slipway idle --days 14`
    """
    found = platform(env).idle(days)
    rows = [
        [each.endpoint, f"{each.days} days", f"{each.monthly:,.2f}", "" if each.released else "in no release file"]
        for each in found
    ]
    text = table(["endpoint", "asked for nothing", "USD a month", ""], rows) if found else "none"
    show(found, text, json_)
    if found:
        raise typer.Exit(EXIT["failed"])
