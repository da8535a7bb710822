"""What the monitor left is told as it is: which columns moved, what is proven, and how sure quality is."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.cli.watching import quality_text, window_text
from delivery.judgements import JudgementError, chosen, quality_of, window_of


def window(status: str = "drift", rows: int = 500) -> dict[str, Any]:
    return {
        "variant": "champion",
        "since": "2026-03-01T10:00:00+00:00",
        "until": "2026-03-01T11:00:00+00:00",
        "rows": rows,
        "verdict": {
            "status": status,
            "predictions": "quiet",
            "causes": [{"columns": ["age", "income"], "effect": 2.5, "log_p": -40.0, "windows": 3}],
        },
        "columns": [
            {"name": "income", "role": "feature", "effect": 0.4},
            {"name": "age", "role": "feature", "effect": 2.5},
            {"name": "predicted", "role": "prediction", "effect": None},
        ],
        "violations": [{"feature_name": "age", "constraint_check_type": "range_check", "description": "below 0"}],
        "past": [{"since": "2026-03-01T09:00:00+00:00", "status": "quiet"}],
    }


def measured(value: float | None, n: int = 100) -> dict[str, Any]:
    return {
        "value": value,
        "low": None if value is None else value - 0.1,
        "high": None if value is None else value + 0.1,
        "n": n,
    }


def quality(below: list[str], decayed: list[str]) -> dict[str, Any]:
    part = {
        "variant": "champion",
        "slice": "",
        "measures": {"auc": measured(0.7)},
        "estimate": {"auc": measured(None, 0)},
        "coverage": {"share": measured(0.25, 400)},
        "below_threshold": below,
    }
    return {"made": "2026-03-01T11:00:00+00:00", "main": "auc", "parts": [part], "decayed": {"champion": decayed}}


def test_the_column_that_moved_most_comes_first_and_says_whether_that_matters() -> None:
    found = window_of(window(), "s3://r/report.html")
    assert [(each.column, each.matters) for each in found.columns] == [
        ("age", True),
        ("income", False),
        ("predicted", False),
    ]
    assert found.causes == ("age with income: 2.50 times what matters over 3 windows",)
    assert found.violations == ("age: below 0",)
    assert found.alarming


def test_a_quiet_window_without_violations_is_not_alarming() -> None:
    assert not window_of(window("quiet") | {"violations": []}, "").alarming


def test_a_window_that_nobody_asked_anything_in_says_so_instead_of_effects() -> None:
    text = window_text(window_of(window("not enough data", rows=0), ""))
    assert "nothing was asked" in text
    assert "age" not in text


def test_one_column_can_be_looked_at_and_a_wrong_one_names_the_nearest() -> None:
    windows = [window_of(window(), "")]
    assert [each.column for each in chosen(windows, "income")[0].columns] == ["income"]
    with pytest.raises(JudgementError, match="Did you mean 'income'"):
        chosen(windows, "incom")


@pytest.mark.parametrize(("below", "decayed", "alarming"), [([], [], False), (["auc"], [], True), ([], ["yes"], True)])
def test_quality_alarms_when_it_is_surely_below_or_decayed(
    below: list[str], decayed: list[str], alarming: bool
) -> None:
    assert quality_of(quality(below, decayed), "").alarming is alarming


def test_quality_is_told_between_its_bounds_with_what_is_known_of_outcomes() -> None:
    text = quality_text(quality_of(quality(["auc"], []), "s3://r/outcomes.html"))
    assert "0.6 to 0.8" in text
    assert "outcomes known" in text
    assert "unknown" in text
    assert "below its threshold: champion auc" in text
