"""Data capture as SageMaker writes it: which requests, what a line holds, and under which key it lands."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Rules:
    """A DataCaptureConfig, read once."""

    destination: str
    percentage: float
    modes: frozenset[str]  # of Input, Output
    csv: frozenset[str]
    json: frozenset[str]
    kms_key: str | None = None

    def wants(self, point: float) -> bool:
        """Whether a request is sampled, for a point in [0, 1); its input and output travel together."""
        return point * 100 < self.percentage


def rules_from(config: Mapping[str, Any] | None) -> Rules | None:
    if not config or not config.get("EnableCapture", True):
        return None
    headers = config.get("CaptureContentTypeHeader") or {}
    modes: set[str] = set()
    for option in config["CaptureOptions"]:
        modes |= {"Input", "Output"} if option["CaptureMode"] == "InputAndOutput" else {option["CaptureMode"]}
    return Rules(
        destination=config["DestinationS3Uri"].rstrip("/"),
        percentage=config["InitialSamplingPercentage"],
        modes=frozenset(modes),
        csv=frozenset(kind.lower() for kind in headers.get("CsvContentTypes", ())),
        json=frozenset(kind.lower() for kind in headers.get("JsonContentTypes", ())),
        kms_key=config.get("KmsKeyId") or None,
    )


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as the variant that served it saw them."""

    at: float
    request: bytes
    request_type: str
    answer: bytes | None = None
    answer_type: str = ""
    inference_id: str | None = None
    custom_attributes: str | None = None


def line(rules: Rules, exchange: Exchange, event_id: str | None = None) -> str:
    """One JSON line, its members in AWS's order."""
    data: dict[str, Any] = {}
    if "Input" in rules.modes:
        data["endpointInput"] = _part(rules, "INPUT", exchange.request, exchange.request_type)
    if "Output" in rules.modes and exchange.answer is not None:
        data["endpointOutput"] = _part(rules, "OUTPUT", exchange.answer, exchange.answer_type)
    about: dict[str, Any] = {"eventId": event_id or str(uuid.uuid4())}
    if exchange.custom_attributes is not None:
        about["customAttributes"] = [exchange.custom_attributes]
    if exchange.inference_id is not None:
        about["inferenceId"] = exchange.inference_id
    about["inferenceTime"] = f"{_moment(exchange.at):%Y-%m-%dT%H:%M:%SZ}"
    record = {"captureData": data, "eventMetadata": about, "eventVersion": "0"}
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


def key(rules: Rules, endpoint: str, variant: str, at: float, unique: str | None = None) -> tuple[str, str]:
    """Bucket and key of the object that holds the records from `at` on."""
    bucket, _, prefix = rules.destination.removeprefix("s3://").partition("/")
    moment = _moment(at)
    name = f"{moment:%M-%S}-{moment.microsecond // 1000:03d}-{unique or uuid.uuid4()}.jsonl"
    path = f"{endpoint}/{variant}/{moment:%Y/%m/%d/%H}/{name}"
    return bucket, f"{prefix}/{path}" if prefix else path


def _part(rules: Rules, mode: str, data: bytes, content_type: str) -> dict[str, str]:
    encoding = _encoding(rules, content_type)
    text = base64.b64encode(data).decode() if encoding == "BASE64" else data.decode("utf-8", "replace")
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}


def _encoding(rules: Rules, content_type: str) -> str:
    """By the content type alone, its parameters left out: listed as CSV or JSON it is text, else base64."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in rules.csv:
        return "CSV"
    return "JSON" if kind in rules.json else "BASE64"


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
