"""`slipway data …`: the versions of a model's data, named by their content."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from delivery.cli.shared import Env, Json, Model, platform, show, table
from delivery.cli.waiting import counting, waiting
from delivery.data import Changes
from delivery.history import DataPast

Tag = Annotated[str, typer.Argument(help="What the tag is called.")]
Version = Annotated[str, typer.Argument(help="A tag, `latest`, or the beginning of a hash.")]

data = typer.Typer(name="data", help="The versions of a model's data.", no_args_is_help=True)


def commands(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    app.add_typer(data)


@data.command("list")
def list_(model: Model, env: Env = "local", json_: Json = False) -> None:
    """List the versions that were handed over, newest first.

    Example: `slipway data list churn`
    """
    found = platform(env).data_versions(model)
    rows = [
        [
            each.hash[:12],
            f"{each.came:%Y-%m-%d %H:%M}",
            str(each.files),
            f"{each.size / 1e6:.1f} MB",
            " ".join(each.tags),
        ]
        for each in found
    ]
    show(found, table(["version", "came", "files", "size", "tags"], rows), json_)


@data.command("log")
def log(model: Model, env: Env = "local", json_: Json = False) -> None:
    """Show what each version changed, and what was made from it.

    Example: `slipway data log churn`
    """
    found = platform(env).data_log(model)
    show(found, "\n\n".join(map(past_text, found)) or "none was handed over yet", json_)


def past_text(past: DataPast) -> str:
    """A version of the data as people read it."""
    tags = f" ({', '.join(past.kept.tags)})" if past.kept.tags else ""
    head = f"{past.kept.hash[:12]}{tags}, {past.kept.came:%Y-%m-%d %H:%M}, {past.kept.files} files"
    changed = changes_text(past.changed) if past.changed else "  the first"
    used = [f"  {each.decision.at} {each.decision.what} by {each.decision.who}" for each in past.used_by]
    return "\n".join([head, changed, *used])


@data.command("diff")
def diff(model: Model, old: Version, new: Version, env: Env = "local", json_: Json = False) -> None:
    """Show which files two versions do not share.

    Example: `slipway data diff churn first latest`
    """
    found = platform(env).data_diff(model, old, new)
    show(found, changes_text(found), json_)


def changes_text(found: Changes) -> str:
    """Changes as people read them."""
    lines = [
        f"  {sign} {name}"
        for sign, names in (("+", found.added), ("-", found.removed), ("~", found.changed))
        for name in names
    ]
    return "\n".join(lines) or "  the same files"


@data.command("tag")
def tag(model: Model, version: Version, name: Tag, env: Env = "local", json_: Json = False) -> None:
    """Move a tag to a version.

    Example: `slipway data tag churn latest first`
    """
    full = platform(env).data_tag(model, version, name)
    show({"tag": name, "version": full}, f"{name} -> {full[:12]}", json_)


@data.command("checkout")
def checkout(
    model: Model,
    version: Version,
    out: Annotated[Path, typer.Option(help="The folder to put the files in.")],
    env: Env = "local",
    json_: Json = False,
) -> None:
    """Bring a version back, byte for byte.

    Example: `slipway data checkout churn first --out before`
    """
    here = platform(env)
    size = here.data(model).read(version).size
    with waiting(f"fetching {version} of the data of {model}") as shown:
        found = here.data_checkout(model, version, out, counting(shown, size))
    show(found, f"{len(found.files)} files of {found.hash[:12]} in {out}", json_)
