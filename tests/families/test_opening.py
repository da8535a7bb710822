"""An artifact opens to its fast form, or to its own library in the versions that made it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from contract.places import FAST_FORM, TREE_FORM
from contract.records import Manifest
from families import forest
from families.artifact import ArtifactError, read_manifest, seal
from families.discovery import MissingLibraryError, UnknownFamilyError, discover, find, version_of
from families.family import Model, Table, TreeEnsemble
from families.fast import FastModel
from families.forest import TreeModel
from families.hyperparameters import read_all
from families.opening import open_artifact


def artifact(folder: Path, family: str, table: Table, versions: dict[str, str] | None = None) -> Model:
    found = discover()[family]
    model = found.fit(table, read_all(found.hyperparameters, found.quick), seed=0)
    folder.mkdir()
    model.save(folder)
    if (fast := model.fast_form()) is not None:
        (folder / FAST_FORM).write_bytes(fast)
    here = {library: version_of(library) or "" for library in found.libraries}
    seal(folder, Manifest(family, table.schema, {}, versions or here, "d", "c", 0, "test"))
    return model


def test_the_fast_form_is_preferred(tmp_path: Path, make_table: Callable[[str, int, int], Table]) -> None:
    artifact(tmp_path / "a", "hist_gradient_boosting", make_table("binary", 300, 0), {"scikit-learn": "0.1"})
    manifest, model = open_artifact(tmp_path / "a")
    assert isinstance(model, FastModel)
    assert manifest.schema.classes == ("no", "yes")


def test_compiled_trees_are_preferred_where_they_were_built(
    tmp_path: Path, make_table: Callable[[str, int, int], Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_table("binary", 300, 0)
    fitted = artifact(tmp_path / "a", "hist_gradient_boosting", table)
    assert isinstance(fitted, TreeEnsemble)
    (tmp_path / "a" / TREE_FORM).write_bytes(fitted.tree_form())
    seal(tmp_path / "a", read_manifest(tmp_path / "a"))
    _, compiled = open_artifact(tmp_path / "a")
    assert isinstance(compiled, TreeModel)
    monkeypatch.setattr(forest, "Forest", None)
    _, uncompiled = open_artifact(tmp_path / "a")
    assert isinstance(uncompiled, FastModel)
    np.testing.assert_allclose(compiled.predict(table.rows), uncompiled.predict(table.rows), rtol=1e-12, atol=1e-12)


def test_without_a_fast_form_the_family_itself_answers(
    tmp_path: Path, make_table: Callable[[str, int, int], Table]
) -> None:
    table = make_table("binary", 300, 0)
    fitted = artifact(tmp_path / "a", "nearest_mean", table)
    _, opened = open_artifact(tmp_path / "a")
    np.testing.assert_array_equal(opened.predict(table.rows), fitted.predict(table.rows))


def test_another_version_of_the_library_is_refused_by_name(
    tmp_path: Path, make_table: Callable[[str, int, int], Table]
) -> None:
    artifact(tmp_path / "a", "nearest_mean", make_table("binary", 300, 0), {"numpy": "1.0"})
    with pytest.raises(ArtifactError, match=r"numpy 1\.0 \(here"):
        open_artifact(tmp_path / "a")


def test_a_misspelt_family_is_answered_with_the_nearest_real_one() -> None:
    with pytest.raises(UnknownFamilyError, match="Did you mean 'nearest_mean'"):
        find("nearest_men")


def test_a_family_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(discover()["nearest_mean"]), "libraries", ("no-such-library",))
    with pytest.raises(MissingLibraryError, match="needs no-such-library"):
        find("nearest_mean")
