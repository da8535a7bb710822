"""IAM's policy simulator: what a user, role or policy would be allowed, by the evaluator that decides calls here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from localaws.errors import AwsError
from localaws.gateway import Request, Service
from localaws.iam import caller
from localaws.iam.policy import Asked, Document, Principal, decide, read


def service() -> Service:
    """The two operations; the rest of IAM is answered by what stands behind."""
    return Service("iam", {"SimulatePrincipalPolicy": of_principal, "SimulateCustomPolicy": of_policies})


def of_principal(request: Request) -> dict[str, Any]:
    source = request.params["PolicySourceArn"]
    found = caller.owner_of(source)
    if found is None:
        raise AwsError(f"The policy source {source} cannot be found.", code="NoSuchEntity", status=404)
    return _answer(request, found)


def of_policies(request: Request) -> dict[str, Any]:
    who = request.params.get("CallerArn", f"arn:aws:iam::{request.account}:user/simulated")
    return _answer(request, Principal(who, request.account, frozenset({who})))


def _answer(request: Request, principal: Principal) -> dict[str, Any]:
    params = request.params
    boundaries = _read(params.get("PermissionsBoundaryPolicyInputList", ()))
    asking = Principal(
        principal.arn,
        principal.account,
        principal.names,
        [*principal.identity, *_read(params.get("PolicyInputList", ()))],
        boundaries[0] if boundaries else principal.boundary,
    )
    resource_policy = read(params["ResourcePolicy"]) if "ResourcePolicy" in params else None
    context = {entry["ContextKeyName"]: _value(entry) for entry in params.get("ContextEntries", ())}
    results = [
        _result(asking, Asked(action, resource, context), resource_policy)
        for action in params["ActionNames"]
        for resource in params.get("ResourceArns") or ["*"]
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


def _read(texts: Iterable[str]) -> list[Document]:
    return [read(text) for text in texts]


def _value(entry: Mapping[str, Any]) -> Any:
    values = entry.get("ContextKeyValues", [])
    return values if entry.get("ContextKeyType", "").endswith("List") else next(iter(values), "")


def _result(principal: Principal, asked: Asked, resource_policy: Document | None) -> dict[str, Any]:
    verdict = decide(principal, asked, resource_policy)
    denied = "explicitDeny" if verdict.why.startswith("with an explicit deny") else "implicitDeny"
    return {
        "EvalActionName": asked.action,
        "EvalResourceName": asked.resource,
        "EvalDecision": "allowed" if verdict.allowed else denied,
        "MatchedStatements": [],
        "MissingContextValues": [],
    }
