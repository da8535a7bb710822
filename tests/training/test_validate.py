"""Data nobody should train on is refused with a reason; what is odd is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contract.records import Schema
from training import sample
from training.features import infer_schema
from training.settings import Settings
from training.snapshot import Snapshot, snapshot
from training.validate import DataRefusedError, DataReport, validate, write_report

SETTINGS = Settings(target=sample.TARGET)


def judge(frame: pl.DataFrame, settings: Settings = SETTINGS, expected: Schema | None = None) -> DataReport:
    taken = snapshot({"train": frame}, settings)
    return validate(taken, infer_schema(taken.train, settings.target), settings, expected)


def said(report: DataReport, level: str = "error") -> str:
    return "\n".join(finding.says for finding in report.findings if finding.level == level)


def test_good_data_passes(table: pl.DataFrame) -> None:
    report = judge(table)
    assert report.passed, said(report)
    report.demand()


def test_a_column_that_tells_the_outcome_is_a_leak_whether_number_or_name(table: pl.DataFrame) -> None:
    left = (pl.col(sample.TARGET) == "yes").cast(pl.Float64)
    leaky = table.with_columns(
        (left * 100 + pl.col("age").fill_null(0) / 1000).alias("refund"),
        pl.when(pl.col(sample.TARGET) == "yes").then(pl.lit("closed")).otherwise(pl.lit("open")).alias("account"),
    )
    report = judge(leaky)
    assert {finding.column for finding in report.errors} == {"refund", "account"}
    with pytest.raises(DataRefusedError, match="was probably written after the outcome") as raised:
        report.demand()
    assert "allow=leakage" in str(raised.value)


def test_a_leak_into_a_regression_is_found() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=300)
    frame = pl.DataFrame({"x": rng.normal(size=300), "copy": y * 3 + 1, "y": y})
    assert [finding.column for finding in judge(frame, Settings(target="y")).errors] == ["copy"]


def test_what_is_allowed_only_warns(table: pl.DataFrame) -> None:
    leaky = table.with_columns((pl.col(sample.TARGET) == "yes").cast(pl.Int64).alias("gone"))
    report = judge(leaky, replace(SETTINGS, allow=("leakage",)))
    assert report.passed
    assert "'gone' alone tells" in said(report, "warning")


def test_duplicates_warn_and_too_many_refuse(table: pl.DataFrame) -> None:
    some = Snapshot({"train": pl.concat([table, table.head(100)]), "validation": sample.churn(200, 5)}, "hash")
    report = validate(some, infer_schema(some.train, sample.TARGET), SETTINGS)
    assert "repeat another one exactly" in said(report, "warning")
    many = Snapshot({"train": pl.concat([table.head(100)] * 5), "validation": sample.churn(200, 5)}, "hash")
    assert "repeat another one exactly" in said(validate(many, infer_schema(many.train, sample.TARGET), SETTINGS))


def test_rows_shared_between_splits_refuse(table: pl.DataFrame) -> None:
    taken = Snapshot({"train": table, "validation": table.head(100)}, "hash")
    report = validate(taken, infer_schema(table, sample.TARGET), SETTINGS)
    assert "100.0% of the rows of 'validation' stand in the training rows" in said(report)


def test_few_rows_a_lone_class_a_lost_column_and_infinity_refuse(table: pl.DataFrame) -> None:
    frame = table.head(15).with_columns(
        pl.lit(None, dtype=pl.Float64).alias("lost"),
        pl.lit(float("inf")).alias("ratio"),
        pl.Series(sample.TARGET, ["only once", *["no"] * 7, *["yes"] * 7]),
    )
    taken = Snapshot({"train": frame, "validation": table.tail(50)}, "hash")
    found = said(validate(taken, infer_schema(frame, sample.TARGET), SETTINGS))
    for part in ("there are 15 rows", "'lost' has no value at all", "'ratio' holds infinity", "'only once' has 1 row"):
        assert part in found


def test_rare_classes_constants_identifiers_and_gaps_are_remarked(table: pl.DataFrame) -> None:
    rng = np.random.default_rng(0)
    frame = table.with_columns(
        pl.lit(1).alias("same"),
        pl.Series("customer", [f"c-{at}" for at in range(len(table))]),
        pl.when(pl.Series(rng.random(len(table)) < 0.7)).then(None).otherwise(pl.lit(2.0)).alias("gaps"),
        pl.Series(sample.TARGET, ["rare"] * 8 + table[sample.TARGET].to_list()[8:]),
    )
    found = said(judge(frame), "warning")
    for part in ("class 'rare' has", "'same' has one value only", "'customer' has", "'gaps' is missing in"):
        assert part in found


def test_validation_rows_unlike_the_training_rows_are_remarked(table: pl.DataFrame) -> None:
    later = sample.churn(300, 9, sample.Knobs(drift=3)).with_columns(pl.col("monthly_charge") * 50)
    taken = Snapshot({"train": table, "validation": later}, "hash")
    found = said(validate(taken, infer_schema(table, sample.TARGET), SETTINGS), "warning")
    assert "of 'device_model' in 'validation' are levels training never saw" in found
    assert "of 'monthly_charge' in 'validation' lie outside" in found


def test_a_word_among_numbers_refuses_and_numbers_that_are_names_do_not(table: pl.DataFrame) -> None:
    texts = ["lots", *map(str, range(1, len(table)))]
    taken = Snapshot({"train": table.with_columns(pl.Series("visits", texts))}, "hash")
    schema = infer_schema(taken.train, sample.TARGET)
    assert "1 of the 1200 values of 'visits' are no numbers, the first 'lots' in row 1" in said(
        validate(taken, schema, SETTINGS)
    )
    assert validate(taken, schema, replace(SETTINGS, categories=("visits",))).passed


def test_targets_and_words_that_training_never_saw_refuse_another_split(table: pl.DataFrame) -> None:
    other = sample.churn(200, 5).with_columns(
        pl.lit("perhaps").alias(sample.TARGET), pl.lit("many").alias("support_calls")
    )
    found = said(
        validate(Snapshot({"train": table, "validation": other}, "hash"), infer_schema(table, sample.TARGET), SETTINGS)
    )
    assert "the target 'churned' is perhaps in rows of 'validation', which training never saw" in found
    assert "'support_calls' in 'validation' holds String, and training fixed it as integer" in found


def test_whole_numbers_in_one_split_and_fractions_in_another_are_compared(table: pl.DataFrame) -> None:
    other = table.head(100).with_columns(pl.col("support_calls").cast(pl.Float64))
    report = validate(
        Snapshot({"train": table, "validation": other}, "hash"), infer_schema(table, sample.TARGET), SETTINGS
    )
    assert "100.0% of the rows of 'validation' stand in the training rows" in said(report)


def test_a_promised_schema_is_held_against_the_rows(table: pl.DataFrame) -> None:
    promised = infer_schema(table, sample.TARGET)
    changed = table.drop("age").with_columns(
        pl.lit("low").alias("rating"), pl.col("monthly_charge") * 1000, pl.lit(0.5).alias("extra")
    )
    report = judge(changed, expected=promised)
    assert "the expected column 'age' is not there" in said(report)
    assert "'rating' is category, expected number" in said(report)
    assert "'extra' was not expected" in said(report, "warning")
    assert "'monthly_charge' reaches" in said(report, "warning")


def test_the_report_is_written_for_programs_and_for_people(table: pl.DataFrame, tmp_path: Path) -> None:
    leaky = table.with_columns((pl.col(sample.TARGET) == "yes").cast(pl.Int64).alias("<gone>"))
    write_report(judge(leaky), tmp_path)
    document = json.loads((tmp_path / "data_report.json").read_text())
    assert document["passed"] is False
    assert "leakage" in {finding["check"] for finding in document["findings"]}
    page = (tmp_path / "report.html").read_text()
    assert "&lt;gone&gt;" in page
    assert "<gone>" not in page
