"""What every family must prove, the moment its file exists."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from contract.places import FAST_FORM
from contract.records import Manifest
from families.artifact import seal
from families.discovery import discover, missing_libraries
from families.family import Family, FamilyError, Matrix, Model, Table, TreeEnsemble
from families.fast import FastModel
from families.forest import TreeModel
from families.hyperparameters import HyperparameterError, read_all

EVERY_PROBABILITY = 1e-5


def width(table: Table) -> int:
    return len(table.schema.classes) or 1


def test_answers_are_probabilities_per_class_or_one_value(model: Model, table: Table) -> None:
    answers = model.predict(table.rows)
    assert answers.shape == (len(table.rows), width(table))
    assert answers.dtype == np.float64
    assert np.isfinite(answers).all()
    if table.schema.task == "classification":
        assert (answers >= 0).all()
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)


def test_it_learns_what_the_columns_tell(
    model: Model, table: Table, problem: str, make_table: Callable[[str, int, int], Table]
) -> None:
    later = make_table(problem, 800, 9)
    answers = model.predict(later.rows)
    if table.schema.task == "regression":
        error = float(np.mean((answers[:, 0] - later.target) ** 2) / np.var(later.target))
        assert error < 0.6
    else:
        right = float(np.mean(answers.argmax(axis=1) == later.labels))
        assert right > 0.5 + 0.25 / width(table)


def test_a_loaded_model_answers_as_the_saved_one(
    family: Family, model: Model, table: Table, adversarial: Matrix, tmp_path: Path
) -> None:
    model.save(tmp_path)
    seal(tmp_path, Manifest(family.name, table.schema, {}, {}, "data", "code", 0, "test"))
    loaded = family.load(tmp_path, table.schema)
    np.testing.assert_array_equal(loaded.predict(adversarial), model.predict(adversarial))
    assert loaded.fast_form() == model.fast_form()


def test_missing_unseen_and_single_rows_get_answers(model: Model, table: Table, adversarial: Matrix) -> None:
    together = model.predict(adversarial)
    assert np.isfinite(together).all()
    for at in (0, len(adversarial) - 3, len(adversarial) - 1):
        np.testing.assert_allclose(model.predict(adversarial[at : at + 1])[0], together[at], atol=1e-7)


def test_the_fast_form_answers_as_the_training_library(
    family: Family,
    model: Model,
    table: Table,
    adversarial: Matrix,
    problem: str,
    make_table: Callable[[str, int, int], Table],
) -> None:
    form = fast_form_of(model)
    rows = np.vstack([make_table(problem, 3000, 11).rows, adversarial, at_the_thresholds(form, table.rows)])
    ours, theirs = FastModel(form).predict(rows), model.predict(rows)
    if table.schema.task == "regression":
        np.testing.assert_allclose(ours, theirs, rtol=family.tolerance, atol=family.tolerance)
    else:
        assert family.tolerance <= EVERY_PROBABILITY
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=family.tolerance)
        np.testing.assert_array_equal(ours.argmax(axis=1), theirs.argmax(axis=1))


def test_the_tree_form_answers_as_the_fast_form_whatever_rows_stand_together(
    model: Model, table: Table, adversarial: Matrix, problem: str, make_table: Callable[[str, int, int], Table]
) -> None:
    if not isinstance(model, TreeEnsemble):
        pytest.skip("this family is not made of trees")
    fast = fast_form_of(model)
    rows = np.vstack([make_table(problem, 1000, 11).rows, adversarial, at_the_thresholds(fast, table.rows)])
    trees = TreeModel(model.tree_form())
    answers = trees.predict(rows)
    np.testing.assert_allclose(answers, FastModel(fast).predict(rows), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(np.vstack([trees.predict(rows[at : at + 1]) for at in range(100)]), answers[:100])
    np.testing.assert_array_equal([trees.answer_row(row.tobytes()) for row in rows], answers)
    assert model.tree_form() == model.tree_form()


def test_the_fast_form_answers_a_million_rows(model: Model, table: Table, problem: str) -> None:
    if problem == "multiclass":
        pytest.skip("two classes and a number show it")
    fast = FastModel(fast_form_of(model))
    million = np.tile(table.rows, (1_000_000 // len(table.rows) + 1, 1))[:1_000_000]
    answers = fast.predict(million)
    assert answers.shape == (1_000_000, width(table))
    np.testing.assert_allclose(answers[-1], fast.predict(million[-1:])[0], rtol=1e-6, atol=1e-9)


def fast_form_of(model: Model) -> bytes:
    form = model.fast_form()
    if form is None:
        pytest.skip("this family has no fast form: it is served by its own library")
    return form


def at_the_thresholds(form: bytes, rows: Matrix) -> Matrix:
    """For every split of a fast form's trees: a row on the threshold, and the nearest float64 and float32 beside it."""
    splits: list[tuple[int, float]] = []
    for node in onnx.load_from_string(form).graph.node:
        given = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type == "TreeEnsemble":
            values = numpy_helper.to_array(given["nodes_splits"].t)
            splits += list(zip(given["nodes_featureids"].ints, values.tolist(), strict=True))
    made: list[Matrix] = []
    for feature, threshold in sorted({split for split in splits if split[0] < rows.shape[1] and np.isfinite(split[1])}):
        single = np.float32(threshold)
        near = [np.nextafter(threshold, way) for way in (-np.inf, np.inf)]
        near += [float(np.nextafter(single, np.float32(way))) for way in (-np.inf, np.inf)]
        for value in (threshold, float(single), *near):
            row = rows[len(made) % len(rows)].copy()
            row[feature] = value
            made.append(row)
    return np.array(made).reshape(-1, rows.shape[1])


class Interrupted(Exception):  # noqa: N818 - it is no error: it plays a machine that is taken away
    pass


class KeepingJournal:
    """Keeps the state of each leg, and is interrupted at the given one."""

    def __init__(self, kept: bytes | None = None, stop_at: int = 0) -> None:
        self.kept, self.stop_at, self.legs = kept, stop_at, 0

    def resume(self) -> bytes | None:
        return self.kept

    def checkpoint(self, done: int, of: int, state: Callable[[], bytes], scores: Mapping[str, float]) -> None:
        self.legs += 1
        self.kept = state()
        if self.legs == self.stop_at:
            raise Interrupted


def test_a_fit_resumed_from_a_checkpoint_ends_as_one_never_interrupted(
    family: Family, model: Model, table: Table, settings: Mapping[str, Any], tmp_path: Path
) -> None:
    first = KeepingJournal(stop_at=1)
    try:
        family.fit(table, settings, seed=3, journal=first)
    except Interrupted:
        resumed = family.fit(table, settings, seed=3, journal=KeepingJournal(first.kept))
        assert bytes_of(resumed, tmp_path / "resumed") == bytes_of(model, tmp_path / "whole")
    else:
        assert first.legs == 0, "a family that makes checkpoints makes one before its end"


def bytes_of(model: Model, folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True)
    model.save(folder)
    (folder / FAST_FORM).write_bytes(model.fast_form() or b"")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


FIT_AGAIN = """
import importlib.util, json, sys, tempfile
from pathlib import Path

def module(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made

tables, here = module("tables", sys.argv[1]), module("here", sys.argv[2])
models = {
    family.name: tables.fitted(family.name, tables.problems_of(family)[0])
    for family in tables.discover().values()
    if not tables.missing_libraries(family)
}
print(json.dumps({name: here.bytes_of(model, Path(tempfile.mkdtemp()) / "model") for name, model in models.items()}))
"""


def test_same_seed_data_and_versions_give_the_same_bytes_in_another_process(
    fitted_here: dict[str, Model], tmp_path: Path
) -> None:
    here = Path(__file__)
    command = [sys.executable, "-c", FIT_AGAIN, str(here.with_name("conftest.py")), str(here)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=here.parents[2])
    ours = {name: bytes_of(model, tmp_path / name) for name, model in fitted_here.items()}
    assert ours == json.loads(done.stdout.splitlines()[-1])


def test_wrong_rows_are_refused_with_what_was_expected(
    family: Family, model: Model, table: Table, problem: str
) -> None:
    with pytest.raises(FamilyError, match="8: n0, n1"):
        model.predict(table.rows[:, :5])
    with pytest.raises(FamilyError, match="float32, expected float64"):
        model.predict(table.rows.astype(np.float32))  # type: ignore[arg-type]
    with pytest.raises(FamilyError, match="1 dimension"):
        model.predict(table.rows[0])


def test_every_hyperparameter_reads_its_own_default_and_names_its_range(family: Family) -> None:
    for each in family.hyperparameters:
        assert each.read(each.default) == each.default
        if each.kind in ("integer", "number"):
            with pytest.raises(HyperparameterError, match=f"{each.name} is 'many', expected a"):
                each.read("many")
        if each.search:
            assert each.low <= each.search[0] < each.search[1] <= each.high


def test_a_misspelt_hyperparameter_is_answered_with_the_nearest_real_one(family: Family) -> None:
    if not family.hyperparameters:
        pytest.skip("nothing can be set on this family")
    name = family.hyperparameters[0].name
    with pytest.raises(HyperparameterError, match=f"Did you mean '{name}'"):
        read_all(family.hyperparameters, {name + "s": 1})


def test_looking_at_the_families_loads_no_training_library() -> None:
    program = (
        "import sys; from families.discovery import discover; assert discover();"
        "heavy = ('sklearn', 'xgboost', 'torch', 'keras', 'tensorflow', 'onnx', 'scipy');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_with_a_family_in_it_is_all_it_takes() -> None:
    added = discover()["nearest_mean"]
    assert missing_libraries(added) == []
    assert [path.name for path in (Path(__file__).parent / "added").iterdir() if path.suffix] == ["nearest_mean.py"]
