"""The churn table is seeded, looks like a real one, and its knobs do what they say."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from contract.stages import WRONG_SETTINGS
from training import sample
from training.cli import main


def test_the_same_seed_gives_the_same_table_and_another_seed_other_rows(table: pl.DataFrame) -> None:
    assert sample.churn(1200, 1).equals(table)
    assert not sample.churn(1200, 2).equals(table)


def test_it_has_twenty_numbers_and_five_categories_up_to_thousands_of_levels_with_gaps(table: pl.DataFrame) -> None:
    inputs = table.drop(sample.TARGET)
    assert sum(kind.is_numeric() for kind in inputs.dtypes) == 20
    assert sum(kind == pl.String for kind in inputs.dtypes) == 5
    assert max(sample.CATEGORIES.values()) >= 3000
    assert 0.3 < table["rating"].null_count() / len(table) < 0.4
    assert 0.15 < (table[sample.TARGET] == "yes").sum() / len(table) < 0.35


def test_drift_moves_numbers_and_brings_devices_that_training_never_saw() -> None:
    now, later = sample.churn(4000, 1), sample.churn(4000, 1, sample.Knobs(drift=1))
    assert float(str(later["monthly_charge"].mean())) > 1.1 * float(str(now["monthly_charge"].mean()))
    fresh = set(later["device_model"].to_list()) - {f"device_model-{at:03d}" for at in range(700)}
    assert len(fresh) > 10
    assert not (set(now["device_model"].to_list()) & fresh)


def test_concept_drift_changes_the_outcome_and_not_the_inputs() -> None:
    now, later = sample.churn(4000, 1), sample.churn(4000, 1, sample.Knobs(concept=1))
    assert now.drop(sample.TARGET).equals(later.drop(sample.TARGET))
    assert (now[sample.TARGET] != later[sample.TARGET]).sum() > 400


def test_missing_scales_the_gaps() -> None:
    assert (
        sample.churn(2000, 1, sample.Knobs(missing=2))["rating"].null_count()
        > 1.8 * sample.churn(2000, 1)["rating"].null_count()
    )


def test_half_of_the_outcomes_of_those_who_stay_are_known_after_the_delay(table: pl.DataFrame) -> None:
    known = sample.outcomes(table, 1, sample.Knobs(delay_days=60))
    median = {value: group["known_after_days"].median() for (value,), group in known.group_by("value")}
    assert median["no"] == pytest.approx(60, rel=0.15)
    assert median["yes"] == pytest.approx(42, rel=0.2)


@pytest.mark.parametrize(
    ("name", "rows", "columns"), [("iris", 150, 5), ("breast_cancer", 569, 31), ("diabetes", 442, 11)]
)
def test_the_classic_sets_are_there(name: str, rows: int, columns: int) -> None:
    made, target = sample.CLASSICS[name]
    assert made().shape == (rows, columns)
    assert target in made().columns


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_the_command_writes_the_form_that_the_ending_names(tmp_path: Path, ending: str) -> None:
    out = tmp_path / "new" / f"churn.{ending}"
    assert main(["sample", "churn", "--rows", "50", "--seed", "3", "--out", str(out)]) == 0
    assert out.stat().st_size > 1000


def test_an_unknown_ending_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected one of \.csv, \.parquet, \.jsonl"):
        sample.write(sample.iris(), tmp_path / "iris.xlsx")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--out", "x.xlsx"], "'x.xlsx' ends in '.xlsx', expected one of .csv, .parquet, .jsonl"),
        (["--out", "x.csv", "--rows", "0"], "expected at least 1 row"),
        (["--out", "x.csv", "--missing", "-1"], "missing is -1.0, expected a number of at least 0"),
    ],
)
def test_a_table_that_cannot_be_made_is_refused_in_words(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "churn", *options]) == WRONG_SETTINGS
    assert told in capsys.readouterr().out
