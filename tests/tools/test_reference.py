"""The references leave nothing out that people can write or call."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from delivery import gates
from slipway import Platform
from stacks import settings
from tools.reference import gates_page, inside, keys, python_page, said_by, settings_page, words


def models() -> Iterator[type[BaseModel]]:
    for each in vars(settings).values():
        if inspect.isclass(each) and issubclass(each, settings.Strict) and each is not settings.Strict:
            yield each


@pytest.mark.parametrize("model", [*models()], ids=lambda each: each.__name__)
def test_every_setting_says_what_it_is_and_stands_on_the_page(model: type[BaseModel]) -> None:
    page = settings_page()
    for each in keys(model, said_by(settings)[model.__name__]):
        assert each.says.endswith("."), f"{model.__name__}.{each.name} has no sentence below it in stacks/settings.py"
        assert f"| `{each.name}` | {each.takes}" in page


def test_every_group_stands_under_the_path_that_leads_to_it() -> None:
    paths = re.findall(r"^## `(.+)`$", settings_page(), re.MULTILINE)
    assert len(paths) == len({*paths}) == len([*models()]) - 1
    assert "models.NAME.serving.scaling.schedule.NAME" in paths


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (settings.Days, "a whole number, at least 1, at most 3653"),
        (settings.Flag | None, "true or false or null"),
        (list[settings.Email], "a list, each an e-mail address"),
        (dict[str, float], "by text: a number"),
    ],
)
def test_a_type_is_told_in_words(given: Any, said: str) -> None:
    assert words(given) == said


def test_a_group_is_found_wherever_it_stands_in_a_type() -> None:
    assert [*inside(dict[str, settings.ModelSettings])] == [(settings.ModelSettings, "NAME")]
    assert [*inside(settings.CardSettings | None)] == [(settings.CardSettings, "")]


def test_every_gate_stands_on_the_page_with_every_key() -> None:
    page = gates_page()
    for kind in get_args(get_args(gates.Gate)[0]):
        below = page.partition(f"## `{kind.model_fields['kind'].default}`")[2].partition("\n## ")[0]
        assert all(f"| `{name}` |" in below for name in kind.model_fields if name != "kind"), kind


def test_every_method_stands_on_the_page_with_its_parameters() -> None:
    page = python_page()
    methods = [name for name, _ in inspect.getmembers(Platform, inspect.isfunction) if not name.startswith("_")]
    assert methods
    assert [name for name in methods if f"\n{name}(" not in page] == []
    assert "again: str=''" in page
    assert " at 0x" not in page
