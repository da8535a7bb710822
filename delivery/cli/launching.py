"""`slipway launch`: from nothing to a first prediction."""

from __future__ import annotations

import typer
from rich.console import Console

from delivery.cli.shared import Engine, Env, Json, platform, show, tell
from delivery.cli.waiting import following, waiting


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
    body = done.first.answer.body.decode().strip()
    answer = {"row": done.row, "prediction": body, "variant": done.first.answer.variant, "url": done.url}
    text = "\n".join(
        [
            f"a customer: {done.row}",
            f"prediction: {body}",
            f"            by {done.first.answer.variant}, in {done.first.milliseconds:.0f} ms",
            "",
            f"the embedded AWS shows itself at {done.url}" if done.url else "",
            "next: slipway why churn · slipway invoke churn --row '…' · slipway models list churn · make offline",
        ]
    )
    show(answer, text, json_)
