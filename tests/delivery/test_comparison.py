"""Runs stand side by side, with what is not the same in all of them."""

from __future__ import annotations

from delivery.comparison import Side, differences

FIRST = Side("r1", "Succeeded", 1, {"Family": "forest", "data_hash": "d"}, {"auc": 0.7})
SECOND = Side("r2", "Succeeded", 2, {"Family": "logistic", "data_hash": "d"}, {"auc": 0.8, "f1": 0.3})
FAILED = Side("r3", "Failed", None, {"Family": "forest"}, {})


def test_every_fact_and_metric_of_any_run_has_a_line() -> None:
    found = {each.name: each.values for each in differences([FIRST, SECOND, FAILED])}
    assert found["Family"] == ("forest", "logistic", "forest")
    assert found["metric auc"] == ("0.7", "0.8", "")
    assert found["metric f1"] == ("", "0.3", "")
    assert found["version"] == ("1", "2", "")


def test_what_is_the_same_in_all_is_known_to_be() -> None:
    same = {each.name for each in differences([FIRST, SECOND]) if each.same}
    assert same == {"status", "data_hash"}
