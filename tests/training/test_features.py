"""A table becomes a schema and a matrix, the same later as at training."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from training.features import FeatureError, encode, features, infer_schema, targets

FRAME = pl.DataFrame(
    {
        "age": [30, 41, None, 25],
        "paid": [1.5, 2.0, 3.5, float("nan")],
        "active": [True, False, None, True],
        "plan": ["b", "a", None, "b"],
        "left": ["no", "yes", "no", None],
    }
)


def test_kinds_ranges_levels_and_gaps_are_what_the_rows_show() -> None:
    schema = infer_schema(FRAME, "left")
    assert [column.kind for column in schema.columns] == ["integer", "number", "boolean", "category"]
    assert [column.missing for column in schema.columns] == [True, True, True, True]
    assert (schema.columns[0].minimum, schema.columns[0].maximum) == (25, 41)
    assert schema.columns[3].levels == ("a", "b")
    assert (schema.task, schema.classes) == ("classification", ("no", "yes"))


def test_missing_is_nan_a_level_its_index_and_an_unknown_one_minus_one() -> None:
    schema = infer_schema(FRAME, "left")
    later = FRAME.with_columns(pl.Series("plan", ["a", "z", None, "b"]))
    np.testing.assert_array_equal(
        encode(later, schema),
        [[30, 1.5, 1, 0], [41, 2, 0, -1], [np.nan, 3.5, np.nan, np.nan], [25, np.nan, 1, 1]],
    )


def test_rows_without_a_target_are_left_out() -> None:
    made = features({"train": FRAME}, infer_schema(FRAME, "left"))["train"]
    np.testing.assert_array_equal(made.target, [0, 1, 0])
    assert len(made.rows) == 3


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        ([1, 2, 3, 1], "classification", ("1", "2", "3")),
        ([0.5, 1.5, 2.5, 3.5], "regression", ()),
        (list(range(4)), "classification", ("0", "1", "2", "3")),
        ([True, False, True, False], "classification", ("false", "true")),
    ],
)
def test_the_task_follows_from_the_target(values: list[float], task: str, classes: tuple[str, ...]) -> None:
    schema = infer_schema(FRAME.with_columns(pl.Series("y", values)), "y")
    assert (schema.task, schema.classes) == (task, classes)


def test_a_whole_number_target_can_be_said_to_be_a_regression() -> None:
    schema = infer_schema(FRAME.with_columns(pl.Series("y", [1, 2, 3, 4])), "y", task="regression")
    assert schema.task == "regression"


def test_numbers_can_be_said_to_be_names_and_columns_left_out() -> None:
    schema = infer_schema(FRAME, "left", drop=["paid"], categories=["age"])
    assert schema.names == ("age", "active", "plan")
    assert schema.columns[0].levels == ("25", "30", "41")
    assert encode(FRAME, schema)[0, 0] == 1


@pytest.mark.parametrize(
    ("frame", "target", "said"),
    [
        (FRAME, "lft", "there is no column 'lft' to predict. Did you mean 'left'"),
        (FRAME.select("left"), "left", "no column is left to learn from"),
        (FRAME.with_columns(pl.lit("x").alias("left")), "left", "the single value 'x'"),
        (FRAME.with_columns(pl.lit(dt.date(2026, 1, 1)).alias("day")), "left", "'day' holds Date"),
    ],
)
def test_what_cannot_become_features_is_named(frame: pl.DataFrame, target: str, said: str) -> None:
    with pytest.raises(FeatureError, match=said):
        infer_schema(frame, target)


def test_a_column_that_is_absent_or_of_another_kind_later_is_named() -> None:
    schema = infer_schema(FRAME, "left")
    with pytest.raises(FeatureError, match="the table lacks plan"):
        encode(FRAME.drop("plan"), schema)
    with pytest.raises(FeatureError, match="'age' holds String, and training fixed it as integer"):
        encode(FRAME.with_columns(pl.lit("old").alias("age")), schema)
    with pytest.raises(FeatureError, match="holds perhaps, which training never saw"):
        targets(FRAME.with_columns(pl.lit("perhaps").alias("left")), schema)


def test_an_unknown_name_to_drop_is_answered_with_the_nearest() -> None:
    with pytest.raises(FeatureError, match=r"'drop' names columns that are not there: payd\. Did you mean 'paid'"):
        infer_schema(FRAME, "left", drop=["payd"])
