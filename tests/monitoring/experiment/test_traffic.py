"""Who sees which variant, and what Thompson sampling would propose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.experiment.assignment import assign
from monitoring.experiment.evidence import Evidence, Grid
from monitoring.experiment.thompson import chance_of_best, propose

GRID = Grid(0.1)


def evidence(effect: float, precision: float) -> Evidence:
    return Evidence(GRID, -0.5 * precision * (GRID.effects - effect) ** 2)


def test_units_fall_on_variants_as_the_weights_say_and_stay_there() -> None:
    weights = {"champion": 9.0, "challenger": 1.0}
    drawn = [assign("spring", str(unit), weights).variant for unit in range(20_000)]
    assert abs(drawn.count("challenger") / 20_000 - 0.1) < 0.01
    assert drawn == [assign("spring", str(unit), weights).variant for unit in range(20_000)]


def test_another_experiment_draws_anew() -> None:
    weights = {"champion": 1.0, "challenger": 1.0}
    same = [
        assign("spring", str(unit), weights).variant == assign("summer", str(unit), weights).variant
        for unit in range(4000)
    ]
    assert abs(np.mean(same) - 0.5) < 0.05


@given(st.text(max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_raising_the_challengers_weight_takes_nobody_away_from_it(unit: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    before, after = (assign("x", unit, {"champion": 1 - w, "challenger": w}).variant for w in (low, high))
    assert not (before == "challenger" and after == "champion")


def test_weights_that_assign_nothing_are_refused() -> None:
    useless: list[dict[str, float]] = [{}, {"champion": 0.0}, {"champion": 1.0, "challenger": -0.1}]
    for weights in useless:
        with pytest.raises(ValueError, match="nothing can be assigned"):
            assign("x", "unit", weights)


def test_without_evidence_the_proposal_is_even() -> None:
    assert propose({"challenger": evidence(0.0, 0.0)}) == pytest.approx({"champion": 0.5, "challenger": 0.5})


def test_a_surely_better_challenger_gets_all_but_the_floor() -> None:
    assert propose({"challenger": evidence(0.3, 1e4)}) == pytest.approx({"champion": 0.1, "challenger": 0.9})
    lower = propose({"challenger": evidence(0.3, 1e4)}, better="lower")
    assert lower == pytest.approx({"champion": 0.9, "challenger": 0.1})


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 1e4)), min_size=1, max_size=4))
def test_a_proposal_sums_to_one_and_starves_nobody(beliefs: list[tuple[float, float]]) -> None:
    challengers = {f"challenger-{i}": evidence(*each) for i, each in enumerate(beliefs)}
    proposed = propose(challengers)
    assert sum(proposed.values()) == pytest.approx(1.0)
    assert min(proposed.values()) >= 0.1 - 1e-12


def test_of_two_equal_challengers_each_is_best_as_often() -> None:
    belief = (GRID.effects, np.exp(evidence(0.2, 100).log_likelihood))
    share = belief[1] / belief[1].sum()
    chances = chance_of_best([(GRID.effects, share)] * 2)
    assert chances[1] == pytest.approx(chances[2])


def test_a_floor_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a floor of 0\.6 for 2 variants is not possible"):
        propose({"challenger": evidence(0, 1)}, floor=0.6)
