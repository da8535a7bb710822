"""Tags of alarms and dashboards."""

from collections.abc import Mapping
from typing import Any

from localaws import resources
from localaws.errors import AwsError
from localaws.gateway import Operation, Request


def operations() -> Mapping[str, Operation]:
    return {"TagResource": tag, "UntagResource": untag, "ListTagsForResource": listing}


def _arn(request: Request) -> str:
    arn = request.params["ResourceARN"]
    if request.store.by_arn(arn) is None:
        raise AwsError(f"Resource {arn} does not exist", code="ResourceNotFoundException", status=404)
    return arn


def tag(request: Request) -> dict[str, Any]:
    request.scope.tag(_arn(request), resources.as_map(request.params["Tags"]))
    return {}


def untag(request: Request) -> dict[str, Any]:
    request.scope.untag(_arn(request), request.params["TagKeys"])
    return {}


def listing(request: Request) -> dict[str, Any]:
    return {"Tags": resources.as_tags(request.scope.tags(_arn(request)))}
