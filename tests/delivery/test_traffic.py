"""Traffic moves go to the live endpoint and come back into the release."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from contract.release import CHALLENGER, CHAMPION, Package, Release, Variant
from delivery.traffic import Endpoint, TrafficError, read_live, with_live

PACKAGE = Package(1, "arn", "i", "s3://a", "h", "e")
TRIAL = Release("experiment", (Variant(CHAMPION, PACKAGE, 0.9, 2), Variant(CHALLENGER, PACKAGE, 0.1)), experiment="e1")


class Scripted:
    """An endpoint that goes through given statuses, and remembers what it was asked."""

    def __init__(self, *statuses: str, weight: float = 1.0) -> None:
        self.statuses = list(statuses)
        self.weight = weight
        self.asked: list[dict[str, Any]] = []

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        variant = {"VariantName": CHAMPION, "CurrentWeight": self.weight, "CurrentInstanceCount": 2}
        return {"EndpointStatus": status, "EndpointConfigName": "now", "ProductionVariants": [variant]}

    def update_endpoint_weights_and_capacities(self, **given: Any) -> None:
        self.asked.append(given)

    def update_endpoint(self, **given: Any) -> None:
        self.asked.append(given)


def endpoint(scripted: Scripted) -> Endpoint:
    return Endpoint(scripted, "churn", wait=lambda: None)


def test_a_move_waits_until_the_endpoint_has_settled() -> None:
    scripted = Scripted("InService", "Updating", "Updating", "InService", weight=0.3)
    assert endpoint(scripted).move({CHAMPION: 0.3}).variants[CHAMPION].weight == 0.3
    wanted = [{"VariantName": CHAMPION, "DesiredWeight": 0.3}]
    assert scripted.asked == [{"EndpointName": "churn", "DesiredWeightsAndCapacities": wanted}]


@pytest.mark.parametrize("status", ["Updating", "Creating", "RollingBack", "Failed"])
def test_a_move_while_something_else_is_under_way_is_refused_and_asks_nothing(status: str) -> None:
    scripted = Scripted(status)
    with pytest.raises(TrafficError, match=f"is {status}, expected InService"):
        endpoint(scripted).move({CHAMPION: 1.0})
    assert scripted.asked == []


def test_a_move_of_an_endpoint_that_is_not_well_names_its_reason_and_waits_for_nothing() -> None:
    with pytest.raises(TrafficError, match=r"is Failed, expected InService: no reason was given\. Look at its logs"):
        endpoint(Scripted("Failed")).move({CHAMPION: 1.0})


class Going:
    """An endpoint that is being removed: it tells given statuses, then it is not there."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.removed: list[str] = []

    def delete_endpoint(self, EndpointName: str) -> None:  # noqa: N803 - AWS's own name
        self.removed.append(EndpointName)

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        if not self.statuses:
            message = 'Could not find endpoint "churn".'
            raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "DescribeEndpoint")
        return {"EndpointStatus": self.statuses.pop(0), "EndpointConfigName": "now"}


def test_removing_waits_until_the_endpoint_is_gone() -> None:
    going = Going("Failed", "Deleting")
    Endpoint(going, "churn", wait=lambda: None).remove()
    assert (going.removed, going.statuses) == (["churn"], [])


def test_an_endpoint_that_was_being_removed_comes_to_rest_as_none() -> None:
    assert Endpoint(Going("Deleting"), "churn", wait=lambda: None).rest() is None


def test_scaling_names_only_the_count_so_that_the_weight_stays() -> None:
    scripted = Scripted("InService")
    endpoint(scripted).scale(CHAMPION, 3)
    assert scripted.asked[0]["DesiredWeightsAndCapacities"] == [{"VariantName": CHAMPION, "DesiredInstanceCount": 3}]


def test_going_back_to_a_configuration_that_does_not_take_is_an_error_that_says_what_serves() -> None:
    with pytest.raises(TrafficError, match="still serves now instead of before"):
        endpoint(Scripted("InService")).serve_config("before", {})


def test_a_move_that_ends_badly_says_how() -> None:
    with pytest.raises(TrafficError, match="is Failed after the move"):
        endpoint(Scripted("InService", "Failed")).move({CHAMPION: 1.0})


@given(st.lists(st.floats(0, 10), min_size=2, max_size=2))
def test_the_release_carries_the_live_weights_and_nothing_else_changes(weights: list[float]) -> None:
    variants = [
        {"VariantName": name, "CurrentWeight": weight, "CurrentInstanceCount": 4}
        for name, weight in zip((CHAMPION, CHALLENGER), weights, strict=True)
    ]
    live = read_live({"EndpointStatus": "InService", "EndpointConfigName": "c", "ProductionVariants": variants})
    after = with_live(TRIAL, live)
    assert [each.weight for each in after.variants] == weights
    assert [each.instances for each in after.variants] == [4, 4]
    assert [each.package for each in after.variants] == [each.package for each in TRIAL.variants]
    assert sum(live.shares.values()) == pytest.approx(1.0 if sum(weights) else 0.0)


def test_a_variant_that_is_not_live_keeps_what_was_written() -> None:
    live = read_live({"EndpointStatus": "Creating"})
    assert with_live(TRIAL, live) == TRIAL
