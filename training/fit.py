"""Fit a family and make its artifact: model, fast form, and a manifest that vouches for both."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

import contract
import families
import training
from contract.places import FAST_FORM, TREE_FORM
from contract.records import Manifest, Schema
from families.artifact import hash_of_sources, seal
from families.discovery import discover, find, version_of
from families.family import QUIET, Family, FamilyError, Journal, Model, Table, TreeEnsemble
from families.fast import FastModel
from families.opening import Predictor
from training.checkpoints import key_of
from training.settings import Settings

CREATED_BY = "slipway training"
PACKAGES = {package.__name__: Path(package.__path__[0]) for package in (contract, families, training)}


def fit(table: Table, settings: Settings, *, journal: Journal = QUIET) -> Model:
    """A model of the settings' family; refuses a task the family cannot do before any work is done."""
    family = find(settings.family)
    if table.schema.task not in family.tasks:
        able = [each.name for each in discover().values() if table.schema.task in each.tasks]
        raise FamilyError(
            f"the family '{family.name}' cannot do a {table.schema.task}, which the target '{table.schema.target}' "
            f"asks for. Families that can: {', '.join(able)}."
        )
    return family.fit(table, settings.of_family, seed=settings.seed, journal=journal)


def run_key(table: Table, settings: Settings, data_hash: str) -> str:
    """What a checkpoint belongs to: the same data, code, versions, family, hyperparameters and seed."""
    return key_of(
        data=data_hash,
        schema=table.schema.to_json(),
        code=hash_of_sources(PACKAGES),
        versions=versions(find(settings.family)),
        family=settings.family,
        hyperparameters=dict(settings.of_family),
        seed=settings.seed,
    )


def predictor_of(model: Model) -> Predictor:
    """What will answer when the model is served: its fast form where it has one."""
    fast = model.fast_form()
    return model if fast is None else FastModel(fast)


def write_artifact(
    folder: Path, model: Model, schema: Schema, settings: Settings, *, metrics: Mapping[str, float], data_hash: str
) -> Manifest:
    """The artifact's files and the manifest that vouches for them, in a folder that then holds nothing else."""
    _empty(folder)
    family = find(settings.family)
    model.save(folder)
    fast = model.fast_form()
    if fast is not None:
        (folder / FAST_FORM).write_bytes(fast)
    if isinstance(model, TreeEnsemble):
        (folder / TREE_FORM).write_bytes(model.tree_form())
    manifest = Manifest(
        family=family.name,
        schema=schema,
        files={},
        versions=versions(family),
        data_hash=data_hash,
        code_hash=hash_of_sources(PACKAGES),
        seed=settings.seed,
        created_by=CREATED_BY,
        metrics=dict(metrics),
        hyperparameters=dict(settings.of_family),
    )
    return seal(folder, manifest)


def _empty(folder: Path) -> None:
    """What a run that was killed left half written is not to be vouched for."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in folder.iterdir():
        if each.is_dir():
            shutil.rmtree(each)
        else:
            each.unlink()


def versions(family: Family) -> dict[str, str]:
    """What the model was made with: Python, the family's libraries and what wrote the fast form."""
    libraries = {name: version_of(name) or "" for name in (*family.libraries, "onnx")}
    return {"python": platform.python_version(), **libraries}
