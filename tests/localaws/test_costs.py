"""Budgets' actions and Cost Explorer's anomaly monitors, as providers write and read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:eu-west-1:{ACCOUNT}:alarms"


def test_a_budget_s_action_is_kept_changed_and_taken_away(client: Callable[..., Any]) -> None:
    budgets = client("budgets")
    limit = {"Amount": "100", "Unit": "USD"}
    budget = {"BudgetName": "month", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
    budgets.create_budget(AccountId=ACCOUNT, Budget=budget)
    named = {"AccountId": ACCOUNT, "BudgetName": "month"}
    policy = {"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/stop", "Roles": ["training"]}
    made = budgets.create_budget_action(
        **named,
        NotificationType="ACTUAL",
        ActionType="APPLY_IAM_POLICY",
        ActionThreshold={"ActionThresholdValue": 100.0, "ActionThresholdType": "PERCENTAGE"},
        Definition={"IamActionDefinition": policy},
        ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/budget",
        ApprovalModel="AUTOMATIC",
        Subscribers=[{"SubscriptionType": "SNS", "Address": TOPIC}],
        ResourceTags=[{"Key": "team", "Value": "sea"}],
    )
    action = {**named, "ActionId": made["ActionId"]}
    told = budgets.describe_budget_action(**action)["Action"]
    assert (told["Status"], told["Definition"]["IamActionDefinition"]) == ("STANDBY", policy)
    arn = f"arn:aws:budgets::{ACCOUNT}:budget/month/action/{made['ActionId']}"
    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == [{"Key": "team", "Value": "sea"}]
    changed = budgets.update_budget_action(**action, ApprovalModel="MANUAL")
    assert (changed["OldAction"]["ApprovalModel"], changed["NewAction"]["ApprovalModel"]) == ("AUTOMATIC", "MANUAL")
    assert len(budgets.describe_budget_actions_for_budget(**named)["Actions"]) == 1
    budgets.delete_budget_action(**action)
    with pytest.raises(ClientError, match="NotFoundException"):
        budgets.describe_budget_action(**action)


def test_an_anomaly_monitor_and_its_subscription_live(client: Callable[..., Any]) -> None:
    costs = client("ce")
    monitor = {"MonitorName": "cost", "MonitorType": "DIMENSIONAL", "MonitorDimension": "SERVICE"}
    watched = costs.create_anomaly_monitor(AnomalyMonitor=monitor, ResourceTags=[{"Key": "team", "Value": "sea"}])[
        "MonitorArn"
    ]
    (told,) = costs.get_anomaly_monitors(MonitorArnList=[watched])["AnomalyMonitors"]
    assert (told["MonitorName"], told["MonitorDimension"]) == ("cost", "SERVICE")
    assert costs.list_tags_for_resource(ResourceArn=watched)["ResourceTags"] == [{"Key": "team", "Value": "sea"}]
    subscription = {
        "SubscriptionName": "cost",
        "MonitorArnList": [watched],
        "Subscribers": [{"Type": "SNS", "Address": TOPIC}],
        "Frequency": "IMMEDIATE",
    }
    arn = costs.create_anomaly_subscription(AnomalySubscription=subscription)["SubscriptionArn"]
    costs.update_anomaly_subscription(SubscriptionArn=arn, Frequency="DAILY")
    (told,) = costs.get_anomaly_subscriptions(MonitorArn=watched)["AnomalySubscriptions"]
    assert told["Frequency"] == "DAILY"
    costs.delete_anomaly_subscription(SubscriptionArn=arn)
    costs.delete_anomaly_monitor(MonitorArn=watched)
    with pytest.raises(ClientError, match="UnknownMonitorException"):
        costs.get_anomaly_monitors(MonitorArnList=[watched])
