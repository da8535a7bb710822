"""Budgets with their notifications, subscribers and actions: kept and answered, nothing is spent here.

moto has budgets but neither updates, subscribers, actions nor tags, and providers read all of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from localaws.errors import AwsError
from localaws.gateway import Request, Service
from localaws.plane import Plane
from localaws.store import Body, Resource, Scope

KIND, ACTION = "budget", "budget-action"
REGION = "us-east-1"  # budgets belong to the account; every region sees the same


def service(plane: Plane) -> Service:
    budgets = Budgets(plane)
    return Service(
        "budgets",
        {
            "CreateBudget": budgets.create,
            "DescribeBudget": lambda request: {"Budget": budgets.find(request).body["Budget"]},
            "DescribeBudgets": lambda request: {
                "Budgets": [row.body["Budget"] for row in budgets.scope(request).all(KIND)]
            },
            "UpdateBudget": budgets.update,
            "DeleteBudget": budgets.delete,
            "CreateNotification": budgets.add_notification,
            "UpdateNotification": budgets.update_notification,
            "DeleteNotification": budgets.delete_notification,
            "DescribeNotificationsForBudget": budgets.notifications,
            "CreateSubscriber": budgets.add_subscriber,
            "DeleteSubscriber": budgets.delete_subscriber,
            "DescribeSubscribersForNotification": budgets.subscribers,
            "CreateBudgetAction": budgets.add_action,
            "DescribeBudgetAction": lambda request: budgets.told(request, "Action"),
            "DescribeBudgetActionsForBudget": budgets.actions,
            "UpdateBudgetAction": budgets.update_action,
            "DeleteBudgetAction": budgets.delete_action,
            "ListTagsForResource": budgets.tags,
            "TagResource": budgets.tag,
            "UntagResource": budgets.untag,
        },
        complete=True,
    )


class Budgets:
    """The verbs of budgets."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def scope(self, request: Request) -> Scope:
        return self._plane.store.scope(request.params.get("AccountId", request.account), REGION)

    def find(self, request: Request) -> Resource:
        return self._named(request, request.params["BudgetName"])

    def _named(self, request: Request, name: str) -> Resource:
        row = self.scope(request).get(KIND, name)
        if row is None:
            raise AwsError(f"Unable to get budget: {name} - the budget doesn't exist.", code="NotFoundException")
        return row

    def create(self, request: Request) -> dict[str, Any]:
        params, scope, now = request.params, self.scope(request), self._plane.clock.now()
        budget: Body = {
            "CalculatedSpend": {"ActualSpend": {"Amount": "0", "Unit": "USD"}},
            "TimePeriod": {"Start": now, "End": 3706473600},
            "CostTypes": COST_TYPES,
            "LastUpdatedTime": now,
            **params["Budget"],
        }
        name = budget["BudgetName"]
        if scope.get(KIND, name):
            raise AwsError(
                f"Error creating budget: {name} - the budget already exists.", code="DuplicateRecordException"
            )
        body = {"Budget": budget, "Notifications": list(params.get("NotificationsWithSubscribers", ()))}
        tags = {tag["Key"]: tag["Value"] for tag in params.get("ResourceTags", ())}
        arn = f"arn:aws:budgets::{scope.account}:budget/{name}"
        scope.add(KIND, name, arn, body, created=now, tags=tags)
        return {}

    def update(self, request: Request) -> dict[str, Any]:
        new = request.params["NewBudget"]
        row = self._named(request, new["BudgetName"])
        self.scope(request).update(KIND, row.name, {"Budget": {**row.body["Budget"], **new}})
        return {}

    def delete(self, request: Request) -> dict[str, Any]:
        self.scope(request).remove(KIND, self.find(request).name)
        return {}

    # --- notifications and who gets them

    def notifications(self, request: Request) -> dict[str, Any]:
        return {"Notifications": [item["Notification"] for item in self.find(request).body["Notifications"]]}

    def add_notification(self, request: Request) -> dict[str, Any]:
        params = request.params
        new = {"Notification": params["Notification"], "Subscribers": params["Subscribers"]}
        self._keep(request, [*self.find(request).body["Notifications"], new])
        return {}

    def update_notification(self, request: Request) -> dict[str, Any]:
        def change(item: Body) -> Body:
            return {**item, "Notification": request.params["NewNotification"]}

        self._replace(request, request.params["OldNotification"], change)
        return {}

    def delete_notification(self, request: Request) -> dict[str, Any]:
        self._replace(request, request.params["Notification"], None)
        return {}

    def subscribers(self, request: Request) -> dict[str, Any]:
        for item in self.find(request).body["Notifications"]:
            if _same(item["Notification"], request.params["Notification"]):
                return {"Subscribers": item["Subscribers"]}
        raise AwsError("Unable to find the notification.", code="NotFoundException")

    def add_subscriber(self, request: Request) -> dict[str, Any]:
        def change(item: Body) -> Body:
            return {**item, "Subscribers": [*item["Subscribers"], request.params["Subscriber"]]}

        self._replace(request, request.params["Notification"], change)
        return {}

    def delete_subscriber(self, request: Request) -> dict[str, Any]:
        def change(item: Body) -> Body:
            return {**item, "Subscribers": [one for one in item["Subscribers"] if one != request.params["Subscriber"]]}

        self._replace(request, request.params["Notification"], change)
        return {}

    def _replace(self, request: Request, wanted: Body, change: Callable[[Body], Body] | None) -> None:
        """Change the notification that is meant; without a change it goes."""
        kept: list[Body] = []
        for item in self.find(request).body["Notifications"]:
            if not _same(item["Notification"], wanted):
                kept.append(item)
            elif change:
                kept.append(change(item))
        self._keep(request, kept)

    def _keep(self, request: Request, notifications: list[Body]) -> None:
        self.scope(request).update(KIND, request.params["BudgetName"], {"Notifications": notifications})

    # --- what happens when a budget is used up; here it never is

    def add_action(self, request: Request) -> dict[str, Any]:
        params, scope = request.params, self.scope(request)
        budget, identity = self.find(request), str(uuid.uuid4())
        asked = {key: params[key] for key in params if key not in {"AccountId", "ResourceTags"}}
        body: Body = {**asked, "ActionId": identity, "Status": "STANDBY"}
        tags = {tag["Key"]: tag["Value"] for tag in params.get("ResourceTags", ())}
        arn = f"{budget.arn}/action/{identity}"
        scope.add(ACTION, identity, arn, body, created=self._plane.clock.now(), tags=tags)
        return {"AccountId": scope.account, "BudgetName": budget.name, "ActionId": identity}

    def told(self, request: Request, member: str) -> dict[str, Any]:
        row = self._action(request)
        return {"AccountId": row.account, "BudgetName": row.body["BudgetName"], member: row.body}

    def actions(self, request: Request) -> dict[str, Any]:
        name = self.find(request).name
        rows = self.scope(request).all(ACTION)
        return {"Actions": [row.body for row in rows if row.body["BudgetName"] == name]}

    def update_action(self, request: Request) -> dict[str, Any]:
        old = self.told(request, "OldAction")
        new = {key: value for key, value in request.params.items() if key not in {"AccountId", "ActionId"}}
        self.scope(request).update(ACTION, request.params["ActionId"], new)
        return {**old, **self.told(request, "NewAction")}

    def delete_action(self, request: Request) -> dict[str, Any]:
        gone = self.told(request, "Action")
        self.scope(request).remove(ACTION, request.params["ActionId"])
        return gone

    def _action(self, request: Request) -> Resource:
        identity = request.params["ActionId"]
        row = self.scope(request).get(ACTION, identity)
        if row is None or row.body["BudgetName"] != request.params["BudgetName"]:
            raise AwsError(f"Unable to get action: {identity} - it doesn't exist.", code="NotFoundException")
        return row

    # --- tags

    def tags(self, request: Request) -> dict[str, Any]:
        tags = self.scope(request).tags(_arn(request))
        return {"ResourceTags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def tag(self, request: Request) -> dict[str, Any]:
        params = request.params
        self.scope(request).tag(_arn(request), {tag["Key"]: tag["Value"] for tag in params["ResourceTags"]})
        return {}

    def untag(self, request: Request) -> dict[str, Any]:
        self.scope(request).untag(_arn(request), request.params["ResourceTagKeys"])
        return {}


def _arn(request: Request) -> str:
    """The ARN that is meant: a client that was told not to look its account up leaves it out."""
    return request.params["ResourceARN"].replace("arn:aws:budgets:::", f"arn:aws:budgets::{request.account}:")


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """A notification is known by all it says; its state is not part of that."""
    default = {"ThresholdType": "PERCENTAGE"}
    left, right = ({**default, **item, "NotificationState": None} for item in (one, other))
    return left == right


COST_TYPES = {
    "IncludeTax": True,
    "IncludeSubscription": True,
    "UseBlended": False,
    "IncludeRefund": True,
    "IncludeCredit": True,
    "IncludeUpfront": True,
    "IncludeRecurring": True,
    "IncludeOtherSubscription": True,
    "IncludeSupport": True,
    "IncludeDiscount": True,
    "UseAmortized": False,
}
