"""Gates turn evidence into a verdict that says what was found and what was wanted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from delivery.evidence import Approval, Evidence, Measure, SliceMeasure
from delivery.gates import Gates, Verdict, judge

AUC = Measure(value=0.80, low=0.78, high=0.82)


def evidence(now: datetime, **changes: Any) -> Evidence:
    slices = tuple(
        SliceMeasure(column="plan", level=level, metric="recall", rows=rows, measure=Measure(value=value))
        for level, rows, value in (("basic", 900, 0.70), ("pro", 400, 0.62), ("rare", 5, 0.10))
    )
    whole: dict[str, Any] = {
        "model": "churn",
        "version": 3,
        "author": "ana",
        "made_at": now - timedelta(days=2),
        "artifact_hash": "a",
        "artifact_bytes": 3_000_000,
        "data_hash": "d",
        "code_hash": "c",
        "images": {"training": "x@sha256:1"},
        "metrics": {"auc": AUC, "log_loss": Measure(value=0.40)},
        "slices": slices,
        "champion": {"auc": Measure(value=0.81, low=0.79, high=0.83), "log_loss": Measure(value=0.45)},
        "latency_p99_ms": 4.0,
        "drift_score": 0.02,
        "approvals": (Approval(who="bo", when=now - timedelta(hours=1)), Approval(who="ana", when=now)),
    }
    return Evidence.model_validate(whole | changes)


def verdict(now: datetime, gate: dict[str, Any], **changes: Any) -> Verdict:
    return judge(Gates.model_validate({"gates": [gate]}), evidence(now, **changes), now)


@pytest.mark.parametrize(
    ("gate", "word"),
    [
        ({"kind": "threshold", "metric": "auc", "at_least": 0.78}, "pass"),
        ({"kind": "threshold", "metric": "auc", "at_least": 0.79}, "fail"),
        ({"kind": "threshold", "metric": "auc", "at_least": 0.80, "by": "estimate"}, "pass"),
        ({"kind": "threshold", "metric": "auc", "at_most": 0.82}, "pass"),
        ({"kind": "threshold", "metric": "auc", "at_most": 0.81}, "fail"),
        ({"kind": "threshold", "metric": "log_loss", "at_most": 0.40, "by": "estimate"}, "pass"),
        ({"kind": "threshold", "metric": "log_loss", "at_most": 0.39, "by": "estimate"}, "fail"),
        ({"kind": "relative", "metric": "auc", "margin": 0.02}, "pass"),
        ({"kind": "relative", "metric": "auc", "margin": 0.005}, "fail"),
        ({"kind": "relative", "metric": "log_loss", "better": "lower"}, "pass"),
        ({"kind": "relative", "metric": "log_loss", "better": "higher"}, "fail"),
        ({"kind": "slices", "metric": "recall", "at_least": 0.62}, "pass"),
        ({"kind": "slices", "metric": "recall", "at_least": 0.65}, "fail"),
        ({"kind": "slices", "metric": "recall", "at_least": 0.62, "minimum_rows": 5}, "fail"),
        ({"kind": "fairness", "metric": "recall", "column": "plan", "difference_at_most": 0.09}, "pass"),
        ({"kind": "fairness", "metric": "recall", "column": "plan", "difference_at_most": 0.07}, "fail"),
        ({"kind": "latency", "p99_ms_at_most": 4}, "pass"),
        ({"kind": "latency", "p99_ms_at_most": 3.9}, "fail"),
        ({"kind": "size", "megabytes_at_most": 3}, "pass"),
        ({"kind": "size", "megabytes_at_most": 2.9}, "fail"),
        ({"kind": "drift", "score_at_most": 0.02}, "pass"),
        ({"kind": "drift", "score_at_most": 0.01}, "fail"),
        ({"kind": "approvals"}, "pass"),
        ({"kind": "approvals", "at_least": 2}, "fail"),
        ({"kind": "approvals", "at_least": 2, "author_may_approve": True}, "pass"),
        ({"kind": "age", "days_at_most": 2}, "pass"),
        ({"kind": "age", "days_at_most": 1.9}, "fail"),
    ],
)
def test_a_gate_judges_at_its_bound(now: datetime, gate: dict[str, Any], word: str) -> None:
    assert verdict(now, gate).word == word


@pytest.mark.parametrize(
    ("gate", "changes", "says"),
    [
        (
            {"kind": "threshold", "metric": "auk", "at_least": 0.7},
            {},
            "metric 'auk' is missing (there is: auc, log_loss)",
        ),
        ({"kind": "threshold", "metric": "log_loss", "at_most": 1}, {}, "by: estimate judges the number alone"),
        ({"kind": "relative", "metric": "f1"}, {}, "metric 'f1' of both is missing (there is: auc, log_loss)"),
        ({"kind": "slices", "metric": "f1", "at_least": 0.1}, {}, "there is: recall by plan"),
        ({"kind": "fairness", "metric": "recall", "column": "age", "difference_at_most": 1}, {}, "two levels of 'age'"),
        ({"kind": "latency", "p99_ms_at_most": 9}, {"latency_p99_ms": None}, "a latency measurement is missing"),
        ({"kind": "drift", "score_at_most": 9}, {"drift_score": None}, "a drift score against the last release"),
        ({"kind": "approvals"}, {"approvals": ()}, "nobody"),
    ],
)
def test_missing_evidence_fails_the_gate_that_asks_for_it_and_says_what_there_is(
    now: datetime, gate: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    judged = verdict(now, gate, **changes)
    assert judged.word == "fail"
    assert says in judged.failures[0].found


def test_a_first_model_has_no_champion_to_lose_to_and_no_release_to_drift_from(now: datetime) -> None:
    first: dict[str, Any] = {"champion": None, "drift_score": None}
    assert verdict(now, {"kind": "relative", "metric": "auc"}, **first).word == "pass"
    assert verdict(now, {"kind": "drift", "score_at_most": 0.1}, **first).word == "pass"


def test_an_approval_from_the_future_does_not_count(now: datetime) -> None:
    late = (Approval(who="bo", when=now + timedelta(seconds=1)),)
    assert verdict(now, {"kind": "approvals"}, approvals=late).word == "fail"


def test_evidence_from_the_future_is_not_fresh(now: datetime) -> None:
    assert verdict(now, {"kind": "age", "days_at_most": 5}, made_at=now + timedelta(seconds=1)).word == "fail"


def test_every_slice_is_named_in_its_finding(now: datetime) -> None:
    judged = verdict(now, {"kind": "slices", "metric": "recall", "at_least": 0.65})
    assert [(each.gate, each.word) for each in judged.findings] == [
        ("slices recall plan=basic", "pass"),
        ("slices recall plan=pro", "fail"),
    ]


def test_a_loss_beyond_the_noise_is_called_sure(now: datetime) -> None:
    sure = Measure(value=0.90, low=0.89, high=0.91)
    assert (
        "surely worse" in verdict(now, {"kind": "relative", "metric": "auc"}, champion={"auc": sure}).findings[0].found
    )
    assert "surely" not in verdict(now, {"kind": "relative", "metric": "auc"}).findings[0].found


# How uncertainty counts against the champion.

BY = ("bound", "estimate", "proof")  # strictest first


def compared(gate: dict[str, Any], ours: Measure, theirs: Measure) -> bool:
    moment = datetime.fromisoformat("2026-03-01T12:00:00+00:00")
    judged = verdict(
        moment, {"kind": "relative", "metric": "auc"} | gate, metrics={"auc": ours}, champion={"auc": theirs}
    )
    return judged.word == "pass"


def around(value: float, half: float) -> Measure:
    return Measure(value=value, low=value - half, high=value + half)


values, halves, margins = st.floats(-1, 1), st.floats(0, 1), st.floats(0, 0.5)
measures = st.builds(around, values, halves)


@pytest.mark.parametrize(("half", "passing"), [(0.05, {"proof"}), (0.0001, set())])
def test_a_small_loss_in_wide_intervals_is_neither_sure_nor_ruled_out(half: float, passing: set[str]) -> None:
    ours, theirs = around(0.80, half), around(0.811, half)
    assert {by for by in BY if compared({"margin": 0.01, "by": by}, ours, theirs)} == passing


def test_a_gain_in_wide_intervals_is_not_yet_safe() -> None:
    ours, theirs = around(0.82, 0.05), around(0.81, 0.05)
    assert {by for by in BY if compared({"margin": 0.01, "by": by}, ours, theirs)} == {"estimate", "proof"}


@given(measures, measures, margins)
def test_what_is_ruled_out_does_not_fail_and_what_fails_by_proof_fails_by_all(
    ours: Measure, theirs: Measure, margin: float
) -> None:
    passed = [compared({"margin": margin, "by": by}, ours, theirs) for by in BY]
    assert passed == sorted(passed)


@given(values, values, margins)
def test_without_doubt_all_ways_agree(ours: float, theirs: float, margin: float) -> None:
    assert len({compared({"margin": margin, "by": by}, around(ours, 0), around(theirs, 0)) for by in BY}) == 1


@given(measures, measures, margins)
def test_the_estimate_asks_nothing_of_intervals_and_is_what_counts_when_nothing_is_said(
    ours: Measure, theirs: Measure, margin: float
) -> None:
    alone = compared({"margin": margin}, Measure(value=ours.value), Measure(value=theirs.value))
    assert (
        alone
        == compared({"margin": margin}, ours, theirs)
        == compared({"margin": margin, "by": "estimate"}, ours, theirs)
    )


@given(values, halves, halves, measures, margins)
def test_more_doubt_never_helps_by_bound_and_never_hurts_by_proof(
    ours: float, half: float, more: float, theirs: Measure, margin: float
) -> None:
    sure, doubtful = around(ours, half), around(ours, half + more)
    assert compared({"margin": margin, "by": "bound"}, sure, theirs) >= compared(
        {"margin": margin, "by": "bound"}, doubtful, theirs
    )
    assert compared({"margin": margin, "by": "proof"}, sure, theirs) <= compared(
        {"margin": margin, "by": "proof"}, doubtful, theirs
    )


@given(measures, measures, margins, st.sampled_from(BY))
def test_where_lower_is_better_the_same_holds_upside_down(
    ours: Measure, theirs: Measure, margin: float, by: str
) -> None:
    gate = {"margin": margin, "by": by}
    mirrored = [Measure(value=-each.value, low=-(each.high or 0), high=-(each.low or 0)) for each in (ours, theirs)]
    assert compared(gate, ours, theirs) == compared(gate | {"better": "lower"}, *mirrored)


@pytest.mark.parametrize("by", ["bound", "proof"])
def test_doubt_that_is_not_known_is_missing_evidence(now: datetime, by: str) -> None:
    judged = verdict(now, {"kind": "relative", "metric": "log_loss", "better": "lower", "by": by})
    assert "an interval for 'log_loss' of both is missing" in judged.failures[0].found
    assert "by: estimate judges the numbers alone" in judged.failures[0].found
    assert verdict(now, {"kind": "relative", "metric": "log_loss", "by": by}, champion=None).word == "pass"


def test_gates_of_before_there_was_a_choice_keep_their_text() -> None:
    given: dict[str, Any] = {"kind": "relative", "metric": "auc", "margin": 0.02, "better": "higher"}
    dumped = Gates.model_validate({"gates": [given, given | {"by": "bound"}]}).model_dump(mode="json")
    assert dumped == {"gates": [given, given | {"by": "bound"}]}


@pytest.mark.parametrize(
    "gate",
    [
        {"kind": "relative", "metric": "auc", "by": "bounds"},
        {"kind": "threshold", "metric": "auc"},
        {"kind": "threshold", "metric": "auc", "at_least": 0.1, "at_most": 0.2},
        {"kind": "threshold", "metric": "auc", "at_lest": 0.1},
        {"kind": "threshold", "metric": "auc", "at_least": float("nan")},
        {"kind": "speed", "at_least": 1},
        {"kind": "relative", "metric": "auc", "margin": -0.1},
        {"kind": "approvals", "at_least": 0},
    ],
)
def test_a_gate_that_makes_no_sense_is_refused_when_it_is_read(gate: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Gates.model_validate({"gates": [gate]})


def test_no_gates_at_all_is_refused() -> None:
    with pytest.raises(ValidationError):
        Gates.model_validate({"gates": []})


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_a_verdict_passes_only_when_every_gate_does(floors: list[float]) -> None:
    moment = datetime.fromisoformat("2026-03-01T12:00:00+00:00")
    gates = [{"kind": "threshold", "metric": "auc", "at_least": floor} for floor in floors]
    judged = judge(Gates.model_validate({"gates": gates}), evidence(moment), moment)
    assert (judged.word == "pass") == all(AUC.low is not None and AUC.low >= floor for floor in floors)
