"""Metric math over real series."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws.metrics.expression import ExpressionError, Lines
from localaws.metrics.query import MetricStat, Query, answer
from localaws.metrics.series import Metrics, metric_key

BEGIN, END = 6000, 6600
INVOCATIONS = metric_key("AWS/SageMaker", "Invocations", {"EndpointName": "shop", "VariantName": "a"})
ERRORS = metric_key("AWS/SageMaker", "Invocation5XXErrors", {"EndpointName": "shop", "VariantName": "a"})


def metrics_with(invocations: dict[int, float], errors: dict[int, float]) -> Metrics:
    metrics = Metrics(lambda: END)
    for key, points in ((INVOCATIONS, invocations), (ERRORS, errors)):
        for minute, value in points.items():
            metrics.put(key, [(value, 1)], at=BEGIN + minute * 60)
    return metrics


def ask(metrics: Metrics, expression: str) -> Lines:
    queries = [
        Query("m1", MetricStat(INVOCATIONS, 60, "Sum"), returned=False),
        Query("m2", MetricStat(ERRORS, 60, "Sum"), returned=False),
        Query("e1", expression=expression),
    ]
    return answer(metrics, queries, BEGIN, END)["e1"]


def points(metrics: Metrics, expression: str) -> dict[int, float]:
    [line] = ask(metrics, expression)
    return {(at - BEGIN) // 60: value for at, value in line.points.items()}


@pytest.fixture
def shop() -> Metrics:
    return metrics_with({0: 100, 1: 50, 2: 200, 4: 10}, {0: 1, 2: 20})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("m2 / m1 * 100", {0: 1, 2: 10}),
        ("100*(FILL(m2,0)/m1)", {0: 1, 1: 0, 2: 10, 4: 0}),
        ("m1 - m2", {0: 99, 2: 180}),
        ("-m2", {0: -1, 2: -20}),
        ("m2 ^ 2", {0: 1, 2: 400}),
        ("m1 > 60", {0: 1, 1: 0, 2: 1, 4: 0}),
        ("m1 > 60 AND FILL(m2,0) > 10", {0: 0, 1: 0, 2: 1, 4: 0}),
        ("m1 > 150 || m1 < 20", {0: 0, 1: 0, 2: 1, 4: 1}),
        ("IF(m1 > 60, m2, 0)", {0: 1, 1: 0, 2: 20, 4: 0}),
        ("IF(m1 > 60, m1)", {0: 100, 2: 200}),
        ("SUM([m1, m2])", {0: 101, 1: 50, 2: 220, 4: 10}),
        ("MAX(METRICS())", {0: 100, 1: 50, 2: 200, 4: 10}),
        ("SUM(METRICS('m2'))", {0: 1, 2: 20}),
        ("m1 / SUM(m1) * 100", {0: 100 / 3.6, 1: 50 / 3.6, 2: 200 / 3.6, 4: 10 / 3.6}),
        ("DIFF(m1)", {1: -50, 2: 150, 4: -190}),
        ("DIFF_TIME(m1)", {1: 60, 2: 60, 4: 120}),
        ("RATE(m1)", {1: -50 / 60, 2: 150 / 60, 4: -190 / 120}),
        ("m1 / PERIOD(m1)", {0: 100 / 60, 1: 50 / 60, 2: 200 / 60, 4: 10 / 60}),
        ("RUNNING_SUM(m1)", {0: 100, 1: 150, 2: 350, 4: 360}),
        ("FILL(m2, REPEAT)", {0: 1, 1: 1, **dict.fromkeys(range(2, 10), 20)}),
        ("FILL(m2, LINEAR)", {0: 1, 1: 10.5, 2: 20}),
        ("FIRST(SORT([m2,m1], SUM, DESC))", {0: 100, 1: 50, 2: 200, 4: 10}),
        ("SLICE([m2,m1], 1)", {0: 100, 1: 50, 2: 200, 4: 10}),
        ("CEIL(LOG10(m1))", {0: 2, 1: 2, 2: 3, 4: 1}),
        ("ABS(m2 - m1)", {0: 99, 2: 180}),
        ("MINUTE(m2)", {0: 40, 2: 42}),
        ("DATAPOINT_COUNT([m1,m2])", {0: 2, 1: 1, 2: 2, 4: 1}),
        ("m2 / (m2 - 1)", {2: 20 / 19}),
    ],
)
def test_an_expression_gives_its_points(shop: Metrics, expression: str, expected: dict[int, float]) -> None:
    assert points(shop, expression) == pytest.approx(expected)


def test_a_constant_line_fills_every_period_asked_for(shop: Metrics) -> None:
    assert points(shop, "TIME_SERIES(METRIC_COUNT(METRICS()))") == dict.fromkeys(range(10), 2)


def test_an_expression_may_use_another_expression(shop: Metrics) -> None:
    queries = [
        Query("m1", MetricStat(INVOCATIONS, 60, "Sum"), returned=False),
        Query("e1", expression="m1 * 2", returned=False),
        Query("e2", expression="e1 + 1", label="twice and one"),
    ]
    [line] = answer(shop, queries, BEGIN, END)["e2"]
    assert line.label == "twice and one"
    assert line.points[BEGIN] == 201


def test_search_brings_every_metric_of_the_schema(shop: Metrics) -> None:
    other = metric_key("AWS/SageMaker", "Invocations", {"EndpointName": "till", "VariantName": "a"})
    shop.put(other, [(7, 1)], at=BEGIN)
    lines = ask(shop, "SEARCH('{AWS/SageMaker,EndpointName,VariantName} MetricName=\"Invocations\"', 'Sum', 60)")
    assert [line.label for line in lines] == ["shop a Invocations", "till a Invocations"]
    [only] = ask(shop, "SEARCH('{AWS/SageMaker,EndpointName,VariantName} Invocations NOT 5XX NOT shop', 'Sum', 60)")
    assert only.points == {BEGIN: 7}
    assert points(shop, "SUM(SEARCH('{AWS/SageMaker,EndpointName,VariantName} shop OR till', 'Sum', 60))")[0] == 108


@given(
    left=st.dictionaries(st.integers(0, 9), st.integers(-50, 50)),
    right=st.dictionaries(st.integers(0, 9), st.integers(-50, 50)),
)
@settings(max_examples=40)
def test_operators_work_where_both_have_a_point_and_functions_where_any_has(
    left: dict[int, float], right: dict[int, float]
) -> None:
    metrics = metrics_with(left, right)
    assert points(metrics, "m1 + m2") == {at: left[at] + right[at] for at in left.keys() & right.keys()}
    assert points(metrics, "SUM([m1,m2])") == {
        at: left.get(at, 0) + right.get(at, 0) for at in left.keys() | right.keys()
    }
    assert all(not math.isnan(value) for value in points(metrics, "m1 / m2").values())


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("ANOMALY_DETECTION_BAND(m1, 2)", "not built here"),
        ("SELECT AVG(x) FROM y", "Metrics Insights"),
        ("m1 +", "Error in expression"),
        ("m9 * 2", "no query with that id"),
        ("SUM(m1)", "must return a time series"),
        ("NOPE(m1)", "no metric math function NOPE"),
        ("RATE()", "RATE takes 1 arguments, got 0"),
        ("__import__('os')", "no metric math function"),
        ("m1.points", "is not metric math"),
        ("e1 + 1", "in a circle"),
    ],
)
def test_a_wrong_expression_says_what_is_wrong(shop: Metrics, expression: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=said):
        ask(shop, expression)
