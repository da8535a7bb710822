"""State that is a file beside the work is read without starting Terraform; any other is asked of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from delivery.engine.cloud import Cloud
from delivery.engine.errors import EngineError
from delivery.engine.machine import Workplace
from delivery.engine.terraform import Terraform

STATE = {"version": 4, "resources": [], "outputs": {"platform": {"value": {"environment": "local"}, "type": "string"}}}
NO_CLOUD = cast("Cloud", None)


def terraform(root: Path, backend: dict[str, Any], binary: str = "/there/is/no/terraform") -> Terraform:
    place = Workplace(root, "local")
    place.terraform.mkdir(parents=True)
    place.document.write_text(json.dumps({"terraform": {"backend": backend}}))
    return Terraform(place, NO_CLOUD, binary)


def test_what_was_brought_up_here_is_read_from_its_file(tmp_path: Path) -> None:
    here = terraform(tmp_path, {"local": {}})
    here.workplace.state.write_text(json.dumps(STATE))
    assert here.state() == STATE
    assert here.outputs() == {"platform": {"environment": "local"}}


def test_before_anything_was_brought_up_there_is_no_state(tmp_path: Path) -> None:
    here = terraform(tmp_path, {"local": {}})
    assert here.state() == {}
    assert here.outputs() == {}


def test_a_torn_state_names_what_mends_it(tmp_path: Path) -> None:
    here = terraform(tmp_path, {"local": {}})
    here.workplace.state.write_text('{"version": 4, "resou')
    with pytest.raises(EngineError, match="slipway recover"):
        here.state()


def test_state_in_a_bucket_is_pulled_whatever_lies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = terraform(tmp_path, {"s3": {"bucket": "state"}})
    here.workplace.state.write_text('{"version": 4, "stale": true}')
    asked: list[list[str]] = []

    def run(_: Terraform, arguments: list[str]) -> str:
        asked.append(arguments)
        return json.dumps(STATE)

    monkeypatch.setattr(Terraform, "run", run)
    assert here.state() == STATE
    assert asked == [["state", "pull"]]
