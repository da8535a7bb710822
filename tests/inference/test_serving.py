"""Health, metrics, documents, ids, logs and hooks of the running program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from tests.inference.conftest import Server, Start

GOOD = "33.5,2,1,basic,city-7"


def test_a_ping_with_detail_tells_status_version_uptime_and_predictions(server: Server) -> None:
    before = server.ask("GET", "/ping?detail").json
    server.invoke("\n".join([GOOD] * 3))
    after = server.ask("GET", "/ping?detail").json
    assert after["predictions"] - before["predictions"] == 3
    assert (after["status"], after["workers"], after["workers_well"]) == ("healthy", 1, 1)
    assert after["family"] == "hist_gradient_boosting"
    assert after["fast_form"] is True
    assert len(after["model_version"]) == 16
    assert after["uptime_seconds"] > 0
    assert server.ask("GET", "/ping").json == {"status": "healthy"}


def metrics_of(server: Server) -> dict[str, float]:
    text = server.ask("GET", "/metrics").body.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name + "".join(sorted(sample.labels.values())): sample.value for sample in samples}


def test_metrics_count_what_was_answered(server: Server) -> None:
    before = metrics_of(server)
    server.invoke(GOOD)
    server.invoke("nonsense")
    after = metrics_of(server)
    grown = {name: after[name] - before[name] for name in after}
    assert grown["slipway_requests_totalrefused"] == 1
    assert grown["slipway_requests_totalok"] == 2  # the prediction and the first look at the metrics
    assert grown["slipway_requests_totalfailed"] == 0
    assert grown["slipway_predictions_total"] == 1
    assert grown["slipway_request_seconds_count"] == 3
    assert after["slipway_workers_well"] == 1


def test_the_openapi_document_is_valid_and_knows_the_columns(server: Server) -> None:
    document = server.ask("GET", "/openapi.json").json
    validate(document)
    properties = document["components"]["schemas"]["Row"]["properties"]
    assert properties["age"] == {"type": ["number", "null"], "description": "In training from 18 to 90"}
    assert properties["plan"]["examples"] == ["basic", "gold, with extras", "pro"]
    assert "application/x-parquet" in document["paths"]["/invocations"]["post"]["requestBody"]["content"]


def test_execution_parameters_follow_the_job(server: Server, start: Start, artifact: Path) -> None:
    assert server.ask("GET", "/execution-parameters").json == {
        "MaxConcurrentTransforms": 1,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 6,
    }
    batch = start(
        artifact,
        SAGEMAKER_BATCH="true",
        SAGEMAKER_BATCH_STRATEGY="SINGLE_RECORD",
        SAGEMAKER_MAX_PAYLOAD_IN_MB="8",
        SAGEMAKER_MAX_CONCURRENT_TRANSFORMS="5",
    )
    assert batch.ask("GET", "/execution-parameters").json == {
        "MaxConcurrentTransforms": 5,
        "BatchStrategy": "SINGLE_RECORD",
        "MaxPayloadInMB": 8,
    }
    body = GOOD + "\n"
    assert batch.invoke(body * (7 * 1024 * 1024 // len(body))).status == 200


def test_ids_and_attributes_come_back_and_into_the_log(server: Server) -> None:
    reply = server.invoke(GOOD, X_Amzn_SageMaker_Inference_Id="order-17", X_Amzn_SageMaker_Custom_Attributes="shop=12")
    assert reply.headers["x-request-id"] == "order-17"
    assert reply.headers["x-amzn-sagemaker-custom-attributes"] == "shop=12"
    line = server.wait_for("request", lambda line: line.get("inference_id") == "order-17")
    assert line["custom_attributes"] == "shop=12"
    assert (line["status"], line["rows"], line["path"]) == (200, 1, "/invocations")


def test_a_request_without_an_id_gets_one_of_its_own(server: Server) -> None:
    ids = {server.invoke(GOOD).headers["x-request-id"] for _ in range(20)}
    assert len(ids) == 20


def test_logged_predictions_leave_redacted_columns_out(start: Start, artifact: Path) -> None:
    server = start(artifact, SLIPWAY_SERVE_LOG_PREDICTIONS="true", SLIPWAY_SERVE_REDACT="age, city")
    server.invoke("77.125,2,1,basic,city-31", X_Amzn_SageMaker_Inference_Id="one")
    server.invoke("seventyseven,2,1,basic,city-31", X_Amzn_SageMaker_Inference_Id="two")
    server.invoke("7,many,1,basic,city-31", X_Amzn_SageMaker_Inference_Id="three")
    line = server.wait_for("request", lambda line: line.get("inference_id") == "one")
    assert line["inputs"] == [{"age": "[redacted]", "calls": 2.0, "active": 1.0, "plan": "basic", "city": "[redacted]"}]
    assert line["predictions"][0]["label"] in ("no", "yes")
    hidden = server.wait_for("request", lambda line: line.get("inference_id") == "two")["error"]
    assert (hidden["row"], hidden["column"]) == (1, "age")
    shown = server.wait_for("request", lambda line: line.get("inference_id") == "three")["error"]
    assert "'many'" in shown["message"]
    log = server.log.read_text()
    assert not any(secret in log for secret in ("77.125", "city-31", "seventyseven"))


def test_hooks_run_before_and_after_and_their_faults_are_ours(start: Start, artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from dataclasses import replace\n"
        "from inference.refusals import RequestError\n"
        "def before(call):\n"
        "    if call.custom_attributes == 'refuse':\n"
        "        raise RequestError('the shop is closed', code='closed')\n"
        "    if call.custom_attributes == 'break':\n"
        "        raise KeyError('secret detail')\n"
        "    return replace(call, body=call.body.replace(b'|', b','))\n"
        "def after(call, predictions):\n"
        "    return replace(predictions, values=predictions.values.round(1))\n"
    )
    path = f"{Path.cwd()}:{tmp_path}"
    server = start(artifact, PYTHONPATH=path, SLIPWAY_SERVE_BEFORE="shop:before", SLIPWAY_SERVE_AFTER="shop:after")
    reply = server.invoke(GOOD.replace(",", "|"), accept="application/json")
    assert all(len(str(value)) == 3 for value in reply.json["predictions"][0]["probabilities"])
    refused = server.invoke(GOOD, X_Amzn_SageMaker_Custom_Attributes="refuse")
    assert (refused.status, refused.json["error"]["code"]) == (400, "closed")
    broken = server.invoke(GOOD, X_Amzn_SageMaker_Custom_Attributes="break")
    assert broken.status == 500
    assert b"secret" not in broken.body
    assert b"Traceback" not in broken.body
    line = server.wait_for("request", lambda line: line["status"] == 500)
    assert "KeyError: 'secret detail'" in line["error"]["traceback"]
    assert line["error"]["request_id"] == broken.json["error"]["request_id"]


def test_a_log_of_refusals_keeps_quiet_about_the_rest(start: Start, artifact: Path) -> None:
    server = start(artifact, SLIPWAY_SERVE_LOG="refusals")
    server.invoke(GOOD)
    server.invoke("nonsense")
    server.stop()
    assert [line["status"] for line in server.events("request")] == [400]


def test_every_line_of_the_log_is_a_json_object(server: Server) -> None:
    for line in server.log.read_text().splitlines():
        assert "event" in json.loads(line)
