"""`slipway launch`: from nothing to a first prediction."""

from __future__ import annotations

import typer

from delivery.cli.shared import Engine, Env, Json, platform, show, showing_steps, tell


def commands(app: typer.Typer) -> None:
    """Add the verb of this file."""
    app.command()(launch)


def launch(env: Env = "local", engine: Engine = None, json_: Json = False) -> None:
    """Bring an environment up, train on the sample data, deploy, and make a first prediction.

    Repeating it changes nothing and takes seconds.

    Example: `slipway launch`
    """
    from delivery.launch import launch as begin

    with showing_steps() as steps:
        done = begin(platform(env, engine), tell, steps)
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
