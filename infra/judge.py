"""Whether statements would let an action through, decided as IAM does: any deny wins, else one allow is enough.

For tables of what each role must and must not be able to do, without a cloud. It knows actions and resources with
wildcards, and the condition operators our own statements use; an operator it does not know is an error, not a yes.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from infra.policies import Statement


class JudgeError(Exception):
    """A statement uses something this judge does not know."""


def allowed(
    statements: Sequence[Statement], action: str, resource: str, context: Mapping[str, Any] | None = None
) -> bool:
    """Whether these statements together allow an action on a resource in a context."""
    fitting = [each for each in statements if fits(each, action, resource, context or {})]
    if any(each.effect == "Deny" for each in fitting):
        return False
    return any(each.effect == "Allow" for each in fitting)


def fits(statement: Statement, action: str, resource: str, context: Mapping[str, Any]) -> bool:
    return (
        any(matches(action.lower(), pattern.lower()) for pattern in statement.actions)
        and any(matches(resource, str(pattern)) for pattern in statement.resources or ("*",))
        and all(holds(operator, wanted, context) for operator, wanted in statement.conditions.items())
    )


def matches(value: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def holds(operator: str, wanted: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    """Every key of a condition; a key the context lacks does not hold."""
    return all(key in context and compared(operator, str(context[key]), value) for key, value in wanted.items())


def compared(operator: str, value: str, wanted: Any) -> bool:
    choices = [str(each) for each in (wanted if isinstance(wanted, list) else [wanted])]
    match operator:
        case "StringEquals" | "ArnEquals":
            return value in choices
        case "StringLike" | "ArnLike":
            return any(matches(value, each) for each in choices)
        case "Bool":
            return value.lower() in [each.lower() for each in choices]
        case _:
            raise JudgeError(f"condition operator '{operator}' is not known here: add it with a test")
