"""Conditions of policies: the operators of IAM over the keys of one request, as pure functions.

A condition holds when every operator holds for every key; within one key any of the policy's values will do (none of
them, for the negated operators). A key that the request does not have fails every operator but the negated ones, `Null`
and those with `IfExists`.
"""

from __future__ import annotations

import fnmatch
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

Context = Mapping[str, str | Iterable[str]]
Test = Callable[[str, str], bool]  # (the request's value, the policy's value)

NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "ArnNotEquals": "ArnLike",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
}


def _like(value: str, pattern: str) -> bool:
    """`*` and `?` are wild and nothing else is."""
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _arn_like(value: str, pattern: str) -> bool:
    """Part by part, so that a star in the account does not reach into the resource."""
    parts, wanted = value.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(wanted) and all(_like(a, b) for a, b in zip(parts, wanted, strict=True))


def _instant(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text).timestamp()


TESTS: Mapping[str, Test] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringLike": _like,
    "NumericEquals": lambda value, wanted: float(value) == float(wanted),
    "NumericLessThan": lambda value, wanted: float(value) < float(wanted),
    "NumericLessThanEquals": lambda value, wanted: float(value) <= float(wanted),
    "NumericGreaterThan": lambda value, wanted: float(value) > float(wanted),
    "NumericGreaterThanEquals": lambda value, wanted: float(value) >= float(wanted),
    "DateEquals": lambda value, wanted: _instant(value) == _instant(wanted),
    "DateLessThan": lambda value, wanted: _instant(value) < _instant(wanted),
    "DateLessThanEquals": lambda value, wanted: _instant(value) <= _instant(wanted),
    "DateGreaterThan": lambda value, wanted: _instant(value) > _instant(wanted),
    "DateGreaterThanEquals": lambda value, wanted: _instant(value) >= _instant(wanted),
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
    "BinaryEquals": lambda value, wanted: value == wanted,
    "IpAddress": lambda value, wanted: ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False),
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
}


class UnknownOperatorError(Exception):
    """A policy uses an operator that does not exist."""


def holds(condition: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """Whether a statement's whole Condition block holds for a request."""
    keys = {key.lower(): _values(value) for key, value in context.items()}
    return all(
        _operator_holds(operator, keys.get(key.lower()), [str(item) for item in _values(wanted)])
        for operator, block in condition.items()
        for key, wanted in block.items()
    )


def _operator_holds(operator: str, values: list[str] | None, wanted: list[str]) -> bool:
    quantifier, _, name = operator.rpartition(":")
    lenient = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name == "Null":
        return (values is None) == (wanted[0].lower() == "true")
    if values is None:
        return lenient or name in NEGATED or quantifier == "ForAllValues"
    test = TESTS.get(NEGATED.get(name, name))
    if test is None:
        raise UnknownOperatorError(f"{operator} is no condition operator of IAM.")
    hits = [any(_safely(test, value, item) for item in wanted) for value in values]
    if name in NEGATED:
        hits = [not hit for hit in hits]
        return any(hits) if quantifier == "ForAnyValue" else all(hits)
    return all(hits) if quantifier == "ForAllValues" else any(hits)


def _safely(test: Test, value: str, wanted: str) -> bool:
    try:
        return test(value, wanted)
    except ValueError:  # a value that is no number, date or address does not match one
        return False


def _values(value: Any) -> list[str]:
    if isinstance(value, bool):
        return [str(value).lower()]
    return [str(value)] if isinstance(value, str | int | float) else [str(item) for item in value]
