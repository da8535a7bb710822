"""The status page, in a real browser."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.app import App, start
from localaws.metrics.series import metric_key
from localaws.plane import Settings

ACCOUNT, REGION = "123456789012", "eu-west-1"
HOSTILE = "<img src=x onerror=document.title='broken'>"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, clients: Callable[[App], Callable[..., Any]]) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("page")
    running = start(Settings(containers=folder, work=folder / "work", clock="stepped:2026-01-05T12:00:00Z"))
    fill(running, clients(running))
    yield running
    running.stop()


def fill(app: App, client: Callable[..., Any]) -> None:
    """An endpoint with two variants, a job with a log, two alarms, and an hour of metrics."""
    scope, clock = app.plane.store.scope(ACCOUNT, REGION), app.plane.clock
    variants = [
        {"VariantName": "champion", "CurrentWeight": 9.0, "CurrentInstanceCount": 2, "DesiredInstanceCount": 2},
        {"VariantName": "challenger", "CurrentWeight": 1.0, "CurrentInstanceCount": 1, "DesiredInstanceCount": 3},
    ]
    body = {"EndpointName": "shop", "EndpointStatus": "InService", "EndpointConfigName": "shop-7d1f"}
    scope.add(
        "endpoint", "shop", scope.arn("endpoint/shop"), {**body, "ProductionVariants": variants}, created=clock.now()
    )
    for name, status in (("churn-fit-1", "Completed"), ("churn-fit-2", "Failed")):
        job = {"TrainingJobName": name, "TrainingJobStatus": status, "SecondaryStatus": status}
        if status == "Failed":
            job["FailureReason"] = f"AlgorithmError: {HOSTILE}, exit code: 1"
        scope.add("training-job", name, scope.arn(f"training-job/{name}"), job, created=clock.now())

    logs = client("logs")
    group, stream = "/aws/sagemaker/TrainingJobs", "churn-fit-1/algo-1-1767614400"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    event = {"timestamp": int(clock.now() * 1000), "message": "validation:auc=0.87"}
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
    metrics = app.plane.watch.metrics(ACCOUNT, REGION)
    for minute in range(55):
        clock.advance(60)
        for variant, load in (("champion", 90), ("challenger", 10)):
            dimensions = {"EndpointName": "shop", "VariantName": variant}
            for name, value, unit in (
                ("Invocations", load + minute % 7, "None"),
                ("ModelLatency", 900 + 40 * (minute % 11), "Microseconds"),
            ):
                metrics.put(metric_key("AWS/SageMaker", name, dimensions), [(float(value), 1)], unit=unit)
    alarm = {"Namespace": "AWS/SageMaker", "Statistic": "Average", "Period": 60, "EvaluationPeriods": 1}
    dimensions = [{"Name": "EndpointName", "Value": "shop"}, {"Name": "VariantName", "Value": "champion"}]
    for name, threshold in (("shop-slow", 500.0), ("shop-very-slow", 5e6)):
        client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            MetricName="ModelLatency",
            Dimensions=dimensions,
            Threshold=threshold,
            ComparisonOperator="GreaterThanThreshold",
            **alarm,
        )
    clock.advance(60)


def fetched(url: str) -> tuple[bytes, dict[str, str]]:
    with urllib.request.urlopen(url) as answer:  # noqa: S310  our own server
        return answer.read(), dict(answer.headers)


def test_what_the_page_shows_can_be_asked_for_as_json(app: App) -> None:
    found = json.loads(fetched(app.url + "/_localaws/status")[0])
    [endpoint] = found["endpoints"]
    assert [(v["name"], v["share"], v["desired"]) for v in endpoint["variants"]] == [
        ("champion", 0.9, 2),
        ("challenger", 0.1, 3),
    ]
    assert {alarm["name"]: alarm["state"] for alarm in found["alarms"]} == {
        "shop-slow": "ALARM",
        "shop-very-slow": "OK",
    }
    line = next(line for line in found["metrics"] if line["name"] == "ModelLatency")
    assert (line["stat"], line["unit"], len(line["points"])) == ("Average", "Microseconds", 55)


def test_the_page_brings_everything_itself_and_may_ask_only_its_own_server(app: App) -> None:
    body, headers = fetched(app.url + "/")
    text = body.decode()
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert not any(word in text for word in ("src=", "@import", "href=", "https://"))


def test_only_looking_at_the_root_is_the_page_and_an_unsigned_call_is_for_the_services(app: App) -> None:
    data = b"Action=GetCallerIdentity&Version=2011-06-15"
    request = urllib.request.Request(app.url + "/", data)  # noqa: S310  our own server
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        assert b"<html" not in answer.read()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_what_goes_on(app: App, browser: Any, scheme: str, tmp_path: Path) -> None:
    tab = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    tab.goto(app.url + "/")
    endpoints = tab.locator("#endpoints")
    endpoints.get_by_text("shop", exact=True).wait_for()
    assert "champion 90 % weight 9, 2 instances" in " ".join(endpoints.inner_text().split())
    assert "1 → 3 instances" in endpoints.inner_text()
    bars = endpoints.locator(".bar i")
    widths = [bars.nth(n).bounding_box()["width"] for n in range(2)]
    assert widths[0] / sum(widths) == pytest.approx(0.9, abs=0.01)
    assert "shop-slow" in tab.locator("#alarms .item").first.inner_text()
    assert HOSTILE in tab.locator("#jobs").inner_text()
    assert tab.locator("#metrics svg").count() == 4
    assert tab.locator("#clock").inner_text().startswith("2026-01-05 12:5")
    tab.locator("#jobs .item", has_text="churn-fit-1").get_by_role("button", name="log").click()
    tab.get_by_text("validation:auc=0.87").wait_for()
    tab.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
    assert tab.title() == "Embedded AWS"
    assert problems == []
    tab.close()


@pytest.mark.browser
def test_the_clock_is_moved_from_the_page_and_weights_change_live(app: App, browser: Any) -> None:
    tab = browser.new_page(viewport={"width": 480, "height": 900})
    tab.goto(app.url + "/")
    tab.get_by_role("button", name="+1 min").click()
    tab.locator("#clock", has_text="12:57").wait_for()
    scope = app.plane.store.scope(ACCOUNT, REGION)
    row = scope.get("endpoint", "shop")
    assert row is not None
    before = row.body["ProductionVariants"]
    moved = [{**variant, "CurrentWeight": 5.0} for variant in before]
    scope.update("endpoint", "shop", {"ProductionVariants": moved})
    tab.locator("#endpoints .legend", has_text="50 %").wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways on a phone"
    scope.update("endpoint", "shop", {"ProductionVariants": before})
    tab.close()
