"""Whoever an alarm tells can open the page that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from contract.release import Releases
from delivery.engine.recording import Recording
from delivery.rules.check import resources
from infra.rules import ALARM, COMPOSITE, Resource, breaches
from infra.runbooks import LONGEST, MOST, named_in
from stacks.settings import ROOT, SettingsError, parse

ADDRESS = "https://wiki.example.com/runbooks"
Declares = Callable[[str], list[Resource]]


@pytest.fixture
def declares(records: Callable[..., Recording], minimal: Mapping[str, Any], served: Releases) -> Declares:
    """Every alarm of a model in an experiment that retrains, with the runbooks published at an address."""

    def alarms(address: str) -> list[Resource]:
        models = {"churn": {**minimal["models"]["churn"], "training": {"on_drift": True}}}
        settings = parse({**minimal, "alerts": {"runbooks": address}, "models": models}, "test", "test")
        found = resources(records(settings, Releases({"churn": served.models["churn"]})))
        return [each for each in found if each.type in (ALARM, COMPOSITE)]

    return alarms


def pages(alarm: Resource) -> list[str]:
    return named_in(alarm.inputs["alarmDescription"])


def test_every_alarm_that_tells_people_names_a_page_that_can_be_opened(declares: Declares) -> None:
    telling = [each for each in declares(ADDRESS) if each.inputs.get("alarmActions")]
    assert {each.type for each in telling} == {ALARM, COMPOSITE}
    assert all(pages(each) for each in telling)


def test_every_page_stands_below_the_address_of_the_settings(declares: Declares) -> None:
    named = {page for each in declares(ADDRESS) for page in pages(each)}
    assert all(page.startswith(f"{ADDRESS}/") for page in named)
    assert all((ROOT / "docs" / "runbooks" / page.rpartition("/")[2]).exists() for page in named)


def test_a_group_names_the_runbook_of_each_signal_it_watches_once(declares: Declares) -> None:
    group = next(each for each in declares(ADDRESS) if each.name == "churn-unhealthy")
    named = ("errors", "latency", "saturation", "no-traffic")
    assert pages(group) == [f"{ADDRESS}/{each}.md" for each in named]


def test_without_an_address_the_pages_are_the_repositorys_own(whole: Recording) -> None:
    alarms = [each for each in resources(whole) if each.type in (ALARM, COMPOSITE)]
    assert all((ROOT / page).is_file() for each in alarms for page in pages(each))


def test_the_longest_address_fits_into_every_description(declares: Declares) -> None:
    address = "https://" + "a" * (LONGEST - len("https://"))
    assert max(len(each.inputs["alarmDescription"]) for each in declares(address)) <= MOST


@pytest.mark.parametrize(
    "address", ["javascript:alert()", "https://a wiki/", "ftp://there", "", "https://" + "a" * LONGEST, 1]
)
def test_an_address_nobody_can_open_is_refused(minimal: Mapping[str, Any], address: object) -> None:
    with pytest.raises(SettingsError, match=r"alerts\.runbooks"):
        parse({**minimal, "alerts": {"runbooks": address}}, "test", "test")


def test_a_closing_slash_is_not_doubled(minimal: Mapping[str, Any]) -> None:
    settings = parse({**minimal, "alerts": {"runbooks": f"{ADDRESS}/"}}, "test", "test")
    assert settings.alerts.runbooks == ADDRESS


@pytest.mark.parametrize(
    ("said", "breach"),
    [
        ("Open the dashboard slipway-test-churn.", "names no runbook"),
        (f"The endpoint fails. Runbook: {ADDRESS}/errors.md", "latency.md"),
        ("x" * MOST + f" Runbooks: {ADDRESS}/errors.md {ADDRESS}/latency.md", "longer than"),
    ],
)
def test_the_rule_sees_a_group_that_leaves_people_without_a_page(declares: Declares, said: str, breach: str) -> None:
    group = next(each for each in declares(ADDRESS) if each.name == "churn-unhealthy")
    changed = replace(group, inputs={**group.inputs, "alarmDescription": said})
    others = [each for each in declares(ADDRESS) if each.name != group.name]
    found = [each.text for rule, each in breaches([*others, changed]) if rule.id == "SLW021"]
    assert any(breach in each for each in found), found
