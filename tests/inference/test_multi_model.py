"""Several models in one container: SageMaker's /models interface, the same from every worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.inference.conftest import Reply, Server, Start

GOOD = b"33.5,2,1,basic,city-7"


@pytest.fixture
def many(start: Start) -> Server:
    return start(None, SAGEMAKER_MULTI_MODEL="true", SAGEMAKER_MODEL_SERVER_WORKERS="2", SLIPWAY_SERVE_MAX_MODELS="2")


def load(server: Server, name: str, url: Path) -> Reply:
    return server.ask("POST", "/models", json.dumps({"model_name": name, "url": str(url)}).encode())


def invoke(server: Server, name: str) -> Reply:
    return server.ask("POST", f"/models/{name}/invoke", GOOD, {"Content-Type": "text/csv"})


def test_models_are_loaded_listed_asked_and_unloaded(many: Server, artifact: Path, regression: Path) -> None:
    assert many.ask("GET", "/models").json == {"models": []}
    assert invoke(many, "churn").status == 404
    assert load(many, "churn", artifact).status == 200
    assert load(many, "score", regression).status == 200
    for _ in range(20):  # whichever worker is asked
        assert len(invoke(many, "churn").body.split(b",")) == 3
        assert len(invoke(many, "score").body.split(b",")) == 1
    assert many.ask("GET", "/models").json == {
        "models": [
            {"modelName": "churn", "modelUrl": str(artifact)},
            {"modelName": "score", "modelUrl": str(regression)},
        ]
    }
    assert many.ask("GET", "/models/churn").json == {"modelName": "churn", "modelUrl": str(artifact)}
    assert many.ask("DELETE", "/models/churn").status == 200
    for _ in range(20):
        assert invoke(many, "churn").status == 404
        assert invoke(many, "score").status == 200
    assert many.ask("DELETE", "/models/churn").status == 404
    assert many.ask("GET", "/models/churn").status == 404


def test_a_model_loaded_again_under_its_name_is_the_new_one_for_every_worker(
    many: Server, artifact: Path, regression: Path
) -> None:
    load(many, "it", artifact)
    for _ in range(20):
        assert invoke(many, "it").status == 200
    many.ask("DELETE", "/models/it")
    load(many, "it", regression)
    for _ in range(20):
        assert len(invoke(many, "it").body.split(b",")) == 1


def test_loading_refuses_what_sagemaker_expects_it_to(many: Server, artifact: Path, tmp_path: Path) -> None:
    assert load(many, "a", artifact).status == 200
    assert load(many, "a", artifact).status == 409
    assert load(many, "b", artifact).status == 200
    full = load(many, "c", artifact)
    assert (full.status, full.json["error"]["code"]) == (507, "no_memory")
    many.ask("DELETE", "/models/b")
    bad = load(many, "d", tmp_path)
    assert bad.status == 400
    assert "manifest.json" in bad.json["error"]["message"]
    assert many.ask("POST", "/models", b'{"model_name": "x"}').status == 400
    assert many.ask("POST", "/models", b"[").status == 400


def test_many_models_are_listed_page_by_page(start: Start, artifact: Path) -> None:
    server = start(None, SAGEMAKER_MULTI_MODEL="true", SLIPWAY_SERVE_MAX_MODELS="200")
    names = [f"model-{at:03d}" for at in range(101)]
    assert {load(server, name, artifact).status for name in names} == {200}
    first = server.ask("GET", "/models").json
    second = server.ask("GET", f"/models?next_page_token={first['nextPageToken']}").json
    assert [each["modelName"] for each in first["models"] + second["models"]] == names
    assert "nextPageToken" not in second
