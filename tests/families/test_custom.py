"""Any class with fit and predict is a model, and what is no such class is refused by name."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from contract.records import Manifest
from families.artifact import ArtifactError, seal
from families.custom import FAMILY, find_class
from families.family import FamilyError, Table
from families.hyperparameters import HyperparameterError, read_all

MakeTable = Callable[[str, int, int], Table]


def settings(path: str, arguments: str = "{}") -> dict[str, object]:
    return read_all(FAMILY.hyperparameters, {"class_path": path, "arguments": arguments})


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module somebody wrote, on the path."""
    (tmp_path / "somebody_models.py").write_text(
        "import json\n"
        "class Rules:\n"
        "    def __init__(self, limit=0.0): self.limit = limit\n"
        "    def fit(self, rows, target): self.seen = len(rows)\n"
        "    def predict(self, rows): return (rows[:, 0] > self.limit).astype(int)\n"
        "    def save(self, folder): (folder / 'rules.json').write_text(json.dumps(vars(self)))\n"
        "    @classmethod\n"
        "    def load(cls, folder):\n"
        "        made = cls(); vars(made).update(json.loads((folder / 'rules.json').read_text())); return made\n"
        "class Silent:\n"
        "    def fit(self, rows, target): pass\n"
        "class Wide:\n"
        "    def fit(self, rows, target): pass\n"
        "    def predict(self, rows): return rows[:, 0]\n"
        "    def predict_proba(self, rows): return rows\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "somebody_models"


def test_a_class_that_only_predicts_labels_is_sure_of_them_and_saves_itself(
    module: str, make_table: MakeTable, tmp_path: Path
) -> None:
    table = make_table("binary", 200, 0)
    model = FAMILY.fit(table, settings(f"{module}:Rules", '{"limit": 0.5}'), seed=0)
    answers = model.predict(table.rows)
    np.testing.assert_array_equal(answers[:, 1], (table.rows[:, 0] > 0.5).astype(float))
    folder = tmp_path / "artifact"
    folder.mkdir()
    model.save(folder)
    assert sorted(path.name for path in folder.rglob("*.*")) == ["custom.json", "rules.json"]
    sealed(folder, table)
    np.testing.assert_array_equal(FAMILY.load(folder, table.schema).predict(table.rows), answers)


def sealed(folder: Path, table: Table) -> None:
    seal(folder, Manifest("custom", table.schema, {}, {}, "d", "c", 0, "test"))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "expected package.module:Class"),
        ("no_such_module:Rules", "'no_such_module' cannot be imported"),
        ("json:Rules", "'json' has no 'Rules'"),
        ("json:JSONDecoder", "has no fit and no predict"),
    ],
)
def test_a_path_that_leads_to_no_model_is_refused(path: str, said: str) -> None:
    with pytest.raises(HyperparameterError, match=said):
        find_class(path)


def test_arguments_that_are_no_object_are_refused(module: str, make_table: MakeTable) -> None:
    for text in ("{", "[1]"):
        with pytest.raises(HyperparameterError, match="expected a JSON object"):
            FAMILY.fit(make_table("binary", 200, 0), settings(f"{module}:Rules", text), seed=0)


def test_a_class_without_predict_and_answers_of_another_shape_are_refused(module: str, make_table: MakeTable) -> None:
    table = make_table("binary", 200, 0)
    with pytest.raises(HyperparameterError, match="has no predict"):
        FAMILY.fit(table, settings(f"{module}:Silent"), seed=0)
    wide = FAMILY.fit(table, settings(f"{module}:Wide"), seed=0)
    with pytest.raises(FamilyError, match=r"answered \(200, 8\) for 200 rows, expected \(200, 2\)"):
        wide.predict(table.rows)


class Trap:
    """What a pickle can do to whoever opens it."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (exec, ("raise SystemExit('the trap went off')",))


def test_a_pickle_nobody_vouches_for_is_not_opened(make_table: MakeTable, tmp_path: Path) -> None:
    table = make_table("binary", 200, 0)
    (tmp_path / "custom.json").write_text(json.dumps({"class_path": "sklearn.tree:DecisionTreeClassifier"}))
    (tmp_path / "model.pickle").write_bytes(b"vouched")
    sealed(tmp_path, table)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ArtifactError, match=r"'model\.pickle' is not what the manifest vouches for"):
        FAMILY.load(tmp_path, table.schema)


def test_a_pickle_of_another_class_than_promised_is_refused(make_table: MakeTable, tmp_path: Path) -> None:
    table = make_table("binary", 200, 0)
    (tmp_path / "custom.json").write_text(json.dumps({"class_path": "sklearn.tree:DecisionTreeClassifier"}))
    (tmp_path / "model.pickle").write_bytes(pickle.dumps({"not": "a tree"}))
    sealed(tmp_path, table)
    with pytest.raises(ArtifactError, match="holds a dict"):
        FAMILY.load(tmp_path, table.schema)
