"""How rows are read before a model sees them, the same in every form of it.

Tree families replace a level by what it says of the target (scikit-learn's TargetEncoder, cross-fitted), because a
split on thousands of levels is slow to learn, slow to serve and beyond what histogram trees take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from contract.records import Schema
from families.family import FamilyError, Matrix, Table

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

LARGEST = 1e30  # numbers beyond are read as this: float32 libraries overflow soon after
UNSEEN = -1.0
FOLDS = 5


def number_columns(schema: Schema) -> list[int]:
    return [at for at, column in enumerate(schema.columns) if not column.is_category]


def category_columns(schema: Schema) -> list[int]:
    return [at for at, column in enumerate(schema.columns) if column.is_category]


def settle(rows: Matrix, schema: Schema) -> Matrix:
    """The rows within what every library takes: numbers bounded, whole level indices, everything else unseen."""
    settled = np.clip(rows, -LARGEST, LARGEST)
    for at in category_columns(schema):
        column = settled[:, at]
        known = (column > -1) & (column < len(schema.columns[at].levels))
        settled[:, at] = np.where(np.isnan(column), np.nan, np.where(known, np.trunc(column), UNSEEN))
    return settled


def slots(schema: Schema, at: int) -> Matrix:
    """Every value a category column can take, in the order of a lookup table's rows."""
    levels = len(schema.columns[at].levels)
    return np.concatenate([[UNSEEN], np.arange(levels), [UNSEEN, np.nan]]).astype(np.float64)


def target_encoded(table: Table, *, seed: int) -> ColumnTransformer:
    """Numbers as they are, then each category column by what its levels say of the target (one value per class)."""
    from sklearn.compose import ColumnTransformer

    parts: list[Any] = [("numbers", "passthrough", number_columns(table.schema))]
    if category_columns(table.schema):
        parts.append(("categories", _target_encoder(table, seed), category_columns(table.schema)))
    return ColumnTransformer(parts)


def _target_encoder(table: Table, seed: int) -> Any:
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.preprocessing import TargetEncoder

    if table.schema.task == "regression":
        splits: Any = KFold(FOLDS, shuffle=True, random_state=seed)
        return TargetEncoder(target_type="continuous", cv=splits)
    smallest = int(np.bincount(table.labels, minlength=len(table.schema.classes)).min())
    if smallest < 2:
        counts = dict(zip(table.schema.classes, np.bincount(table.labels, minlength=2).tolist(), strict=False))
        raise FamilyError(
            f"a class has fewer than two rows ({counts}): nothing can be learned of it; add rows or drop it"
        )
    kind = "binary" if len(table.schema.classes) == 2 else "multiclass"
    folds: Any = StratifiedKFold(min(FOLDS, smallest), shuffle=True, random_state=seed)
    return TargetEncoder(target_type=kind, cv=folds)


def lookup_tables(encoder: ColumnTransformer, schema: Schema) -> list[Matrix]:
    """What the fitted encoder gives for every slot of every category column, asked of the encoder itself."""
    places = category_columns(schema)
    if not places:
        return []
    longest = max(len(slots(schema, at)) for at in places)
    probe = np.full((longest, len(places)), UNSEEN)
    for column, at in enumerate(places):
        values = slots(schema, at)
        probe[: len(values), column] = values
    answers = np.asarray(encoder.named_transformers_["categories"].transform(probe), dtype=np.float64)
    width = answers.shape[1] // len(places)
    return [
        answers[: len(slots(schema, at)), column * width : (column + 1) * width] for column, at in enumerate(places)
    ]


def feature_places(encoder: ColumnTransformer, schema: Schema) -> npt.NDArray[np.int64]:
    """Where the fast form holds each encoded feature: numbers at their own column, looked up values behind them all."""
    looked_up = sum(table.shape[1] for table in lookup_tables(encoder, schema))
    behind = len(schema.columns)
    return np.array([*number_columns(schema), *range(behind, behind + looked_up)], dtype=np.int64)
