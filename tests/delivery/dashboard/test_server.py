"""Whom the page answers, and what it says of trouble."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from delivery.dashboard.graph import Graph, drawing
from delivery.dashboard.looking import Look
from delivery.dashboard.parts import parts
from delivery.dashboard.parts.alarms import Alarm, cause, linked
from delivery.dashboard.report import report
from delivery.dashboard.trouble import explained


def test_the_page_answers_its_own_host_and_origin_alone(filled: Any, served: Any) -> None:
    with served(filled.environment) as url:
        asked = f"{url}/parts/endpoint?model=churn"
        host = url.removeprefix("http://")
        assert httpx.get(asked).status_code == 200
        assert httpx.get(asked, headers={"Origin": url}).status_code == 200
        for headers in (
            {"Host": "evil.example"},
            {"Host": f"evil.example:{host.partition(':')[2]}"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:1"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            answer = httpx.get(asked, headers=headers)
            assert (answer.status_code, "html" in answer.text) == (403, False), headers
        assert httpx.post(asked).status_code == 405


def test_the_page_brings_everything_itself_and_may_ask_only_its_own_server(filled: Any, served: Any) -> None:
    with served(filled.environment) as url:
        for path in ("/", "/page.js", "/page.css"):
            answer = httpx.get(url + path)
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert not any(word in answer.text for word in ('src="http', 'href="http', "https://", "@import"))


def test_what_is_not_there_is_not_made_up(filled: Any, served: Any) -> None:
    with served(filled.environment) as url:
        assert httpx.get(f"{url}/parts/nothing?model=churn").status_code == 404
        assert httpx.get(f"{url}/parts/endpoint?model=../x").status_code == 404


def test_every_part_is_found_and_has_its_place() -> None:
    assert list(parts()) == [
        "endpoint", "evidence", "alarms", "pipelines", "traffic", "experiment", "drift", "quality", "cost", "ledger",
    ]  # fmt: skip


def refused(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeEndpoint")


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (refused("ExpiredTokenException"), "expired"),
        (refused("AccessDenied"), "forbidden"),
        (refused("ThrottlingException"), "throttled"),
        (refused("NoSuchBucket"), "missing"),
        (refused("ValidationException", "something else"), "failed"),
        (NoCredentialsError(), "expired"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), "unreachable"),
        (ValueError("a surprise"), "failed"),
    ],
)
def test_trouble_is_told_by_its_kind(problem: Exception, kind: str) -> None:
    assert explained(problem, "local").kind == kind


def test_a_graph_stands_in_columns_and_leaves_out_arrows_that_others_imply() -> None:
    graph = Graph({"a": frozenset(), "b": frozenset({"a"}), "c": frozenset({"a", "b"}), "d": frozenset({"b"})})
    assert graph.columns() == [["a"], ["b"], ["c", "d"]]
    assert graph.arrows() == [("a", "b"), ("b", "c"), ("b", "d")]
    assert "&lt;x" in drawing(Graph({"<x": frozenset()}), {}, "a graph")


def test_steps_that_wait_for_each_other_are_drawn_all_the_same() -> None:
    assert Graph({"a": frozenset({"b"}), "b": frozenset({"a"})}).columns()


def test_the_runbook_of_an_alarm_that_is_up_can_be_followed_where_it_is_a_web_address() -> None:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    page = "https://wiki.example.com/drift.md"
    told = cause(Alarm("drift", "ALARM", at, "1 datapoint", f"Inputs differ. Runbook: {page}"))
    assert f'<a href="{page}" target="_blank" rel="noopener noreferrer">{page}</a>' in told
    told = cause(Alarm("drift", "ALARM", at, "see https://elsewhere.example", "It. Runbook: docs/runbooks/drift.md"))
    assert "docs/runbooks/drift.md" in told
    assert "<a " not in told


@pytest.mark.parametrize(
    "said", ["Runbook: docs/runbooks/drift.md", "javascript:alert(1)", "data:text/html,x", "//elsewhere", "<a href=x>"]
)
def test_what_is_no_web_address_stays_text(said: str) -> None:
    assert "<a " not in linked(said)


def test_an_address_cannot_leave_its_quotes() -> None:
    assert linked('https://x"onclick="y') == (
        '<a href="https://x&quot;onclick=&quot;y" target="_blank" rel="noopener noreferrer">https://x&quot;onclick=&quot;y</a>'
    )


@pytest.mark.browser
def test_a_report_is_one_file_that_says_what_the_page_says(filled: Any, browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "churn.html"
    path.write_text(report(Look(filled.environment, "churn")), encoding="utf-8")
    assert path.stat().st_size < 2_500_000
    context = browser.new_context(offline=True, viewport={"width": 375, "height": 800}, color_scheme="dark")
    problems: list[str] = []
    tab = context.new_page()
    tab.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
    tab.on("pageerror", lambda problem: problems.append(str(problem)))
    tab.goto(path.as_uri())
    for place in tab.locator("figure.plot:visible").all():
        place.scroll_into_view_if_needed()
        place.locator(".main-svg").first.wait_for()
    shown = tab.locator("body").inner_text()
    told = ("churn in local", "better than guessing", "Promote", "The chain is whole", "USD a month", "1 of 2 are up")
    assert [words for words in told if words not in shown] == []
    assert tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert problems == []
    context.close()
