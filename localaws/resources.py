"""What most SageMaker resources share: create, describe, update, delete, list and tags, driven by one table.

A `Kind` says how one sort of resource is named, found, refused and listed; `operations` makes its verbs. A module whose
resource does more than being stored writes its own verbs out of the same functions.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localaws.errors import AwsError, ValidationException
from localaws.gateway import Operation, Request
from localaws.shapes import operation_model
from localaws.store import Body, DuplicateError, MissingError, Resource, Scope

PAGE = 10  # what SageMaker's lists return when the caller does not say
Now = Callable[[], float]
Refusal = Callable[[str, str], AwsError]  # from ARN and name


def _not_found(arn: str, name: str) -> AwsError:
    return AwsError(f"Could not find resource '{name}' ({arn}).", code="ResourceNotFound")


@dataclass(frozen=True)
class Kind:
    """One sort of resource."""

    kind: str  # in the store and in the ARN: "endpoint-config"
    noun: str  # in operation names: "EndpointConfig"
    name: str  # the member that names one: "EndpointConfigName"
    arn: str  # the member with its ARN: "EndpointConfigArn"
    missing: Refusal = _not_found
    taken: Refusal = lambda arn, name: AwsError(f"{name} already exists: {arn}", code="ResourceInUse")
    created: str = "CreationTime"
    modified: str | None = "LastModifiedTime"
    status: str = ""  # the member that `StatusEquals` looks at
    newest_first: bool = True
    sorts_by: str = "CreationTime"
    initial: Mapping[str, Any] = field(default_factory=dict)  # what a new one holds beside the request
    equal: Mapping[str, str] = field(default_factory=dict)  # list filters that compare one member
    verbs: tuple[str, ...] = ("Create", "Describe", "Delete", "List")

    def arn_of(self, scope: Scope, name: str) -> str:
        return scope.arn(f"{self.kind}/{name.lower()}")  # SageMaker's ARNs are lower case


def find(kind: Kind, scope: Scope, name: str) -> Resource:
    """The resource of this name (or ARN), or AWS's refusal."""
    arn = name if name.startswith("arn:") else kind.arn_of(scope, name)
    row = scope.get(kind.kind, name) or _by_arn(kind, scope, arn)  # by ARN a name is found whatever its case
    if row is None:
        raise kind.missing(arn, name)
    return row


def _by_arn(kind: Kind, scope: Scope, arn: str) -> Resource | None:
    row = scope.store.by_arn(arn)
    return row if row and (row.kind, row.account) == (kind.kind, scope.account) else None


def add(
    kind: Kind,
    scope: Scope,
    name: str,
    body: Body,
    *,
    now: float,
    tags: Iterable[Mapping[str, str]] = (),
    arn: str = "",
) -> Resource:
    """Keep a new resource with its ARN and times; a taken name is refused in the kind's own words."""
    arn = arn or kind.arn_of(scope, name)
    stamped = {**kind.initial, **body, kind.name: name, kind.arn: arn, kind.created: now}
    if kind.modified:
        stamped[kind.modified] = now
    if scope.store.by_arn(arn):
        raise kind.taken(arn, name)
    try:
        return scope.add(kind.kind, name, arn, stamped, created=now, tags=as_map(tags))
    except DuplicateError:
        raise kind.taken(arn, name) from None


def change(kind: Kind, scope: Scope, name: str, new: Mapping[str, Any], *, now: float) -> Resource:
    """Replace members (None removes one) and note when."""
    stamp = {kind.modified: now} if kind.modified else {}
    try:
        return scope.update(kind.kind, name, {**new, **stamp})
    except MissingError:
        raise kind.missing(kind.arn_of(scope, name), name) from None


def as_map(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in tags}


def as_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def without(params: Mapping[str, Any], *names: str) -> Body:
    return {key: value for key, value in params.items() if key not in names}


# --- lists ----------------------------------------------------------------------------------------------------------


def listing(kind: Kind, request: Request, rows: Iterable[Resource] | None = None) -> dict[str, Any]:
    """One page of a kind (or of `rows`), filtered and sorted as the request asks."""
    params = request.params
    found = [row for row in (request.scope.all(kind.kind) if rows is None else rows) if _wanted(kind, row, params)]
    return page([row.body for row in found], request, key=_sort_key(kind, params), newest_first=kind.newest_first)


def page(
    bodies: list[Body],
    request: Request,
    *,
    key: Callable[[Body], Any] | None = None,
    newest_first: bool = False,
    size: int = PAGE,
) -> dict[str, Any]:
    """One page of `bodies` under the operation's own list member, and the token for the next."""
    params = request.params
    if key:
        order = params.get("SortOrder")
        bodies = sorted(bodies, key=key, reverse=order == "Descending" if order else newest_first)
    start = position(params.get("NextToken"))
    size = params.get("MaxResults", size)
    member = list_member(request.service, request.operation)
    answer: dict[str, Any] = {member: bodies[start : start + size]}
    if start + size < len(bodies):
        answer["NextToken"] = token(start + size)
    return answer


def list_member(service: str, operation: str) -> str:
    """The member of an output that is the list."""
    shape = operation_model(service, operation).output_shape
    return next(name for name, member in shape.members.items() if member.type_name == "list") if shape else ""


def token(start: int) -> str:
    """What a client sends back to go on at `start`."""
    return base64.urlsafe_b64encode(json.dumps({"from": start}).encode()).decode()


def position(given: str | None) -> int:
    """Where a token says to go on."""
    if not given:
        return 0
    try:
        return int(json.loads(base64.urlsafe_b64decode(given))["from"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValidationException("Invalid NextToken: it was not given by this operation.") from error


def _sort_key(kind: Kind, params: Mapping[str, Any]) -> Callable[[Body], Any]:
    by = params.get("SortBy", kind.sorts_by)
    member = {"Name": kind.name, "CreationTime": kind.created, "CreatedTime": kind.created, "Status": kind.status}.get(
        by, by
    )
    if by == "LastModifiedTime" and kind.modified:
        member = kind.modified
    return lambda body: (body.get(member) is not None, body.get(member, 0), body.get(kind.created, 0))


def _wanted(kind: Kind, row: Resource, params: Mapping[str, Any]) -> bool:
    body = row.body
    text = params.get("NameContains")
    prefix = params.get("PipelineNamePrefix")
    return (
        (text is None or text.lower() in row.name.lower())
        and (prefix is None or row.name.startswith(prefix))
        and _between(body.get(kind.created), params, "CreationTimeAfter", "CreationTimeBefore")
        and _between(body.get(kind.created), params, "CreatedAfter", "CreatedBefore")
        and _between(body.get(kind.modified or ""), params, "LastModifiedTimeAfter", "LastModifiedTimeBefore")
        and (params.get("StatusEquals") in (None, body.get(kind.status)))
        and all(params.get(asked) in (None, body.get(member)) for asked, member in kind.equal.items())
    )


def _between(moment: float | None, params: Mapping[str, Any], after: str, before: str) -> bool:
    low, high = params.get(after), params.get(before)
    if low is None and high is None:
        return True
    return moment is not None and (low is None or moment > low) and (high is None or moment < high)


# --- verbs ----------------------------------------------------------------------------------------------------------


def operations(kind: Kind, now: Now) -> dict[str, Operation]:
    """The verbs of a resource that is only stored."""
    plural = kind.noun if kind.noun.endswith("s") else f"{kind.noun}s"
    made: dict[str, Operation] = {
        f"Create{kind.noun}": lambda request: create(kind, request, now()),
        f"Describe{kind.noun}": lambda request: describe(kind, request),
        f"Update{kind.noun}": lambda request: update(kind, request, now()),
        f"Delete{kind.noun}": lambda request: delete(kind, request),
        f"List{plural}": lambda request: listing(kind, request),
    }
    wanted = {f"{verb}{plural if verb == 'List' else kind.noun}" for verb in kind.verbs}
    return {name: operation for name, operation in made.items() if name in wanted}


def create(kind: Kind, request: Request, now: float) -> dict[str, Any]:
    params = request.params
    body = without(params, "Tags", "ClientRequestToken")
    row = add(kind, request.scope, params[kind.name], body, now=now, tags=params.get("Tags", ()))
    return {kind.arn: row.arn}


def describe(kind: Kind, request: Request) -> Body:
    return find(kind, request.scope, request.params[kind.name]).body


def update(kind: Kind, request: Request, now: float) -> dict[str, Any]:
    row = find(kind, request.scope, request.params[kind.name])
    change(kind, request.scope, row.name, without(request.params, kind.name, "ClientRequestToken"), now=now)
    return {kind.arn: row.arn}


def delete(kind: Kind, request: Request) -> dict[str, Any]:
    row = find(kind, request.scope, request.params[kind.name])
    request.scope.remove(kind.kind, row.name)
    return {kind.arn: row.arn}
