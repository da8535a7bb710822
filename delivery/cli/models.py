"""`slipway models …` and `slipway gates`: the versions of a model, and people's yes or no to them."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Annotated

import typer

from contract.places import ARTIFACT
from delivery.cli.completing import model_names
from delivery.cli.exits import EXIT
from delivery.cli.shared import Env, Json, Model, platform, show, table
from delivery.cli.waiting import waiting
from delivery.history import Past

Version = Annotated[str, typer.Argument(help="A number, a tag, `latest` or `approved`.")]
Tag = Annotated[str, typer.Argument(help="What the tag is called.")]
Note = Annotated[str, typer.Option("--note", "-n", help="Why; it goes into the ledger.")]

models = typer.Typer(name="models", help="The versions of a model.", no_args_is_help=True)


def commands(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    app.add_typer(models)
    app.command()(gates)


@models.command("list")
def list_(
    model: Annotated[
        str | None,
        typer.Argument(help="Which model; without it, every model in a line each.", autocompletion=model_names),
    ] = None,
    env: Env = "local",
    json_: Json = False,
) -> None:
    """List the versions, newest first; or every model with what serves.

    Example: `slipway models list churn`
    """
    if model is None:
        every = platform(env).overview()
        rows = [["-" if value is None else str(value) for value in astuple(each)] for each in every]
        show(every, table(["model", "serves", "release", "endpoint", "newest", "approval"], rows), json_)
        return
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
    changed = platform(env).diff(model, old, new)
    rows = [[name, str(left), str(right)] for name, (left, right) in changed.items()]
    show(changed, table(["what", old, new], rows), json_)


@models.command("tag")
def tag(model: Model, version: Version, name: Tag, env: Env = "local", json_: Json = False) -> None:
    """Move a tag to a version.

    Example: `slipway models tag churn latest winter`
    """
    picked = platform(env).tag(model, version, name)
    show({"tag": name, "version": picked.version}, f"{name} -> version {picked.version}", json_)


@models.command("log")
def log(model: Model, env: Env = "local", json_: Json = False) -> None:
    """Show the versions, newest first, each with what was decided about it and by whom.

    Example: `slipway models log churn`
    """
    found = platform(env).log(model)
    show(found, "\n\n".join(map(past_text, found)) or "no version yet", json_)


def past_text(past: Past) -> str:
    """A version's past as people read it."""
    tags = f" ({', '.join(past.tags)})" if past.tags else ""
    head = f"version {past.version}{tags}, {past.approval}, {past.family}, registered {past.registered:%Y-%m-%d %H:%M}"
    made = f"  data {past.data_hash[:12]}, artifact {past.artifact_hash[:12] or 'not judged yet'}"
    decided = [
        f"  {each.decision.at} {each.decision.what} by {each.decision.who}: {each.decision.why}"
        for each in past.decisions
    ]
    return "\n".join([head, made, *decided])


@models.command("checkout")
def checkout(
    model: Model,
    version: Version,
    out: Annotated[Path, typer.Option(help="The folder to put the artifact in.")],
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Bring a version's artifact back, byte for byte; a number, a tag or the beginning of a content hash names it.

    Example: `slipway models checkout churn 1 --out first`
    """
    with waiting(f"fetching version {version} of {model}"):
        found = platform(env).checkout(model, version, out)
    answer = {"hash": found.hash, "size": found.size, "manifest": found.manifest}
    show(answer, f"{out / ARTIFACT}: {found.hash}, {found.size:,} bytes", json_)


@models.command("approve")
def approve(model: Model, version: Version, note: Note, env: Env = "local", json_: Json = False) -> None:
    """Say yes to a version: it is approved when its gates pass with that yes.

    Example: `slipway models approve churn 2 --note "better on new customers"`
    """
    with waiting(f"judging version {version} of {model}"):
        bundle = platform(env).approve(model, version, note=note)
    show(bundle, f"version {bundle.evidence.version} is approved; evidence {bundle.hash}", json_)


@models.command("reject")
def reject(model: Model, version: Version, note: Note, env: Env = "local", json_: Json = False) -> None:
    """Say no to a version.

    Example: `slipway models reject churn 3 --note "worse for the long-standing"`
    """
    platform(env).reject(model, version, note=note)
    show({"rejected": version}, "rejected", json_)


def gates(model: Model, version: Version = "latest", env: Env = "local", json_: Json = False) -> None:
    """Judge a version by its model's gates, and seal what came out. Exit 4 when a gate fails.

    Example: `slipway gates churn 2`
    """
    with waiting(f"judging version {version} of {model}"):
        bundle = platform(env).gates(model, version)
    rows = [[each.word, each.gate, each.found, each.wanted] for each in bundle.verdict.findings]
    text = table(["", "gate", "found", "wanted"], rows) + f"\n{bundle.verdict.word}; evidence {bundle.hash}"
    show(bundle, text, json_)
    if bundle.verdict.word == "fail":
        raise typer.Exit(EXIT["refused"])
