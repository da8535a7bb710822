"""The pages under /_localaws/: the clock is moved and faults are set over HTTP, and only from here."""

from __future__ import annotations

import json
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from localaws.app import App, start
from localaws.faults.fault import FaultError, fault
from localaws.faults.processes import Processes
from localaws.plane import Settings
from localaws.ports import RunSpec
from localaws.runner.local import LocalRunner

AwsClient = Callable[..., Any]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("pages")
    running = start(Settings(containers=folder, work=folder / "work", clock="stepped:2026-01-05T00:00:00Z"))
    yield running
    running.stop()


@pytest.fixture
def client(app: App) -> Iterator[AwsClient]:
    def make(service: str, retries: int = 0) -> Any:
        build: Callable[..., Any] = boto3.client
        return build(
            service,
            endpoint_url=app.url,
            region_name="eu-west-1",
            aws_access_key_id="123456789012",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": retries + 1}, s3={"addressing_style": "path"}),
        )

    yield make
    call(app.url + "/_localaws/faults", "DELETE", {})


def call(url: str, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers or {}, method=method)  # noqa: S310  our own server
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.loads(answer.read())


def refused(url: str, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
    with pytest.raises(HTTPError) as error:
        call(url, method, body, headers)
    with error.value as answer:
        return answer.code, answer.read().decode()


def test_the_clock_is_read_and_moved_over_http(app: App) -> None:
    url = app.url + "/_localaws/clock"
    assert call(url)["now"] == "2026-01-05T00:00:00Z"
    assert call(url, "POST", {"advance": 90})["now"] == "2026-01-05T00:01:30Z"
    assert call(url, "POST", {"to": "2026-01-05T01:00:00Z"})["mode"] == "stepped"
    assert call(url, "POST", {"settle": True})["busy"] == []
    assert "is scaled" not in refused(url, "POST", {"rate": 2})[1]
    status, said = refused(url, "POST", {"forward": 5})
    assert (status, "advance" in said) == (400, True)
    assert "cannot go back" in refused(url, "POST", {"advance": -1})[1]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Host": "evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize("page", ["/_localaws/clock", "/_localaws/faults"])
def test_other_sites_are_refused(app: App, page: str, headers: dict[str, str]) -> None:
    before = app.plane.clock.now()
    assert refused(app.url + page, "POST", {"advance": 5}, headers)[0] == 403
    assert app.plane.clock.now() == before


def test_an_operation_fails_as_often_as_it_was_told(app: App, client: AwsClient) -> None:
    wanted = {"effect": "fail", "service": "sagemaker", "operation": "List*", "times": 2, "code": "InternalFailure"}
    call(app.url + "/_localaws/faults", "POST", wanted)
    for _ in range(2):
        with pytest.raises(ClientError) as failed:
            client("sagemaker").list_models()
        assert failed.value.response["Error"]["Code"] == "InternalFailure"
    client("sagemaker").list_models()
    [shown] = call(app.url + "/_localaws/faults")["faults"]
    assert (shown["struck"], shown["times"]) == (2, 2)


def test_clients_retry_a_throttled_call_and_get_through(app: App, client: AwsClient) -> None:
    call(app.url + "/_localaws/faults", "POST", {"effect": "throttle", "operation": "PutMetricData", "times": 2})
    client("cloudwatch", retries=3).put_metric_data(Namespace="x", MetricData=[{"MetricName": "y", "Value": 1.0}])


def test_a_fault_can_be_for_one_resource_and_for_services_behind(app: App, client: AwsClient) -> None:
    wanted = {"effect": "fail", "operation": "PutObject", "where": {"Bucket": "shelf", "Key": "bad/*"}, "status": 503}
    call(app.url + "/_localaws/faults", "POST", wanted)
    s3 = client("s3")
    s3.create_bucket(Bucket="shelf", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="shelf", Key="good/x", Body=b"")
    with pytest.raises(ClientError):
        s3.put_object(Bucket="shelf", Key="bad/x", Body=b"")


def test_an_answer_can_be_lost_after_the_operation_was_done(app: App, client: AwsClient) -> None:
    events = client("events")
    call(app.url + "/_localaws/faults", "POST", {"effect": "drop", "operation": "PutRule", "times": 1})
    with pytest.raises(ConnectionClosedError):
        events.put_rule(Name="r", ScheduleExpression="rate(1 hour)")
    assert events.describe_rule(Name="r")["Name"] == "r"


def test_a_delay_passes_on_the_clock(app: App, client: AwsClient) -> None:
    call(app.url + "/_localaws/faults", "POST", {"effect": "delay", "operation": "ListDashboards", "seconds": 30})
    before = app.plane.clock.now()
    done = app.plane.clock.event()

    def ask() -> None:
        client("cloudwatch").list_dashboards()
        done.set()

    thread = threading.Thread(target=ask)
    thread.start()
    while not done.is_set():
        app.plane.clock.advance(10)
    thread.join(10)
    assert app.plane.clock.now() >= before + 30


def test_a_share_of_calls_is_struck_the_same_way_each_time() -> None:
    def play() -> list[bool]:
        each = fault({"effect": "fail", "share": 0.3, "seed": 4})
        return [each.strikes() for _ in range(200)]

    first = play()
    assert first == play()
    assert 30 <= sum(first) <= 90


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs an effect"),
        ({"effect": "explode"}, "one of fail, throttle, delay, drop"),
        ({"effect": "delay"}, "seconds above 0"),
        ({"effect": "fail", "chance": 1}, "has no chance"),
        ({"effect": "fail", "share": 2}, "at most 1"),
    ],
)
def test_a_fault_that_cannot_be_says_why(given: dict[str, Any], said: str) -> None:
    with pytest.raises(FaultError, match=said):
        fault(given)


def test_killing_what_does_not_run_names_what_does(app: App) -> None:
    assert "no process runs" in refused(app.url + "/_localaws/faults", "POST", {"kill": "shop/*"})[1]


def test_a_process_dies_when_it_is_told_to(tmp_path: Path) -> None:
    images = Path(__file__).parent / "images"
    local = LocalRunner([images], interpreter=Path(sys.executable), backend="process")
    processes = Processes(local)
    spec = RunSpec("shop/a/1", "x/worker:1", tmp_path, entrypoint=("/bin/sh", "-c", "sleep 60"))
    running = processes.run(spec)
    assert processes.names() == ["shop/a/1"]
    assert processes.kill("till/*") == []
    assert processes.kill("shop/a/*") == ["shop/a/1"]
    assert running.wait(10) == 128 + 9
    assert processes.names() == []
    local.close()
