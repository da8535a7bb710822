"""From evidence to a decision and its sentence: every claim, every level, every combination."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import get_args

import numpy as np
import pytest

from monitoring.experiment.evidence import Evidence, Grid
from monitoring.experiment.experiment import ERRORS, LATENCY, Direction, Experiment, Guardrail, Metric
from monitoring.experiment.guardrails import SMALL_RATES, GuardrailReading, log_e_negligible, read
from monitoring.experiment.judge import (
    NOTHING_YET,
    champion_value,
    harms,
    in_own_unit,
    judge,
    reason,
    show,
    strength,
    totals_shown,
)
from monitoring.experiment.looks import Arm, Look, Progress, Sums, Tally
from monitoring.experiment.odds import Rates
from monitoring.experiment.verdict import Decision, Evidences, Findings, decide, evidences, findings

METRIC = Metric("conversion", "rate", base=0.10, minimum_effect=0.02)
EXPERIMENT = Experiment("spring", METRIC, guardrails=(), minimum_looks=2)
NOTHING = np.full(4, -9.0)
FLAGS = ("better", "harm", "no_worthwhile_gain", "safe", "split_broken", "long_enough", "over")


def held(**given: object) -> Evidences:
    """Evidence of nothing, but for what is given."""
    none = Evidences(NOTHING, NOTHING, NOTHING, NOTHING, (), NOTHING, np.array([100, 200, 300, 400]))
    return replace(none, **given)  # type: ignore[arg-type]


def at(level: float, *looks: int) -> np.typing.NDArray[np.float64]:
    """Just enough evidence at these looks, and a hair too little at the others."""
    needed = math.log(1 / level)
    return np.array([needed + 1e-9 if look in looks else needed - 1e-9 for look in range(1, 5)])


@pytest.mark.parametrize("flags", list(product([False, True], repeat=len(FLAGS))))
def test_harm_first_then_trust_then_proof_then_the_end(flags: tuple[bool, ...]) -> None:
    given = dict(zip(FLAGS, flags, strict=True))
    expected = Decision.KEEP_RUNNING
    if given["harm"]:
        expected = Decision.STOP_FOR_HARM
    elif given["long_enough"] and not given["split_broken"]:
        if given["better"] and given["safe"] and not given["no_worthwhile_gain"]:
            expected = Decision.PROMOTE
        elif given["no_worthwhile_gain"] or given["over"]:
            expected = Decision.NO_DIFFERENCE
    claims = Findings(**{name: np.array([flag]) for name, flag in given.items()})
    assert decide(claims).tolist() == [expected]


def test_a_promotion_needs_its_proof_now_harm_and_a_broken_split_stay_found() -> None:
    found = findings(
        EXPERIMENT,
        held(
            better=at(EXPERIMENT.promotion_level, 2),
            worse=at(EXPERIMENT.harm_level, 2),
            sample_ratio=at(EXPERIMENT.false_sample_ratio, 3),
            below_minimum=at(EXPERIMENT.false_no_difference, 2),
        ),
    )
    assert found.better.tolist() == [False, True, False, False]
    assert found.harm.tolist() == [False, True, True, True]
    assert found.split_broken.tolist() == [False, False, True, True]
    assert found.no_worthwhile_gain.tolist() == [False, True, False, False]
    assert found.safe.tolist() == [True] * 4
    assert found.long_enough.tolist() == [False, True, True, True]
    assert found.over.tolist() == [False] * 4


def test_two_sided_no_difference_needs_both_sides_ruled_out() -> None:
    level = EXPERIMENT.false_no_difference
    sides = held(below_minimum=at(level, 1, 2), above_minimum=at(level, 2, 3))
    assert findings(EXPERIMENT, sides).no_worthwhile_gain.tolist() == [True, True, False, False]
    two = replace(EXPERIMENT, sided="two")
    assert findings(two, sides).no_worthwhile_gain.tolist() == [False, True, False, False]


def test_the_planned_size_is_reached_when_it_is_observed() -> None:
    planned = replace(EXPERIMENT, planned_requests=300)
    assert findings(planned, held()).over.tolist() == [False, False, True, True]


def test_guardrails_harm_at_any_look_and_must_be_safe_now() -> None:
    level = EXPERIMENT.harm_level
    broken = GuardrailReading(at(level, 2), at(EXPERIMENT.false_promotion, 1, 3))
    found = findings(EXPERIMENT, held(guardrails=(GuardrailReading(NOTHING, None), broken)))
    assert found.harm.tolist() == [False, True, True, True]
    assert found.safe.tolist() == [True, False, True, False]
    both = held(guardrails=(broken, GuardrailReading(NOTHING, at(EXPERIMENT.false_promotion, 1, 2))))
    assert findings(EXPERIMENT, both).safe.tolist() == [True, False, False, False]


@pytest.mark.parametrize("better", get_args(Direction))
def test_evidence_is_asked_in_the_direction_that_is_better(better: Direction) -> None:
    experiment = replace(EXPERIMENT, metric=replace(METRIC, better=better))
    rng = np.random.default_rng(1)
    n = np.full(4, 500)
    metric = Rates(n, rng.binomial(n, 0.1), n, rng.binomial(n, 0.13)).evidence(experiment.metric.grid)
    found = evidences(experiment, metric, (), NOTHING, n)
    scale = experiment.metric.scale
    above, below = metric.log_e_above, metric.log_e_below
    expected = (
        (above(0.0), below(0.0), below(scale), above(-scale))
        if better == "higher"
        else (below(0.0), above(0.0), above(-scale), below(scale))
    )
    for each, wanted in zip(
        (found.better, found.worse, found.below_minimum, found.above_minimum), expected, strict=True
    ):
        np.testing.assert_array_equal(each, wanted)
    assert found.sample_ratio is NOTHING
    assert found.observed is n


# --- What is said.


def said(decision: Decision, found: Evidences, difference: tuple[float, float, float] = (0.02, 0.01, 0.03)) -> str:
    return reason(EXPERIMENT, findings(EXPERIMENT, found), found, decision, difference)


SHOWN = "conversion +2 points, between +1 points and +3 points"


def test_each_decision_has_its_sentence() -> None:
    level = EXPERIMENT.promotion_level
    ruled_out = held(below_minimum=at(EXPERIMENT.false_no_difference, 4))
    assert said(Decision.STOP_FOR_HARM, held(worse=at(EXPERIMENT.harm_level, 1))) == (
        f"the challenger is worse: conversion ({SHOWN})"
    )
    assert said(Decision.PROMOTE, held(better=at(level, 4))) == (
        f"the challenger is better ({SHOWN}), proven at {level:.2g} however often it was looked at"
    )
    assert said(Decision.NO_DIFFERENCE, ruled_out) == f"a gain of 2 points in conversion is ruled out ({SHOWN})"
    assert said(Decision.NO_DIFFERENCE, held()) == f"the planned size is reached without proof ({SHOWN})"
    broken = held(sample_ratio=at(EXPERIMENT.false_sample_ratio, 4))
    assert said(Decision.KEEP_RUNNING, broken) == (
        "traffic is not split as its weights say, so the comparison cannot be trusted: "
        "look for lost requests, retries or capture that differs between the variants"
    )


def test_what_is_missing_is_named() -> None:
    short = held(guardrails=(GuardrailReading(NOTHING, NOTHING),))
    patient = replace(EXPERIMENT, minimum_looks=7)
    told = reason(patient, findings(patient, short), short, Decision.KEEP_RUNNING, (0.0, -math.inf, math.inf))
    needed = f"{1 / EXPERIMENT.promotion_level:.3g}"
    assert told == (
        f"not decided yet: missing 3 more looks of the minimum duration, proof that it is better (evidence 0.000123 of "
        f"{needed}), proof that errors are not multiplied (conversion +0 points, between unbounded and unbounded)"
    )
    assert said(Decision.KEEP_RUNNING, held(better=at(EXPERIMENT.promotion_level, 4))) == (
        f"not decided yet: missing  ({SHOWN})"
    )


def test_harms_are_named_with_what_was_tolerated() -> None:
    guarded = replace(EXPERIMENT, guardrails=(ERRORS, LATENCY))
    level = guarded.harm_level
    readings = (GuardrailReading(at(level, 1), None), GuardrailReading(NOTHING, None))
    assert harms(guarded, held(guardrails=readings)) == ["errors above 1.1 times the champion's"]
    both = held(worse=at(level, 2), guardrails=readings[::-1])
    assert harms(guarded, both) == ["conversion", f"{LATENCY.name} above {LATENCY.tolerated:g} times the champion's"]
    assert harms(guarded, held(guardrails=(readings[1], readings[1]))) == []


def test_numbers_are_shown_as_people_read_them() -> None:
    assert (show("rate", 0.0123), show("mean", -2.5), show("rate", math.inf)) == ("+1.23 points", "-2.5", "unbounded")
    assert (show("mean", -math.inf), show("ratio", 0.123456)) == ("unbounded", "+0.1235")
    assert strength(math.log(12.5), 0.05) == "evidence 12.5 of 20"
    assert strength(10_000, 0.05) == f"evidence {math.exp(700):.3g} of 20"


def test_an_odds_ratio_is_shown_as_points_at_the_champions_rate() -> None:
    effects = np.array([0.0, math.log(2)])
    shown = in_own_unit(EXPERIMENT, 0.2, effects)
    odds = 2 * 0.25
    np.testing.assert_allclose(shown, [0.0, odds / (1 + odds) - 0.2])
    revenue = replace(EXPERIMENT, metric=Metric("revenue", "mean", 2.0, 0.1, spread=1.0))
    assert in_own_unit(revenue, 2.0, effects) is effects


def progress_of(champion: Arm, challenger: Arm, experiment: Experiment = EXPERIMENT) -> Progress:
    return Progress(experiment).add(Look("2026-01-01T00:00:00Z", champion, challenger))


def test_totals_are_shown_and_the_champions_value_is_what_effects_stand_at() -> None:
    counted = progress_of(Arm(200, Tally(200, 30)), Arm(100, Tally(100, 20)))
    assert totals_shown(counted) == [("champion", 200, 0.15), ("challenger", 100, 0.2)]
    assert champion_value(counted) == 0.15
    for events in (0, 200):
        assert champion_value(progress_of(Arm(200, Tally(200, events)), Arm(1, Tally(1, 0)))) == 0.10
    assert math.isnan(totals_shown(progress_of(Arm(0, Tally()), Arm(0, Tally())))[0][2])
    values = (Sums.of(np.array([1.0, 2.0, 6.0]), np.array([2.0, 2.0, 2.0])), Sums.of(np.array([]), np.array([])))
    some, none = (Arm(each.n, each) for each in values)
    mean = replace(EXPERIMENT, metric=Metric("revenue", "mean", 2.5, 0.1, spread=1.0))
    ratio = replace(EXPERIMENT, metric=Metric("clicks", "ratio", 2.5, 0.1, spread=1.0))
    assert totals_shown(progress_of(some, none, mean))[0] == ("champion", 3, 3.0)
    assert totals_shown(progress_of(some, none, ratio))[0] == ("champion", 3, 1.5)
    assert math.isnan(totals_shown(progress_of(some, none, ratio))[1][2])
    assert champion_value(progress_of(some, none, mean)) == 3.0
    assert champion_value(progress_of(none, some, mean)) == 2.5


def test_a_verdict_is_plain_json() -> None:
    found = judge(progress_of(Arm(2_000, Tally(2_000, 200)), Arm(2_000, Tally(2_000, 100))))
    assert found is not None
    verdict = found.verdict
    assert (verdict.looks, verdict.observed, verdict.harms, verdict.promotes) == (1, 4_000, True, False)
    assert verdict.to_json() == {
        "decision": "stop for harm",
        "reason": verdict.reason,
        "looks": 1,
        "observed": 4_000,
        "difference": {"estimate": verdict.estimate, "low": verdict.low, "high": verdict.high},
        "sample_ratio_alarm": False,
        "proposed_weights": verdict.proposed_weights,
    }
    assert found.names == ("2026-01-01T00:00:00Z",)
    assert found.decisions == (Decision.STOP_FOR_HARM,)
    assert verdict.low < verdict.estimate < verdict.high < 0
    nothing = NOTHING_YET.to_json()
    assert nothing["difference"] == {"estimate": 0.0, "low": None, "high": None}
    assert (nothing["decision"], nothing["reason"], nothing["looks"]) == ("keep running", "no look yet", 0)
    assert replace(verdict, decision=Decision.PROMOTE).promotes


# --- Guardrails.


def test_a_guardrail_reads_harm_and_either_proof_of_safety() -> None:
    rng = np.random.default_rng(4)
    n = np.full(5, 3_000)
    bad = Rates(n, rng.binomial(n, 0.01), n, rng.binomial(n, 0.01))
    guardrail = Guardrail("errors", "errors", tolerated=1.2, never=2.0, negligible=0.002)
    own = bad.evidence(guardrail.grid)
    found = read(guardrail, bad)
    np.testing.assert_array_equal(found.log_e_harm, own.log_e_above(math.log(1.2)))
    absence = log_e_negligible(np.cumsum(n), np.cumsum(bad.challenger_events), 0.002)
    mean = np.log((np.exp(own.log_e_below(math.log(2.0))) + np.exp(absence)) / 2)
    assert found.log_e_safe is not None
    np.testing.assert_allclose(found.log_e_safe, mean)
    without = read(replace(guardrail, negligible=0.0), bad).log_e_safe
    assert without is not None
    np.testing.assert_array_equal(without, own.log_e_below(math.log(2.0)))
    assert read(replace(guardrail, never=None), bad).log_e_safe is None


def test_evidence_that_errors_are_negligible_is_a_mean_of_likelihood_ratios() -> None:
    n, k, rate = 5_000, 2, 0.003
    each = [(share**k if k else 1.0) * ((1 - rate * share) / (1 - rate)) ** (n - k) for share in SMALL_RATES]
    assert float(log_e_negligible(n, k, rate)) == pytest.approx(math.log(float(np.mean(each))))
    none = [((1 - rate * share) / (1 - rate)) ** n for share in SMALL_RATES]
    assert float(log_e_negligible(n, 0, rate)) == pytest.approx(math.log(float(np.mean(none))))
    assert float(log_e_negligible(0, 0, rate)) == pytest.approx(0.0)


# --- The grid and what is concluded on it.


def test_weights_sum_to_one_and_stand_near_the_scale() -> None:
    grid = Grid(0.3, (0.07,))
    weights = np.exp(grid.log_weights(grid.effects))
    assert weights.sum() == pytest.approx(1.0)
    assert (weights[grid.effects <= 0] == 0).all()
    near = (grid.effects > 0.15) & (grid.effects < 0.6)
    assert weights[near].sum() > 0.75
    d = grid.effects[grid.effects > 0] / 0.3
    spacing = np.gradient(grid.effects)[grid.effects > 0]
    bell, tail = spacing * np.exp(-0.5 * (np.log(d) / 0.4) ** 2) / d, spacing / (1 + d) ** 2
    np.testing.assert_allclose(weights[grid.effects > 0], 0.9 * bell / bell.sum() + 0.1 * tail / tail.sum())


def test_a_grid_holds_what_a_question_names_and_says_when_it_does_not() -> None:
    grid = Grid(0.3, (0.07,))
    assert grid.effects[grid.index(0.07)] == 0.07
    assert grid.effects[grid.index(0.0)] == 0.0
    with pytest.raises(KeyError, match=r"effect 0\.08 is not on the grid; name it in `through`"):
        grid.index(0.08)
    for scale in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="expected a positive number"):
            Grid(scale)


def test_evidence_and_bounds_of_a_normal_likelihood() -> None:
    grid = Grid(0.5, (0.5, -0.5))
    log_likelihood = -0.5 * ((grid.effects - 0.8) / 0.2) ** 2
    found = Evidence(grid, log_likelihood)
    weights = np.exp(grid.log_weights(grid.effects - 0.5))
    at_half = log_likelihood[grid.index(0.5)]
    expected = math.log(float((weights * np.exp(log_likelihood - at_half)).sum()))
    assert float(found.log_e_above(0.5)) == pytest.approx(expected)
    mirrored = Evidence(grid, log_likelihood[::-1])
    assert float(mirrored.log_e_below(-0.5)) == pytest.approx(expected)
    assert float(found.estimate) == pytest.approx(0.8)
    low, high = found.bounds(0.05)
    needed = math.log(2 / 0.05)
    rejected_low = [x for x in grid.effects[:-1] if float(found.log_e_above(float(x))) >= needed]
    rejected_high = [x for x in grid.effects[1:] if float(found.log_e_below(float(x))) >= needed]
    assert float(low) == max(rejected_low)
    assert float(high) == min(rejected_high)
    flat = Evidence(grid, np.zeros_like(log_likelihood))
    assert float(flat.estimate) == 0.0
    assert [float(each) for each in flat.bounds(0.05)] == [-math.inf, math.inf]
