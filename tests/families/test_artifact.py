"""An artifact is what its manifest vouches for, or it is refused."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.records import Column, Manifest, Schema
from families.artifact import ArtifactError, pack, seal, unpack, verify
from families.discovery import discover
from families.family import Table, TreeEnsemble
from families.fast import FastModel
from families.forest import FEATURE, NODE, TreeModel
from families.hyperparameters import read_all

SCHEMA = Schema((Column("a", "number"),), "y", "regression")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "artifact"
    made.mkdir()
    (made / "model.bin").write_bytes(b"weights")
    (made / "parts").mkdir()
    (made / "parts" / "more.bin").write_bytes(b"more")
    seal(made, Manifest("some", SCHEMA, {}, {}, "d", "c", 0, "test"))
    return made


def test_a_sealed_folder_verifies_and_its_archive_unpacks_to_the_same(folder: Path, tmp_path: Path) -> None:
    manifest = verify(folder)
    assert set(manifest.files) == {"model.bin", "parts/more.bin"}
    pack(folder, tmp_path / "model.tar.gz")
    assert unpack(tmp_path / "model.tar.gz", tmp_path / "there") == manifest


def test_packing_twice_gives_the_same_bytes_whatever_the_times_of_the_files(folder: Path, tmp_path: Path) -> None:
    first = pack(folder, tmp_path / "one.tar.gz")
    (folder / "model.bin").touch()
    assert pack(folder, tmp_path / "two.tar.gz") == first


def changed(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"other")


def removed(folder: Path) -> None:
    (folder / "model.bin").unlink()


def added(folder: Path) -> None:
    (folder / "extra.pkl").write_bytes(b"!")


def linked(folder: Path) -> None:
    (folder / "link").symlink_to("model.bin")


def without_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def with_half_a_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def with_an_empty_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{}")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (changed, "'model.bin' is not what the manifest vouches for"),
        (removed, "'model.bin' is missing"),
        (added, "'extra.pkl' is not in the manifest"),
        (linked, "'link' is neither a file nor a folder"),
        (without_manifest, "no manifest.json"),
        (with_half_a_manifest, "cannot be read"),
        (with_an_empty_manifest, "missing field 'family'"),
    ],
)
def test_a_changed_artifact_is_refused_by_the_name_of_what_changed(
    folder: Path, harm: Callable[[Path], None], said: str
) -> None:
    harm(folder)
    with pytest.raises(ArtifactError, match=said):
        verify(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/outside"])
def test_an_archive_that_reaches_outside_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "evil.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"!"))
    with pytest.raises(ArtifactError):
        unpack(archive, tmp_path / "in" / "here")
    assert not (tmp_path / "in" / "outside").exists()


def test_an_archive_with_a_link_or_cut_short_is_refused(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "link.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(ArtifactError, match="neither a file nor a folder"):
        unpack(archive, tmp_path / "a")
    pack(folder, archive)
    with pytest.raises(ArtifactError, match="cannot be unpacked"):
        unpack(archive.read_bytes()[:-30], tmp_path / "b")


def test_a_damaged_fast_form_says_what_to_do() -> None:
    with pytest.raises(ArtifactError, match="pack the artifact again"):
        FastModel(b"not onnx")


def test_damaged_trees_say_what_to_do_and_lead_nowhere() -> None:
    leaf = np.array([(np.inf, 0, 0)], dtype=NODE)
    whole: dict[str, Any] = {
        "nodes": leaf, "leaves": np.ones(1), "roots": np.zeros(1, np.uint32), "depths": np.zeros(1, np.uint32),
        "targets": np.zeros(1, np.uint32), "features": np.array([(np.inf, -1, 1, 0, 0)], dtype=FEATURE),
        "tables": np.zeros(0), "start": np.zeros(1), "shape": np.array([1, 1, 0, 0]), "divisor": np.ones(1),
    }  # fmt: skip
    assert TreeModel(trees(whole)).predict(np.zeros((2, 1))).tolist() == [[1.0], [1.0]]
    with pytest.raises(ValueError, match="expected a row of 1 float64"):
        TreeModel(trees(whole)).answer_row(b"short")
    damages: dict[str, Any] = {
        "nodes": np.array([(0.0, 0, 9)], dtype=NODE),
        "roots": np.ones(1, np.uint32),
        "leaves": np.ones(3),
        "features": np.array([(np.inf, 5, 1, 3, 0)], dtype=FEATURE),
        "shape": np.array([1, 4, 0, 0]),
    }
    for name, damage in damages.items():
        with pytest.raises(ArtifactError, match="pack the artifact again"):
            TreeModel(trees(whole | {name: damage}))
    with pytest.raises(ArtifactError, match="pack the artifact again"):
        TreeModel(b"not arrays")


def test_small_and_large_trees_answer_alike(make_table: Callable[[str, int, int], Table]) -> None:
    """A forest whose trees have more leaves than a word has bits goes another way through the compiled code."""
    table = make_table("binary", 1500, 0)
    family = discover()["hist_gradient_boosting"]
    for leaves in ("64", "65", "300"):
        given = {**family.quick, "max_leaf_nodes": leaves, "min_samples_leaf": "1", "max_iter": "4"}
        model = family.fit(table, read_all(family.hyperparameters, given), seed=0)
        assert isinstance(model, TreeEnsemble)
        form = model.fast_form()
        assert form is not None
        answers = TreeModel(model.tree_form()).predict(table.rows)
        np.testing.assert_allclose(answers, FastModel(form).predict(table.rows), rtol=1e-12, atol=1e-12)


def trees(arrays: dict[str, Any]) -> bytes:
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()
