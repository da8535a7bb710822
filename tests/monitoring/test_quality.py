"""Data quality: which constraints are broken, and that chance alone does not break them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from contract.records import Column, Schema
from monitoring import modelmonitor
from monitoring.baseline import Baseline, Rows, build
from monitoring.capture import Span, Tally
from monitoring.profile import ProfileError, count
from monitoring.quality import Constraints, Violation, check, constraints_of
from monitoring.window import Window

SCHEMA = Schema((Column("x", "number"), Column("visits", "integer"), Column("kind", "category")), "y", "regression")
UNTIL = datetime(2026, 11, 20, 11, tzinfo=UTC)


def rows(number: int, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = np.where(rng.random(number) < 0.02, np.nan, rng.exponential(size=number))
    return pl.DataFrame({"x": x, "visits": rng.integers(0, 9, number), "kind": rng.choice(["a", "b"], size=number)})


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return build(lambda: [Rows(rows(10_000))], SCHEMA)


def broken(baseline: Baseline, frame: pl.DataFrame, tally: Tally | None = None, **more: object) -> list[Violation]:
    tally = tally or Tally(records=frame.height, latest="2026-11-20T10:59:00Z")
    window = Window(count(frame, baseline.layout), tally, Span(UNTIL - timedelta(hours=1), UNTIL))
    return list(check(window, baseline, **more))  # type: ignore[arg-type]


def test_a_window_like_the_baseline_breaks_nothing(baseline: Baseline) -> None:
    assert [broken(baseline, rows(500, seed)) for seed in range(20)] == [[]] * 20


CHANGES: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str, str]] = {
    "missing": (lambda f: f.with_columns(pl.when(pl.int_range(f.height) % 5 == 0).then(None).otherwise("x").alias("x")),
                "x", "completeness_check"),
    "fractions": (lambda f: f.with_columns(pl.col("visits") + 0.5), "visits", "data_type_check"),
    "text": (lambda f: f.with_columns(pl.lit("?").alias("visits")), "visits", "data_type_check"),
    "negative": (lambda f: f.with_columns(-pl.col("x")), "x", "range_check"),
    "far": (lambda f: f.with_columns(pl.col("visits") + 100), "visits", "range_check"),
    "new level": (lambda f: f.with_columns(pl.lit("c").alias("kind")), "kind", "categorical_values_check"),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES.values(), ids=CHANGES)
def test_a_broken_constraint_is_named_with_its_column(
    baseline: Baseline, case: tuple[Callable[[pl.DataFrame], pl.DataFrame], str, str]
) -> None:
    change, column, kind = case
    found = broken(baseline, change(rows(500, 2)))
    assert (column, kind) in {(each.feature_name, each.constraint_check_type) for each in found}


def test_a_level_is_named_as_far_as_it_fits(baseline: Baseline) -> None:
    found = broken(baseline, rows(500, 2).with_columns(pl.lit("long " * 4_000).alias("kind")))
    assert 100 < len(found[0].description) < 200


def test_one_bad_row_of_ten_is_no_evidence(baseline: Baseline) -> None:
    frame = rows(10, 3).with_columns(pl.when(pl.int_range(10) == 0).then(None).otherwise(pl.col("x")).alias("x"))
    assert broken(baseline, frame) == []


def test_silence_staleness_and_clocks_are_told(baseline: Baseline) -> None:
    usual = [1_000] * 30
    assert [each.constraint_check_type for each in broken(baseline, rows(50, 4), usual_rows=usual)] == ["volume_check"]
    stale = Tally(records=500, latest="2026-11-20T07:00:00Z")
    assert [each.constraint_check_type for each in broken(baseline, rows(500, 4), stale)] == ["freshness_check"]
    ahead = Tally(records=500, latest="2026-11-20T18:00:00Z")
    found = broken(baseline, rows(500, 4), ahead, now=UNTIL)
    assert "A clock is wrong" in found[0].description


def nothing(baseline: Baseline, tally: Tally | None = None, **more: object) -> list[tuple[str, str]]:
    tally, given = tally or Tally(), {"now": UNTIL, **more}
    found = broken(baseline, rows(0), tally, **given)
    return [(each.constraint_check_type, each.description) for each in found]


def test_a_window_without_rows_is_told_where_some_were_to_be_expected(baseline: Baseline) -> None:
    ((kind, said),) = nothing(baseline, requests=600)
    assert (kind, "600 requests" in said) == ("volume_check", True)
    ((kind, said),) = nothing(baseline, others=["champion"])
    assert (kind, "champion" in said) == ("volume_check", True)
    ((kind, said),) = nothing(baseline, usual_rows=[0] * 29)
    assert (kind, "29 windows before it" in said) == ("volume_check", True)


def test_silence_that_nobody_broke_is_no_violation(baseline: Baseline) -> None:
    assert nothing(baseline) == nothing(baseline, requests=0, others=["champion"], usual_rows=[0] * 29) == []
    assert nothing(baseline, requests=20) == []  # one request in ten may be captured


def test_records_of_other_times_are_told_when_there_are_no_others(baseline: Baseline) -> None:
    for newest, says in (
        ("2027-11-20T10:30:00+00:00", "in the future"),
        ("2026-11-19T10:30:00+00:00", "before the end"),
    ):
        ((kind, said),) = nothing(baseline, Tally(records=120, outside=120, newest=newest))
        assert (kind, says in said) == ("freshness_check", True)
    assert nothing(baseline, Tally(records=120, outside=120, newest="2026-11-20T09:30:00+00:00")) == []


def test_records_filed_far_from_their_own_time_are_told_though_most_are_not(baseline: Baseline) -> None:
    tally = Tally(records=1_000, outside=120, astray=120, latest="2026-11-20T10:59:00Z", newest="2027-11-20T10:30:00Z")
    found = broken(baseline, rows(880), tally)
    assert [each.constraint_check_type for each in found] == ["freshness_check"]
    assert "A clock is wrong" in found[0].description


def test_unreadable_and_repeated_records_are_told(baseline: Baseline) -> None:
    tally = Tally(records=500, quarantined=50, repeated=50, latest="2026-11-20T10:59:00Z")
    tally.reasons["not UTF-8"] = 50
    found = [each.constraint_check_type for each in broken(baseline, rows(450, 5), tally)]
    assert found == ["records_check", "duplicates_check"]


def test_constraints_survive_model_monitors_form(baseline: Baseline) -> None:
    document = json.loads(json.dumps(modelmonitor.constraints_document(constraints_of(baseline), baseline.layout)))
    again = modelmonitor.constraints_from(document)
    assert again.columns["x"].is_non_negative
    assert again.columns["x"].completeness == pytest.approx(0.98, abs=0.01)
    assert {feature["inferred_type"] for feature in document["features"]} == {"Fractional", "Integral", "String"}


def test_a_column_may_be_excused_from_evaluation() -> None:
    feature = {"name": "x", "completeness": 1.0, "monitoringConfigOverrides": {"evaluate_constraints": "Disabled"}}
    assert modelmonitor.constraints_from({"version": 0.0, "features": [feature]}).columns == Constraints().columns


def test_statistics_say_what_the_profile_knows(baseline: Baseline) -> None:
    statistics = modelmonitor.statistics(baseline.profile)
    x, _, kind = statistics["features"]
    numbers = x["numerical_statistics"]
    assert numbers["mean"] == pytest.approx(1.0, abs=0.05)
    assert (
        sum(bucket["count"] for bucket in numbers["distribution"]["kll"]["buckets"]) == numbers["common"]["num_present"]
    )
    assert kind["string_statistics"]["distinct_count"] == 2
    json.dumps(statistics, allow_nan=False)


def test_a_baseline_from_statistics_is_near_the_one_from_rows(baseline: Baseline) -> None:
    taken = modelmonitor.baseline_from(modelmonitor.statistics(baseline.profile), SCHEMA)
    assert taken.profile.rows == 10_000
    assert taken.profile.mean(0) == pytest.approx(baseline.profile.mean(0), rel=0.05)
    assert taken.profile.missing.tolist() == baseline.profile.missing.tolist()
    assert not taken.layout.paired


def test_model_monitors_sketch_is_read_by_the_weights_of_its_levels() -> None:
    sketch = {"parameters": {"c": 0.64, "k": 2048}, "data": [[1.0, 2.0], [10.0, 20.0]]}
    feature = {
        "name": "x",
        "inferred_type": "Fractional",
        "numerical_statistics": {
            "common": {"num_present": 6, "num_missing": 2}, "distribution": {"kll": {"buckets": [], "sketch": sketch}},
        },
    }  # fmt: skip
    taken = modelmonitor.baseline_from({"version": 0, "dataset": {"item_count": 8}, "features": [feature]})
    assert taken.profile.mean(0) == pytest.approx((1 + 2 + 2 * 10 + 2 * 20) / 6, rel=1e-3)
    assert taken.profile.missing[0] == 2


def test_files_of_another_version_are_refused() -> None:
    with pytest.raises(ProfileError, match="version 3"):
        modelmonitor.constraints_from({"version": 3, "features": []})
    with pytest.raises(ProfileError, match="features"):
        modelmonitor.baseline_from({"version": 0})
