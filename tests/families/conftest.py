"""Tables to learn from, and every family there is: the ones shipped, one a single file beside these tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import families
from contract.records import Column, Schema, Task
from families.discovery import discover, missing_libraries
from families.family import Family, Matrix, Model, Table
from families.hyperparameters import read_all

families.__path__.append(str(Path(__file__).parent / "added"))

LEVELS = {"plan": 3, "city": 1500}
CLASSES: dict[str, tuple[str, ...]] = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "regression": ()}
MARKS = {"torch": pytest.mark.torch, "tensorflow-cpu": pytest.mark.tensorflow}


def schema_of(problem: str) -> Schema:
    numbers = [Column(f"n{at}", "number", missing=True) for at in range(6)]
    categories = [Column(name, "category", tuple(f"{name}-{at:04d}" for at in range(n))) for name, n in LEVELS.items()]
    mixed = (*numbers[:3], categories[0], *numbers[3:], categories[1])
    task: Task = "regression" if problem == "regression" else "classification"
    return Schema(mixed, "y", task, CLASSES[problem])


@cache
def table_of(problem: str, rows: int = 1500, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    schema = schema_of(problem)
    x = rng.normal(0, [1, 1000, 0.01, 1, 1, 5, 1, 1], (rows, 8))
    x[:, 3] = rng.integers(0, LEVELS["plan"], rows)
    x[:, 7] = np.minimum(rng.zipf(1.3, rows) - 1, LEVELS["city"] - 1)
    score = x[:, 0] + x[:, 1] / 1000 - (x[:, 3] == 1) + 0.5 * np.sin(x[:, 7]) + rng.normal(0, 0.3, rows)
    x[rng.random(x.shape) < 0.05] = np.nan
    if problem == "regression":
        return Table(schema, x, score * 10)
    edges = np.quantile(score, [1 / 2] if problem == "binary" else [1 / 3, 2 / 3])
    return Table(schema, x, np.digitize(score, edges).astype(np.float64))


def problems_of(family: Family) -> list[str]:
    known = {"classification": ["binary", "multiclass"], "regression": ["regression"]}
    return [problem for task in family.tasks for problem in known[task]]


def quick_settings(family: Family, problem: str) -> dict[str, Any]:
    """A quick fit's hyperparameters; only a class named by its path differs from problem to problem."""
    settings = read_all(family.hyperparameters, family.quick)
    if family.name == "custom" and problem == "regression":
        settings["class_path"] = settings["class_path"].replace("Classifier", "Regressor")
    return settings


@cache
def fitted(family: str, problem: str) -> Model:
    found = discover()[family]
    return found.fit(table_of(problem), quick_settings(found, problem), seed=3)


@pytest.fixture
def fitted_here() -> dict[str, Model]:
    """Every family whose library is here, fitted to its first problem."""
    here = (family for family in discover().values() if not missing_libraries(family))
    return {family.name: fitted(family.name, problems_of(family)[0]) for family in here}


@pytest.fixture
def settings(family: Family, problem: str) -> dict[str, Any]:
    return quick_settings(family, problem)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `family` runs for every family, and with `problem` for everything that family can learn."""
    if "family" not in metafunc.fixturenames:
        return
    cases: list[Any] = []
    for family in discover().values():
        lacking = missing_libraries(family)
        marks = [MARKS[library] for library in family.libraries if library in MARKS]
        if lacking:
            marks.append(pytest.mark.skip(reason=f"{family.name} needs {', '.join(lacking)}, not installed here"))
        problems = problems_of(family) if "problem" in metafunc.fixturenames else [""]
        cases += [
            pytest.param(
                *([family, problem] if problem else [family]), marks=marks, id=f"{family.name}-{problem}".strip("-")
            )
            for problem in problems
        ]
    metafunc.parametrize("family,problem" if "problem" in metafunc.fixturenames else "family", cases)


@pytest.fixture
def table(problem: str) -> Table:
    return table_of(problem)


@pytest.fixture
def model(family: Family, problem: str) -> Model:
    return fitted(family.name, problem)


@pytest.fixture
def make_table() -> Callable[[str, int, int], Table]:
    return table_of


@pytest.fixture
def adversarial(table: Table) -> Matrix:
    """Rows made to trip: everything missing, unseen, huge, tiny, negative, infinite, levels that do not exist."""
    rng = np.random.default_rng(5)
    rows = np.repeat(table.rows[:40], 10, axis=0)
    numbers = [at for at, column in enumerate(table.schema.columns) if not column.is_category]
    categories = [at for at, column in enumerate(table.schema.columns) if column.is_category]
    odd = np.array(
        [0.0, -0.0, 1e-320, -1e-30, 1e15, -1e15, 1e300, -1e300, np.inf, -np.inf, np.nan, 3.4e38, 2.0**53 + 1]
    )
    for at in numbers:
        rows[:, at] = np.where(rng.random(len(rows)) < 0.4, rng.choice(odd, len(rows)), rows[:, at])
    for at in categories:
        levels = len(table.schema.columns[at].levels)
        wrong = np.array([-1.0, np.nan, 0.0, levels - 1.0, levels, levels + 7.0, -5.0, 1e18])
        rows[:, at] = np.where(rng.random(len(rows)) < 0.4, rng.choice(wrong, len(rows)), rows[:, at])
    return np.vstack([rows, np.full((1, 8), np.nan), np.full((1, 8), -1.0), np.full((1, 8), 1e300)])
