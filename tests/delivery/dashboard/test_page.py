"""The page in a real browser: what it shows, in light and dark, on a phone, and in bad states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from delivery.environment import Environment

pytestmark = [pytest.mark.long, pytest.mark.browser]
HOSTILE = "<img src=x onerror=document.title='broken'>"


def words(tab: Any, part: str) -> str:
    return " ".join(tab.locator(f"#{part}").inner_text().split())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_a_model_in_the_middle_of_its_life(
    filled: Any, served: Any, opened: Any, scheme: str, tmp_path: Path
) -> None:
    with served(filled.environment) as url:
        tab, problems = opened(url, color_scheme=scheme, viewport={"width": 1280, "height": 900})
        for place in tab.locator("figure.plot:visible").all():
            place.scroll_into_view_if_needed()
            place.locator(".main-svg").first.wait_for()
        assert "champion 90.0% · 2 instances slipway-local-churn-champion-7d1f" in words(tab, "endpoint")
        assert "1 of 2 are up" in words(tab, "alarms")
        assert f"drift said {HOSTILE}" in words(tab, "alarms")
        assert "slipway-local-churn-train newest run 02 Mar 08:00 Failed" in words(tab, "pipelines")
        assert tab.locator("#pipelines svg.graph .step.bad text").all_text_contents() == ["Train", "55 s"]
        assert "1 of ml.m5.large" in words(tab, "pipelines")
        assert "slipway-local-churn-promote TakeOver Register It never ran." in words(tab, "pipelines")
        assert "Promote" in words(tab, "experiment")
        assert "Drift: the inputs differ" in words(tab, "drift")
        assert "USD a month for what runs all the time" in words(tab, "cost")
        assert "3 of 3 decisions about this model. The chain is whole over the 3 decisions" in words(tab, "ledger")
        assert tab.locator("figure.plot:visible").count() >= 9
        tab.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
        assert tab.title() == "Slipway: local"
        assert problems == []


def test_the_page_fits_a_phone_and_follows_what_changes(filled: Any, served: Any, opened: Any) -> None:
    with served(filled.environment) as url:
        tab, problems = opened(url, viewport={"width": 375, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        row = filled.scope.get("endpoint", filled.names.endpoint("churn"))
        before = row.body["ProductionVariants"]
        moved = [{**each, "CurrentWeight": 5.0} for each in before]
        filled.scope.update("endpoint", row.name, {"ProductionVariants": moved})
        tab.locator("#endpoint", has_text="50.0%").wait_for()
        filled.scope.update("endpoint", row.name, {"ProductionVariants": before})
        assert problems == []


def test_aws_that_does_not_answer_is_said_in_every_part_and_the_page_stays(
    unreachable: Environment, served: Any, opened: Any
) -> None:
    with served(unreachable) as url:
        tab, _ = opened(url)
        kinds = set(tab.locator(".trouble").evaluate_all("all => all.map(each => each.dataset.kind)"))
        assert kinds == {"unreachable"}
        assert tab.locator(".trouble").count() == tab.locator("main > section").count()
        assert not tab.locator("#lost").is_visible()


def test_credentials_that_expired_say_how_to_sign_in_again(filled: Any, served: Any, opened: Any, fault: Any) -> None:
    with (
        fault({"effect": "fail", "operation": "*", "code": "ExpiredToken", "status": 403}),
        served(filled.environment) as url,
    ):
        tab, _ = opened(url)
        assert "Sign in again" in words(tab, "endpoint")
        assert tab.locator(".trouble[data-kind=expired]").count() == tab.locator("main > section").count()


def test_a_part_that_fails_takes_no_other_with_it(filled: Any, served: Any, opened: Any, fault: Any) -> None:
    failing = {"effect": "fail", "operation": "DescribeAlarms", "code": "AccessDenied", "status": 403}
    with fault(failing), served(filled.environment) as url:
        tab, problems = opened(url)
        assert "may not DescribeAlarms" in words(tab, "alarms")
        assert len(tab.locator(".trouble").all_inner_texts()) == 1, tab.locator(".trouble").all_inner_texts()
        assert "90.0%" in words(tab, "endpoint")
        assert problems == []


def test_a_server_that_is_gone_is_said(filled: Any, served: Any, opened: Any) -> None:
    with served(filled.environment) as url:
        tab, _ = opened(url)
    tab.locator("#lost").wait_for(state="visible", timeout=15_000)
