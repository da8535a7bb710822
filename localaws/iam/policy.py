"""Whether policies allow a request: IAM's evaluation logic, as pure functions over policy documents.

An explicit Deny anywhere wins. Then the caller's own policies must allow the request, and so must every boundary and
session policy there is; a resource's policy that names the caller of the same account allows it too.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localaws.conditions import Context, holds

Document = Mapping[str, Any]
VARIABLE = re.compile(r"\$\{([^}]+)\}")
ANY = None  # a resource that could not be told: every Resource element is taken to mean it


@dataclass(frozen=True)
class Asked:
    """One action on one resource, with the keys that conditions look at."""

    action: str
    resource: str | None
    context: Context


@dataclass(frozen=True)
class Principal:
    """Who asks, and what limits them."""

    arn: str
    account: str
    names: frozenset[str]  # every ARN a resource policy may name them by
    identity: Sequence[Document] = ()
    boundary: Document | None = None
    session: Document | None = None


@dataclass(frozen=True)
class Verdict:
    """Allowed or not; when not, why, in the words AWS ends its message with."""

    allowed: bool
    why: str = ""


def decide(  # noqa: PLR0911  one return for each rule, in IAM's order
    principal: Principal, asked: Asked, resource_policy: Document | None = None
) -> Verdict:
    """Whether `principal` may do what is asked."""
    for documents, name in (
        (principal.identity, "an identity-based policy"),
        (_some(principal.boundary), "a permissions boundary"),
        (_some(principal.session), "a session policy"),
    ):
        if any(_effect(document, asked) == "Deny" for document in documents):
            return Verdict(allowed=False, why=f"with an explicit deny in {name}")
    granted = _resource_effect(resource_policy, principal, asked)
    if granted == "Deny":
        return Verdict(allowed=False, why="with an explicit deny in a resource-based policy")
    if principal.session and _effect(principal.session, asked) != "Allow":
        return Verdict(allowed=False, why=f"because no session policy allows the {asked.action} action")
    if granted == "Allow":
        return Verdict(allowed=True)
    if principal.boundary is not None and _effect(principal.boundary, asked) != "Allow":
        return Verdict(allowed=False, why=f"because no permissions boundary allows the {asked.action} action")
    if any(_effect(document, asked) == "Allow" for document in principal.identity):
        return Verdict(allowed=True)
    return Verdict(allowed=False, why=f"because no identity-based policy allows the {asked.action} action")


def trusts(trust_policy: Document, service: str) -> bool:
    """Whether a role lets an AWS service assume it."""
    for statement in statements(trust_policy):
        named = statement.get("Principal", {})
        services = listed(named.get("Service", [])) if isinstance(named, Mapping) else ["*"]
        if statement.get("Effect") == "Allow" and service in services and _has(statement, "Action", "sts:AssumeRole"):
            return True
    return False


def trusted(trust_policy: Document, principal: Principal, asked: Asked) -> str:
    """What a role's trust policy says to a caller: Allow, Deny, Account (its whole account is trusted) or nothing."""
    effect = _resource_effect(trust_policy, principal, asked)
    if effect:
        return effect
    account = {principal.account, f"arn:aws:iam::{principal.account}:root"}
    for statement in statements(trust_policy):
        if statement["Effect"] == "Allow" and account & set(_principals(statement)) and _applies(statement, asked):
            return "Account"
    return ""


def _some(document: Document | None) -> Sequence[Document]:
    return () if document is None else (document,)


def statements(document: Document) -> Iterable[Document]:
    found = document.get("Statement", [])
    return [found] if isinstance(found, Mapping) else found


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _effect(document: Document, asked: Asked) -> str:
    effects = {statement["Effect"] for statement in statements(document) if _applies(statement, asked)}
    return "Deny" if "Deny" in effects else "Allow" if "Allow" in effects else ""


def _resource_effect(document: Document | None, principal: Principal, asked: Asked) -> str:
    """What a resource's policy says about this very caller."""
    if document is None:
        return ""
    effects = {
        statement["Effect"]
        for statement in statements(document)
        if _applies(statement, asked) and _names(statement, principal)
    }
    return "Deny" if "Deny" in effects else "Allow" if "Allow" in effects else ""


def _names(statement: Document, principal: Principal) -> bool:
    """A Deny for an account or for everybody concerns each caller; an Allow must name the caller or everybody."""
    if "NotPrincipal" in statement:
        return not principal.names & set(_principals(statement, "NotPrincipal"))
    named = set(_principals(statement))
    if "*" in named or principal.names & named:
        return True
    account = {principal.account, f"arn:aws:iam::{principal.account}:root"}
    return statement["Effect"] == "Deny" and bool(account & named)


def _principals(statement: Document, element: str = "Principal") -> list[str]:
    found = statement.get(element, [])
    if isinstance(found, str):
        return [found]
    return listed(found.get("AWS", [])) if isinstance(found, Mapping) else []


def _applies(statement: Document, asked: Asked) -> bool:
    return (
        _has(statement, "Action", asked.action, fold=True)
        and (asked.resource is ANY or _has(_filled(statement, asked.context), "Resource", asked.resource))
        and holds(_filled_conditions(statement, asked.context), asked.context)
    )


def _has(statement: Document, element: str, value: str, *, fold: bool = False) -> bool:
    """Whether an element (or its Not form) covers a value; an element that is absent covers everything."""
    negated = statement.get(f"Not{element}")
    patterns = statement.get(element, "*") if negated is None else negated
    found = any(like(value, pattern, fold=fold) for pattern in listed(patterns))
    return found != (negated is not None)


def like(value: str, pattern: str, *, fold: bool = False) -> bool:
    """`*` and `?` are wild; actions are compared without case."""
    regex = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(regex, value, re.DOTALL | (re.IGNORECASE if fold else 0)) is not None


def _filled(statement: Document, context: Context) -> Document:
    """Resource elements with their policy variables replaced."""
    found = {name: statement[name] for name in ("Resource", "NotResource") if name in statement}
    return {name: [fill(text, context) for text in listed(texts)] for name, texts in found.items()}


def _filled_conditions(statement: Document, context: Context) -> dict[str, Any]:
    return {
        operator: {
            key: [fill(str(item), context) for item in ([wanted] if isinstance(wanted, str | bool | int) else wanted)]
            for key, wanted in block.items()
        }
        for operator, block in statement.get("Condition", {}).items()
    }


def fill(text: str, context: Context) -> str:
    """Policy variables such as `${aws:PrincipalTag/team}`; `${*}`, `${?}` and `${$}` stand for themselves."""
    known = {key.lower(): value for key, value in context.items()}

    def value(found: re.Match[str]) -> str:
        name, _, default = found[1].partition(",")
        if name in {"*", "?", "$"}:
            return name
        given = known.get(name.strip().lower())
        return given if isinstance(given, str) else default.strip().strip("'") or found[0]

    return VARIABLE.sub(value, text)


def read(document: str | Document) -> Document:
    return json.loads(document) if isinstance(document, str) else document
