"""`slipway promote FROM TO`: what serves in one environment, released in the next."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from delivery.cli.completing import environment_names, model_names
from delivery.cli.releasing import Bake, How, Strategy, Traffic, end_rollout, release_text, rollout_of, showing_rollout
from delivery.cli.shared import Engine, Json, Yes, platform, show
from delivery.cli.waiting import following, waiting

if TYPE_CHECKING:
    from delivery.watching import View

Source = Annotated[
    str, typer.Argument(metavar="FROM", help="The environment it serves in.", autocompletion=environment_names)
]
Target = Annotated[
    str, typer.Argument(metavar="TO", help="The environment that is to serve it.", autocompletion=environment_names)
]
Which = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="Only this model; without it, all that serve in FROM.", autocompletion=model_names
    ),
]
Chosen = Annotated[str | None, typer.Option(help="An approved version of FROM instead of its champion.")]
Data = Annotated[str | None, typer.Option(help="TO's data to judge on: a file, a folder or s3://…; else the newest.")]
Note = Annotated[str, typer.Option("--note", "-n", help="Why you say yes; it goes into the ledger of TO.")]


def commands(app: typer.Typer) -> None:
    """Add the verb of this file."""
    app.command()(promote)


def promote(
    source: Source,
    target: Target,
    note: Note,
    model: Which = None,
    version: Chosen = None,
    data: Data = None,
    strategy: How = Strategy.CANARY,
    traffic: Traffic = 10,
    bake: Bake = 600,
    yes: Yes = False,
    engine: Engine = None,
    json_: Json = False,
) -> None:
    """Release in one environment what serves in another: same artifact, same image, judged anew.

    The model is scored on TO's own data and by TO's own gates; your yes is recorded, what would change is shown, then
    it is rolled out. Repeating the command goes on where it stopped. CI calls exactly this.

    Example: `slipway promote local rehearsal --data .slipway/sample/churn-6000-7 --note "a quiet week" --yes`
    """
    rollout = rollout_of(strategy, traffic, bake)
    here = platform(target, engine)
    place = None if data is None else data if data.startswith("s3://") else Path(data)
    done = {}
    for name in here.promotable(source) if model is None else [model]:
        with ExitStack() as shown:
            shows: list[Callable[[View], None]] = []
            run = shown.enter_context(waiting(f"bringing {name} from {source}, judging it in {target}", stays=True))
            steps = following(run, here.environment.now, lambda name=name: here.pipeline(name, "promotion").pace())

            def agree(question: str, name: str = name, shown: ExitStack = shown, shows: list[Any] = shows) -> bool:
                shown.close()  # nothing may draw over a question
                said = yes or json_ or typer.confirm(question, default=False, err=True)
                shows.extend([shown.enter_context(showing_rollout(f"releasing {name} in {target}"))] if said else [])
                return said

            done[name] = here.promote(
                source, name, note=note, version=version, data=place, rollout=rollout, agree=agree, steps=steps,
                show=lambda found, shows=shows: shows[0](found),
            )  # fmt: skip
    show(done, "\n".join(f"{name}: {release_text(each)}" for name, each in done.items()), json_)
    end_rollout(*done.values())
