"""Cost Explorer's anomaly monitors and their subscriptions: kept and answered, nothing is spent here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from localaws.errors import AwsError
from localaws.gateway import Operation, Request, Service
from localaws.plane import Plane
from localaws.store import Body, Resource, Scope

REGION = "us-east-1"  # costs belong to the account; every region sees the same


@dataclass(frozen=True)
class Sort:
    """One of the two sorts of resources."""

    kind: str
    noun: str  # in operations and members
    arn: str  # the member with its ARN
    missing: str  # AWS's code for one that is not there

    @property
    def plural(self) -> str:
        return f"{self.noun}s"


MONITOR = Sort("anomalymonitor", "AnomalyMonitor", "MonitorArn", "UnknownMonitorException")
SUBSCRIPTION = Sort("anomalysubscription", "AnomalySubscription", "SubscriptionArn", "UnknownSubscriptionException")


def service(plane: Plane) -> Service:
    anomalies = Anomalies(plane)
    table: dict[str, Operation] = {}
    for sort in (MONITOR, SUBSCRIPTION):
        table |= anomalies.operations(sort)
    tags: Mapping[str, Operation] = {
        "ListTagsForResource": anomalies.tags,
        "TagResource": anomalies.tag,
        "UntagResource": anomalies.untag,
    }
    return Service("ce", {**table, **{name: anomalies.ours(tag) for name, tag in tags.items()}})


class Anomalies:
    """The verbs."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def operations(self, sort: Sort) -> dict[str, Operation]:
        return {
            f"Create{sort.noun}": lambda request: self.create(request, sort),
            f"Get{sort.plural}": lambda request: self.get(request, sort),
            f"Update{sort.noun}": lambda request: self.update(request, sort),
            f"Delete{sort.noun}": lambda request: self.delete(request, sort),
        }

    def scope(self, request: Request) -> Scope:
        return self._plane.store.scope(request.account, REGION)

    def create(self, request: Request, sort: Sort) -> dict[str, Any]:
        params, scope, now = request.params, self.scope(request), self._plane.clock.now()
        name = str(uuid.uuid4())
        arn = f"arn:aws:ce::{scope.account}:{sort.kind}/{name}"
        moment = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}"
        dates = {"CreationDate": moment, "LastUpdatedDate": moment} if sort is MONITOR else {}
        body: Body = {**params[sort.noun], sort.arn: arn, "AccountId": scope.account, **dates}
        tags = {tag["Key"]: tag["Value"] for tag in params.get("ResourceTags", ())}
        scope.add(sort.kind, name, arn, body, created=now, tags=tags)
        return {sort.arn: arn}

    def get(self, request: Request, sort: Sort) -> dict[str, Any]:
        wanted = request.params.get(f"{sort.arn}List")
        if wanted:
            return {sort.plural: [self._find(request, sort, arn).body for arn in wanted]}
        watched = request.params.get("MonitorArn")
        rows = self.scope(request).all(sort.kind)
        return {sort.plural: [row.body for row in rows if watched in (None, *row.body.get("MonitorArnList", ()))]}

    def update(self, request: Request, sort: Sort) -> dict[str, Any]:
        row = self._find(request, sort, request.params[sort.arn])
        new = {key: value for key, value in request.params.items() if key != sort.arn}
        self.scope(request).update(sort.kind, row.name, new)
        return {sort.arn: row.arn}

    def delete(self, request: Request, sort: Sort) -> dict[str, Any]:
        self.scope(request).remove(sort.kind, self._find(request, sort, request.params[sort.arn]).name)
        return {}

    def _find(self, request: Request, sort: Sort, arn: str) -> Resource:
        row = self.scope(request).get(sort.kind, arn.rpartition("/")[2])
        if row is None:
            raise AwsError(f"No {sort.noun} was found with the ARN {arn}.", code=sort.missing)
        return row

    # --- tags

    def ours(self, operation: Operation) -> Operation:
        """What moto keeps (cost categories) has its tags there."""

        def chosen(request: Request) -> Any:
            known = self._plane.store.by_arn(request.params["ResourceArn"])
            ask: Callable[[Request], Any] = operation if known else self._plane.gateway.ask_behind
            return ask(request)

        return chosen

    def tags(self, request: Request) -> dict[str, Any]:
        tags = self.scope(request).tags(request.params["ResourceArn"])
        return {"ResourceTags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def tag(self, request: Request) -> dict[str, Any]:
        params = request.params
        self.scope(request).tag(params["ResourceArn"], {tag["Key"]: tag["Value"] for tag in params["ResourceTags"]})
        return {}

    def untag(self, request: Request) -> dict[str, Any]:
        self.scope(request).untag(request.params["ResourceArn"], request.params["ResourceTagKeys"])
        return {}
