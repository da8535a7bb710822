"""Which events a pattern matches."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws.events.pattern import PatternError, matcher

EVENT: dict[str, Any] = {
    "source": "aws.sagemaker",
    "detail-type": "SageMaker Endpoint State Change",
    "resources": ["arn:aws:sagemaker:eu-west-1:123456789012:endpoint/shop"],
    "detail": {
        "EndpointStatus": "IN_SERVICE",
        "count": 5,
        "ratio": 0.25,
        "ip": "10.1.2.3",
        "nothing": None,
        "flag": True,
        "variants": [{"name": "a", "weight": 9}, {"name": "b", "weight": 1}],
    },
}


@pytest.mark.parametrize(
    ("detail", "matches"),
    [
        ({"EndpointStatus": ["IN_SERVICE", "CREATING"]}, True),
        ({"EndpointStatus": ["FAILED"]}, False),
        ({"EndpointStatus": [{"prefix": "IN_"}]}, True),
        ({"EndpointStatus": [{"suffix": "_SERVICE"}]}, True),
        ({"EndpointStatus": [{"prefix": {"equals-ignore-case": "in_"}}]}, True),
        ({"EndpointStatus": [{"equals-ignore-case": "in_service"}]}, True),
        ({"EndpointStatus": [{"wildcard": "IN*VICE"}]}, True),
        ({"EndpointStatus": [{"wildcard": "IN*VICES"}]}, False),
        ({"EndpointStatus": [{"anything-but": "FAILED"}]}, True),
        ({"EndpointStatus": [{"anything-but": ["FAILED", "IN_SERVICE"]}]}, False),
        ({"EndpointStatus": [{"anything-but": {"prefix": "IN"}}]}, False),
        ({"EndpointStatus": [{"exists": True}]}, True),
        ({"missing": [{"exists": False}]}, True),
        ({"missing": [{"exists": True}]}, False),
        ({"missing": [{"anything-but": "x"}]}, False),
        ({"missing": {"deeper": [{"exists": False}]}}, True),
        ({"count": [5]}, True),
        ({"count": [5.0]}, True),
        ({"flag": [1]}, False),
        ({"flag": [True]}, True),
        ({"nothing": [None]}, True),
        ({"count": [{"numeric": [">", 0, "<=", 5]}]}, True),
        ({"count": [{"numeric": ["=", 6]}]}, False),
        ({"EndpointStatus": [{"numeric": [">", 0]}]}, False),
        ({"ip": [{"cidr": "10.0.0.0/8"}]}, True),
        ({"ip": [{"cidr": "11.0.0.0/8"}]}, False),
        ({"variants": {"name": ["b"]}}, True),
        ({"variants": {"name": ["c"]}}, False),
        ({"$or": [{"count": [9]}, {"ratio": [{"numeric": ["<", 1]}]}]}, True),
        ({"$or": [{"count": [9]}, {"ratio": [9]}]}, False),
        ({"EndpointStatus": ["IN_SERVICE"], "count": [6]}, False),
    ],
)
def test_a_filter_on_the_detail(detail: dict[str, Any], matches: bool) -> None:
    pattern = {"source": ["aws.sagemaker"], "detail": detail}
    assert matcher(json.dumps(pattern))(EVENT) is matches


def test_an_array_in_the_event_matches_when_one_element_does() -> None:
    assert matcher('{"resources": [{"suffix": "endpoint/shop"}]}')(EVENT)


names = st.sampled_from(["a", "b", "c"])
scalars = st.one_of(st.integers(-3, 3), st.booleans(), st.none(), st.sampled_from(["x", "y"]))
objects = st.dictionaries(names, st.one_of(scalars, st.dictionaries(names, scalars, min_size=1)), min_size=1)


@given(objects)
@settings(max_examples=100)
def test_the_pattern_made_of_an_events_own_values_matches_it(event: dict[str, Any]) -> None:
    def wanting(value: Any) -> Any:
        return {name: wanting(inner) for name, inner in value.items()} if isinstance(value, dict) else [value]

    assert matcher(json.dumps(wanting(event)))(event)


@given(objects, names, scalars)
@settings(max_examples=100)
def test_anything_but_is_the_opposite_wherever_there_is_a_value(event: dict[str, Any], name: str, value: Any) -> None:
    wanted = matcher(json.dumps({name: [value]}))(event)
    other = matcher(json.dumps({name: [{"anything-but": [value]}]}))(event)
    if name in event and not isinstance(event[name], dict):
        assert wanted is not other


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"a": "b"}', '{"a": []}', '{"a": {}}', '{"a": [{"like": "x"}]}', '{"a": [{"numeric": [">"]}]}'],
)
def test_a_pattern_that_is_none_says_why(text: str) -> None:
    with pytest.raises(PatternError, match="Event pattern is not valid"):
        matcher(text)
