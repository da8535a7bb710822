"""A table that nobody could learn from is refused with what was given and what was expected."""

from __future__ import annotations

import numpy as np
import pytest

from contract.records import Column, Schema
from families.encoding import settle
from families.family import FamilyError, Matrix, Table

SCHEMA = Schema((Column("age", "number"), Column("plan", "category", ("a", "b"))), "y", "classification", ("no", "yes"))
ROWS = np.array([[30.0, 0.0], [41.0, 1.0]])


@pytest.mark.parametrize(
    ("rows", "target", "said"),
    [
        (ROWS.astype(np.float32), np.array([0.0, 1.0]), "float32, expected float64: encode categories"),
        (ROWS[:, :1], np.array([0.0, 1.0]), "1 columns, the schema has 2: age, plan"),
        (ROWS[0], np.array([0.0, 1.0]), "1 dimension"),
        (ROWS, np.array([0.0]), "expected one target per row"),
        (ROWS, np.array([0.0, np.nan]), "the target 'y' of row 1 is nan: a row without a target teaches nothing"),
        (ROWS, np.array([0.0, 2.0]), r"the target of row 1 is 2.0: .* 0 to 1 \(no, yes\)"),
        (ROWS, np.array([0.5, 1.0]), "the target of row 0 is 0.5"),
    ],
)
def test_a_table_that_does_not_fit_its_schema_is_refused(rows: Matrix, target: Matrix, said: str) -> None:
    with pytest.raises(FamilyError, match=said):
        Table(SCHEMA, rows, target)


def test_rows_are_settled_to_what_every_library_takes() -> None:
    given = np.array([[np.inf, 1.0], [-1e300, 2.0], [np.nan, -7.0], [3.5, np.nan]])
    np.testing.assert_array_equal(settle(given, SCHEMA), [[1e30, 1], [-1e30, -1], [np.nan, -1], [3.5, np.nan]])
