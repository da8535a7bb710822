"""Open an artifact to answer with: compiled trees, else the fast form, else the family's own."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from contract.places import FAST_FORM, TREE_FORM
from contract.records import Manifest
from families.artifact import ArtifactError, verify
from families.family import Family, Matrix
from families.forest import TreeModel, is_compiled


class Predictor(Protocol):
    """Whatever answers the input matrix."""

    def predict(self, rows: Matrix) -> Matrix: ...


def open_artifact(folder: Path) -> tuple[Manifest, Predictor]:
    """The verified manifest and what answers; a training library is loaded only where there is no fast form."""
    manifest = verify(folder)
    if TREE_FORM in manifest.files and is_compiled():
        return manifest, TreeModel(folder / TREE_FORM)
    if FAST_FORM in manifest.files:
        from families.fast import FastModel  # onnxruntime takes a while and much memory: only where it is what answers

        return manifest, FastModel(folder / FAST_FORM)
    return manifest, open_own_form(folder, manifest)


def open_own_form(folder: Path, manifest: Manifest) -> Predictor:
    """The model in its training library, refused where the library is not the version it was made with."""
    from families.discovery import find  # reading what is installed takes longer than opening a fast form

    family = find(manifest.family)
    check_versions(family, manifest)
    return family.load(folder, manifest.schema)


def check_versions(family: Family, manifest: Manifest) -> None:
    from families.discovery import version_of

    other = [
        f"{library} {manifest.versions.get(library)} (here {version_of(library)})"
        for library in family.libraries
        if manifest.versions.get(library) != version_of(library)
    ]
    if other:
        raise ArtifactError(
            f"the model of family '{manifest.family}' was made with {', '.join(other)}: "
            "its own form is only sure to load with the same versions; install those, or train again"
        )
