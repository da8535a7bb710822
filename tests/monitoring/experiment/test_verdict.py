"""The verdict, from looks to words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.records import RecordError
from monitoring.experiment.experiment import ERRORS, LATENCY, Experiment, Guardrail, Metric
from monitoring.experiment.judge import Judgement, judge
from monitoring.experiment.looks import Arm, Look, Progress, Sums, Tally
from monitoring.experiment.verdict import Decision

CONVERSION = Metric("conversion", "rate", base=0.10, minimum_effect=0.02)
EXPERIMENT = Experiment("spring", CONVERSION, minimum_looks=3)


def arm(rate: float, n: int = 2000, errors: float = 0.0, slow: float = 0.01, weight: float = 1.0) -> Arm:
    guardrails = {"errors": Tally(n, round(n * errors)), "latency_p99": Tally(n, round(n * slow))}
    return Arm(n, Tally(n, round(n * rate)), guardrails, weight)


def play(champion: Arm, challenger: Arm, looks: int, experiment: Experiment = EXPERIMENT) -> Judgement:
    progress = Progress(experiment)
    for number in range(looks):
        progress = progress.add(Look(f"2026-01-01T{number:02}:00:00Z", champion, challenger))
    found = judge(progress)
    assert found is not None
    return found


def test_before_the_first_look_there_is_no_judgement() -> None:
    assert judge(Progress(EXPERIMENT)) is None


def test_a_better_challenger_is_promoted_but_not_before_the_minimum_duration() -> None:
    assert play(arm(0.10), arm(0.14), 2).verdict.decision is Decision.KEEP_RUNNING
    assert "1 more looks of the minimum duration" in play(arm(0.10), arm(0.14), 2).verdict.reason
    promoted = play(arm(0.10), arm(0.14), 4).verdict
    assert promoted.decision is Decision.PROMOTE
    assert promoted.low <= promoted.estimate <= promoted.high
    assert abs(promoted.estimate - 0.04) < 0.005


def test_a_worse_challenger_is_stopped_even_before_the_minimum_duration() -> None:
    found = play(arm(0.10), arm(0.05), 1).verdict
    assert found.decision is Decision.STOP_FOR_HARM
    assert "conversion" in found.reason


def test_direction_is_known_a_lower_rate_can_be_the_better_one() -> None:
    fewer = replace(EXPERIMENT, metric=replace(CONVERSION, better="lower"))
    assert play(arm(0.10), arm(0.06), 4, fewer).verdict.decision is Decision.PROMOTE
    assert play(arm(0.10), arm(0.16), 4, fewer).verdict.decision is Decision.STOP_FOR_HARM


def test_identical_variants_end_as_no_difference() -> None:
    found = play(arm(0.10), arm(0.10), 12).verdict
    assert found.decision is Decision.NO_DIFFERENCE
    assert "ruled out" in found.reason


def test_a_gain_that_is_real_but_surely_too_small_is_no_difference() -> None:
    found = play(arm(0.10, n=200_000), arm(0.103, n=200_000), 4).verdict
    assert found.low > 0
    assert found.decision is Decision.NO_DIFFERENCE


def test_the_planned_size_ends_an_experiment_without_proof() -> None:
    planned = replace(EXPERIMENT, planned_requests=12_000)
    found = play(arm(0.10), arm(0.108), 3, planned).verdict
    assert found.decision is Decision.NO_DIFFERENCE
    assert "planned size" in found.reason


def test_doubled_errors_stop_even_a_better_challenger() -> None:
    found = play(arm(0.10, errors=0.02), arm(0.15, errors=0.05), 4).verdict
    assert found.decision is Decision.STOP_FOR_HARM
    assert "errors above 1.1 times" in found.reason


def test_slow_answers_stop_even_a_better_challenger() -> None:
    found = play(arm(0.10, slow=0.01), arm(0.15, slow=0.04), 4).verdict
    assert found.decision is Decision.STOP_FOR_HARM
    assert "latency_p99" in found.reason


def test_no_promotion_without_proof_that_errors_are_not_doubled() -> None:
    strict = replace(EXPERIMENT, guardrails=(replace(ERRORS, negligible=0.0), LATENCY))
    waiting = play(arm(0.10, n=1000, errors=0.001), arm(0.16, n=1000, errors=0.001), 4, strict).verdict
    assert waiting.decision is Decision.KEEP_RUNNING
    assert "errors are not multiplied" in waiting.reason
    assert play(arm(0.10, errors=0.02), arm(0.16, errors=0.02), 6, strict).verdict.decision is Decision.PROMOTE


def test_few_enough_errors_need_no_comparison() -> None:
    assert play(arm(0.10, errors=0.0), arm(0.16, errors=0.0), 4).verdict.decision is Decision.PROMOTE


def test_a_broken_split_forbids_every_conclusion_but_harm() -> None:
    lost = replace(arm(0.16, n=1500), weight=1.0)
    found = play(arm(0.10), lost, 6).verdict
    assert found.sample_ratio_alarm
    assert found.decision is Decision.KEEP_RUNNING
    assert "cannot be trusted" in found.reason
    assert play(arm(0.10), replace(arm(0.05, n=1500), weight=1.0), 6).verdict.decision is Decision.STOP_FOR_HARM


def test_a_two_sided_question_needs_stronger_proof_than_a_one_sided_one() -> None:
    two = replace(EXPERIMENT, sided="two")
    assert two.promotion_level == EXPERIMENT.promotion_level / 2
    decisions = [play(arm(0.10), arm(0.12), 5, each).decisions for each in (EXPERIMENT, two)]
    first = [each.index(Decision.PROMOTE) if Decision.PROMOTE in each else 99 for each in decisions]
    assert first[0] <= first[1]


def test_business_metrics_go_through_the_same_verdict() -> None:
    rng = np.random.default_rng(1)
    revenue = Experiment("spring", Metric("revenue", "mean", 2.0, 0.2, spread=2.0), (), minimum_looks=3)
    progress = Progress(revenue)
    for number in range(12):
        champion, challenger = (Arm(500, Sums.of(rng.exponential(mean, 500))) for mean in (2.0, 2.5))
        progress = progress.add(Look(f"{number:03}", champion, challenger))
    found = judge(progress)
    assert found is not None
    assert found.verdict.decision is Decision.PROMOTE
    assert abs(found.verdict.estimate - 0.5) < 0.2


def test_a_ratio_metric_goes_through_the_same_verdict() -> None:
    rng = np.random.default_rng(2)
    clicks = Experiment("spring", Metric("clicks", "ratio", 0.2, 0.02, spread=0.4), (), minimum_looks=3)
    progress = Progress(clicks)
    for number in range(12):
        arms = []
        for rate in (0.2, 0.2):
            views = 1 + rng.poisson(5, 500)
            clicked = rng.binomial(views, rate)
            arms.append(Arm(500, Sums.of(clicked.astype(np.float64), views.astype(np.float64))))
        progress = progress.add(Look(f"{number:03}", *arms))
    found = judge(progress)
    assert found is not None
    assert found.verdict.decision is not Decision.PROMOTE


counts = st.integers(0, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n)))


@st.composite
def some_looks(draw: st.DrawFn) -> list[Look]:
    found = []
    for number in range(draw(st.integers(1, 8))):
        arms = []
        for _ in range(2):
            n, k, errors = draw(counts)
            arms.append(Arm(n, Tally(n, k), {"errors": Tally(n, errors)}, draw(st.sampled_from([0.1, 1.0, 9.0]))))
        found.append(Look(f"look-{number:02}", *arms))
    return found


@given(some_looks(), st.data())
@settings(max_examples=40)
def test_stopping_resuming_and_repeating_ticks_changes_nothing(looks: list[Look], data: st.DataObject) -> None:
    at_once = Progress(EXPERIMENT)
    for look in looks:
        at_once = at_once.add(look)
    resumed = Progress(EXPERIMENT)
    for look in looks:
        resumed = Progress.from_json(json.loads(resumed.dump())).add(look)
        again = data.draw(st.sampled_from(resumed.looks))
        resumed = resumed.add(again).add(replace(again, champion=arm(0.5)))
    assert resumed == at_once
    first, second = judge(at_once), judge(resumed)
    assert first is not None
    assert second is not None
    assert first.verdict == second.verdict


@given(some_looks())
@settings(max_examples=40)
def test_every_look_is_judged_as_if_it_were_the_last(looks: list[Look]) -> None:
    progress = Progress(EXPERIMENT)
    one_by_one = []
    for look in looks:
        progress = progress.add(look)
        found = judge(progress)
        assert found is not None
        one_by_one.append(found.verdict.decision)
    assert found is not None
    assert list(found.decisions) == one_by_one


def test_the_state_of_five_hundred_looks_is_small() -> None:
    progress = Progress(EXPERIMENT)
    for number in range(500):
        progress = progress.add(Look(f"{number:03}", arm(0.1), arm(0.1)))
    assert len(progress.dump()) < 250_000


def test_a_look_that_does_not_fit_its_experiment_is_refused_with_the_reason() -> None:
    with pytest.raises(RecordError, match="is a rate, so it needs n and events"):
        Progress(EXPERIMENT).add(Look("1", Arm(1, Sums()), Arm(1, Sums())))
    with pytest.raises(RecordError, match="no guardrail named memory; the experiment has errors, latency_p99"):
        Progress(EXPERIMENT).add(Look("1", Arm(1, Tally(), {"memory": Tally()}), Arm(1, Tally())))
    with pytest.raises(RecordError, match="5 events among 3"):
        Tally(3, 5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "median"}, "expected 'rate' or 'mean' or 'ratio'"),
        ({"better": "bigger"}, "expected 'higher' or 'lower'"),
        ({"minimum_effect": 0}, "expected a positive change"),
        ({"minimum_effect": 0.95}, "both must lie between 0 and 1"),
        ({"kind": "mean"}, "expected the standard deviation"),
        ({"covariate_correlation": 1.0}, "expected between -1 and 1"),
    ],
)
def test_a_metric_that_makes_no_sense_says_why(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RecordError, match=words):
        replace(CONVERSION, **change)


def test_an_experiment_survives_json_and_names_what_it_does_not_know() -> None:
    assert Experiment.from_json(EXPERIMENT.to_json()) == EXPERIMENT
    with pytest.raises(RecordError, match="did you mean 'minimum_looks'"):
        Experiment.from_json(EXPERIMENT.to_json() | {"minimum_look": 3})
    with pytest.raises(RecordError, match="stands twice"):
        Experiment("x", CONVERSION, (Guardrail("conversion", "errors"),))


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(RecordError, match="version 7"):
        Progress.from_json({"version": 7})
