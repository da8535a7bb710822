"""`slipway models …` and `slipway gates`: the versions of a model, and people's yes or no to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from delivery.cli.exits import EXIT
from delivery.cli.shared import Env, Json, Model, platform, show, table

if TYPE_CHECKING:
    from delivery.evidence import Evidence

Version = Annotated[str, typer.Argument(help="A number, a tag, `latest` or `approved`.")]
Note = Annotated[str, typer.Option("--note", "-n", help="Why; it goes into the ledger.")]

models = typer.Typer(name="models", help="The versions of a model.", no_args_is_help=True)


def commands(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    app.add_typer(models)
    app.command()(gates)


@models.command("list")
def list_(model: Model, env: Env = "local", json_: Json = False) -> None:
    """List the versions, newest first.

    Example: `slipway models list churn`
    """
    found = platform(env).versions(model)
    rows = [
        [str(each.version), each.approval, f"{each.created:%Y-%m-%d %H:%M}", each.metadata.get("family", ""),
         each.metadata.get("data_hash", "")[:12], " ".join(each.tags)]
        for each in found
    ]  # fmt: skip
    show(found, table(["version", "approval", "registered", "family", "data", "tags"], rows), json_)


@models.command("show")
def show_(model: Model, version: Version = "latest", env: Env = "local", json_: Json = False) -> None:
    """Show one version with everything the registry knows of it.

    Example: `slipway models show churn latest`
    """
    found = platform(env).version(model, version)
    rows = [["version", str(found.version)], ["approval", found.approval], ["artifact", found.artifact]]
    rows += [[name, value] for name, value in sorted(found.metadata.items())]
    show(found, table(["what", "value"], rows), json_)


@models.command("diff")
def diff(model: Model, old: Version, new: Version, env: Env = "local", json_: Json = False) -> None:
    """Show how two versions differ: data, code, inputs, metrics.

    Example: `slipway models diff churn 1 2`
    """
    from delivery.dossier import collect

    here = platform(env)
    sides = [collect(here.environment, model, here.version(model, each)) for each in (old, new)]
    before, after = ({**side.model_dump(mode="json"), **metrics(side)} for side in sides)
    changed = {
        name: [before.get(name), after.get(name)]
        for name in sorted({*before, *after})
        if name not in {"slices", "metrics", "champion"} and before.get(name) != after.get(name)
    }
    rows = [[name, str(left), str(right)] for name, (left, right) in changed.items()]
    show(changed, table(["what", old, new], rows), json_)


def metrics(evidence: Evidence) -> dict[str, float]:
    return {f"metric {name}": each.value for name, each in evidence.metrics.items()}


@models.command("tag")
def tag(model: Model, version: Version, name: str, env: Env = "local") -> None:
    """Move a tag to a version.

    Example: `slipway models tag churn latest winter`
    """
    here = platform(env)
    picked = here.version(model, version)
    here.environment.registry(model).tag(name, picked)
    typer.echo(f"{name} -> version {picked.version}")


@models.command("approve")
def approve(model: Model, version: Version, note: Note, env: Env = "local", json_: Json = False) -> None:
    """Say yes to a version: it is approved when its gates pass with that yes.

    Example: `slipway models approve churn latest --note "better on new customers"`
    """
    bundle = platform(env).approve(model, version, note=note)
    show(bundle, f"version {bundle.evidence.version} is approved; evidence {bundle.hash}", json_)


@models.command("reject")
def reject(model: Model, version: Version, note: Note, env: Env = "local") -> None:
    """Say no to a version.

    Example: `slipway models reject churn 2 --note "worse for the long-standing"`
    """
    platform(env).reject(model, version, note=note)
    typer.echo("rejected")


def gates(model: Model, version: Version = "latest", env: Env = "local", json_: Json = False) -> None:
    """Judge a version by its model's gates, and seal what came out. Exit 4 when a gate fails.

    Example: `slipway gates churn latest`
    """
    bundle = platform(env).gates(model, version)
    rows = [[each.word, each.gate, each.found, each.wanted] for each in bundle.verdict.findings]
    text = table(["", "gate", "found", "wanted"], rows) + f"\n{bundle.verdict.word}; evidence {bundle.hash}"
    show(bundle, text, json_)
    if bundle.verdict.word == "fail":
        raise typer.Exit(EXIT["refused"])
