"""Guards follow the endpoint back, as the program itself would aim them."""

from __future__ import annotations

from contract.release import Rollout
from delivery.guards import aimed, deployment_config


def test_a_guard_watches_the_other_configuration_and_changes_in_nothing_else() -> None:
    alarm = {
        "AlarmName": "g",
        "MetricName": "Invocation5XXErrors",
        "StateValue": "ALARM",
        "Unit": "",
        "Threshold": 0.0,
        "Dimensions": [{"Name": "EndpointConfigName", "Value": "bad"}, {"Name": "VariantName", "Value": "champion"}],
    }
    assert aimed(alarm, "good") == {
        "AlarmName": "g",
        "MetricName": "Invocation5XXErrors",
        "Threshold": 0.0,
        "Dimensions": [{"Name": "EndpointConfigName", "Value": "good"}, {"Name": "VariantName", "Value": "champion"}],
    }


def test_the_policy_is_spelt_as_the_api_takes_it() -> None:
    policy = deployment_config(Rollout("canary", 10, 60), ["guard"])
    assert policy["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "guard"}]}
    routing = policy["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["CanarySize"] == {"Type": "CAPACITY_PERCENT", "Value": 10}
