"""Conditions of policies decide as IAM documents them."""

from __future__ import annotations

from typing import Any

import pytest

from localaws.conditions import Context, UnknownOperatorError, holds


@pytest.mark.parametrize(
    ("condition", "context", "expected"),
    [
        ({"StringEquals": {"a": ["x", "y"]}}, {"a": "y"}, True),
        ({"StringEquals": {"a": "x", "b": "y"}}, {"a": "x"}, False),
        ({"StringEquals": {"A": "x"}}, {"a": "x"}, True),
        ({"StringNotEquals": {"a": ["x", "y"]}}, {"a": "y"}, False),
        ({"StringNotEquals": {"a": "x"}}, {}, True),
        ({"StringEqualsIfExists": {"a": "x"}}, {}, True),
        ({"StringLike": {"a": "arn:aws:s3:::b*/*"}}, {"a": "arn:aws:s3:::bucket/key"}, True),
        ({"StringLike": {"a": "[x]"}}, {"a": "x"}, False),
        ({"ArnLike": {"a": "arn:aws:iam::*:role/x"}}, {"a": "arn:aws:iam::123456789012:role/x"}, True),
        ({"ArnLike": {"a": "arn:aws:*"}}, {"a": "arn:aws:iam::123456789012:role/x"}, False),
        ({"NumericLessThan": {"a": "10"}}, {"a": "9"}, True),
        ({"NumericLessThan": {"a": "10"}}, {"a": "nine"}, False),
        ({"DateGreaterThan": {"a": "2026-01-01T00:00:00Z"}}, {"a": "2026-06-01T00:00:00Z"}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:SecureTransport": "true"}, False),
        ({"Bool": {"aws:SecureTransport": False}}, {"aws:SecureTransport": "false"}, True),
        ({"IpAddress": {"a": "10.0.0.0/8"}}, {"a": "10.1.2.3"}, True),
        ({"NotIpAddress": {"a": "10.0.0.0/8"}}, {"a": "192.168.0.1"}, True),
        ({"Null": {"a": "true"}}, {}, True),
        ({"Null": {"a": "false"}}, {"a": "x"}, True),
        ({"ForAllValues:StringEquals": {"a": ["x", "y"]}}, {"a": ["x", "z"]}, False),
        ({"ForAllValues:StringEquals": {"a": ["x", "y"]}}, {}, True),
        ({"ForAnyValue:StringEquals": {"a": ["x", "y"]}}, {"a": ["x", "z"]}, True),
        ({}, {}, True),
    ],
)
def test_a_condition_holds_as_documented(condition: dict[str, Any], context: Context, expected: bool) -> None:
    assert holds(condition, context) is expected


def test_an_operator_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(UnknownOperatorError, match="StringEqual is no"):
        holds({"StringEqual": {"a": "x"}}, {"a": "x"})
