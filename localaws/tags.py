"""Tags of every resource that has an ARN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localaws import resources
from localaws.errors import AwsError, ValidationException
from localaws.gateway import Operation, Request
from localaws.kinds import BY_KIND
from localaws.plane import Plane


def operations(plane: Plane) -> Mapping[str, Operation]:
    def ours(operation: Operation) -> Operation:
        """What moto keeps has its tags there."""
        return lambda request: operation(request) if _known(request) else plane.gateway.ask_behind(request)

    return {"AddTags": ours(add), "ListTags": ours(listing), "DeleteTags": ours(delete)}


def _known(request: Request) -> bool:
    arn = request.params["ResourceArn"]
    kind = arn.split(":", 5)[-1].split("/")[0]
    if request.scope.store.by_arn(arn):
        return True
    if kind in BY_KIND:
        raise BY_KIND[kind].missing(arn, arn.rsplit("/", 1)[-1])
    return False


def add(request: Request) -> dict[str, Any]:
    arn, tags = request.params["ResourceArn"], resources.as_map(request.params["Tags"])
    if len(request.scope.tags(arn) | tags) > 50:
        raise AwsError("A resource has at most 50 tags.", code="ResourceLimitExceeded")
    if any(key.startswith("aws:") for key in tags):
        raise ValidationException("Tag keys that begin with 'aws:' are reserved for AWS.")
    request.scope.tag(arn, tags)
    return {"Tags": resources.as_tags(request.scope.tags(arn))}


def listing(request: Request) -> dict[str, Any]:
    tags = resources.as_tags(request.scope.tags(request.params["ResourceArn"]))
    return resources.page(tags, request, size=50)


def delete(request: Request) -> dict[str, Any]:
    request.scope.untag(request.params["ResourceArn"], request.params["TagKeys"])
    return {}
