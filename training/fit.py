"""Fit a family and make its artifact: model, fast form, and a manifest that vouches for both."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from pathlib import Path

import contract
import families
import training
from contract.places import FAST_FORM, TREE_FORM
from contract.records import Manifest
from families.artifact import hash_of_sources, seal
from families.discovery import find, version_of
from families.family import QUIET, Family, Journal, Model, Table, TreeEnsemble
from training.settings import Settings

PACKAGES = {package.__name__: Path(package.__path__[0]) for package in (contract, families, training)}


def build_artifact(
    folder: Path,
    table: Table,
    settings: Settings,
    *,
    journal: Journal = QUIET,
    metrics: Mapping[str, float] | None = None,
    data_hash: str | None = None,
) -> Manifest:
    """Fit on the table and write the artifact's files into the folder."""
    family = find(settings.family)
    model = family.fit(table, settings.of_family, seed=settings.seed, journal=journal)
    return write_artifact(folder, model, table, settings, metrics=metrics or {}, data_hash=data_hash)


def write_artifact(
    folder: Path,
    model: Model,
    table: Table,
    settings: Settings,
    *,
    metrics: Mapping[str, float],
    data_hash: str | None = None,
) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    family = find(settings.family)
    model.save(folder)
    fast = model.fast_form()
    if fast is not None:
        (folder / FAST_FORM).write_bytes(fast)
    if isinstance(model, TreeEnsemble):
        (folder / TREE_FORM).write_bytes(model.tree_form())
    manifest = Manifest(
        family=family.name,
        schema=table.schema,
        files={},
        versions=versions(family),
        data_hash=data_hash or hash_of_table(table),
        code_hash=hash_of_sources(PACKAGES),
        seed=settings.seed,
        created_by="slipway training",
        metrics=dict(metrics),
        hyperparameters=dict(settings.of_family),
    )
    return seal(folder, manifest)


def versions(family: Family) -> dict[str, str]:
    """What the model was made with: Python, the family's libraries and what wrote the fast form."""
    libraries = {name: version_of(name) or "" for name in (*family.libraries, "onnx")}
    return {"python": platform.python_version(), **libraries}


def hash_of_table(table: Table) -> str:
    digest = hashlib.sha256(repr(table.schema).encode())
    digest.update(table.rows.tobytes())
    digest.update(table.target.tobytes())
    return digest.hexdigest()
