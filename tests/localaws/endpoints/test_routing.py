"""Requests go to variants by weight, and to fleets by share."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.endpoints.routing import Lane, Routes

weights = st.lists(st.floats(0, 1000, allow_subnormal=False), min_size=1, max_size=10)
points = st.floats(0, 1, exclude_max=True)


def routes(*weights: float, share: float = 1.0, fleet: int = 0) -> list[Lane[str]]:
    return [Lane(f"v{n}", f"{fleet}-{n}", fleet, share, weight) for n, weight in enumerate(weights)]


@given(weights, points)
def test_a_variant_without_weight_is_never_picked(given_weights: list[float], point: float) -> None:
    lane = Routes(routes(*given_weights)).pick(point)
    if sum(given_weights) == 0:
        assert lane is None
    else:
        assert lane is not None
        assert lane.weight > 0


@given(weights.filter(lambda w: sum(w) > 0.001), weights.filter(lambda w: sum(w) > 0.001), st.floats(0, 1))
def test_chances_add_up_and_fleets_get_their_share(blue: list[float], green: list[float], share: float) -> None:
    lanes = [*routes(*blue, share=1 - share), *routes(*green, share=share, fleet=1)]
    table = Routes(lanes)
    assert sum(table.chances().values()) == pytest.approx(1)
    only = [Lane(f"{lane.fleet}", lane.target, lane.fleet, lane.share, lane.weight) for lane in lanes]
    assert Routes(only).chances().get("1", 0) == pytest.approx(share)


def test_a_hundred_thousand_requests_split_by_weight() -> None:
    table, source = Routes(routes(1, 3, 6)), random.Random(7)
    counts = {"v0": 0, "v1": 0, "v2": 0}
    for _ in range(100_000):
        lane = table.pick(source.random())
        assert lane is not None
        counts[lane.variant] += 1
    assert [counts[name] / 1000 for name in counts] == pytest.approx([10, 30, 60], abs=0.5)


@given(weights, points)
def test_naming_a_variant_bypasses_its_weight(given_weights: list[float], point: float) -> None:
    lane = Routes(routes(*given_weights)).pick_variant("v0", point)
    assert lane is not None
    assert lane.variant == "v0"


def test_a_variant_that_is_only_in_a_fleet_without_traffic_cannot_be_named() -> None:
    table = Routes([*routes(1, share=1.0), *routes(1, 1, share=0.0, fleet=1)])
    assert table.pick_variant("v1", 0.5) is None
    lane = table.pick_variant("v0", 0.999)
    assert lane is not None
    assert lane.fleet == 0


def test_no_lanes_no_pick() -> None:
    assert Routes[str]().pick(0.5) is None
    assert Routes[str]().pick_variant("v0", 0.5) is None
