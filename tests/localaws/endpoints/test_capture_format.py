"""Captured requests look as SageMaker's do, to the letter."""

from __future__ import annotations

import json
import re

import pytest

from localaws.endpoints.capture import Exchange, key, line, rules_from

CONFIG = {
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://bucket/some/prefix/",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
}
AT = 1767323045.678  # 2026-01-02T03:04:05.678Z


def test_a_line_is_byte_for_byte_what_aws_writes() -> None:
    rules = rules_from(CONFIG)
    assert rules is not None
    exchange = Exchange(AT, b"1,2\n", "text/csv; charset=utf-8", b'{"p":0.5}', "application/json", "id-1", "a=b")
    assert line(rules, exchange, "0dfa6a05-fb2f-4d7f-b3ba-a8b6bd3b7c26") == (
        '{"captureData":{"endpointInput":{"observedContentType":"text/csv; charset=utf-8","mode":"INPUT",'
        '"data":"1,2\\n","encoding":"CSV"},"endpointOutput":{"observedContentType":"application/json","mode":"OUTPUT",'
        '"data":"{\\"p\\":0.5}","encoding":"JSON"}},"eventMetadata":{"eventId":"0dfa6a05-fb2f-4d7f-b3ba-a8b6bd3b7c26",'
        '"customAttributes":["a=b"],"inferenceId":"id-1","inferenceTime":"2026-01-02T03:04:05Z"},"eventVersion":"0"}'
    )


def test_what_no_list_names_is_base64() -> None:
    rules = rules_from({**CONFIG, "CaptureContentTypeHeader": {}})
    assert rules is not None
    data = json.loads(line(rules, Exchange(AT, b"\x00\xff", "text/csv")))["captureData"]
    assert data["endpointInput"]["encoding"] == "BASE64"
    assert data["endpointInput"]["data"] == "AP8="
    assert "endpointOutput" not in data


def test_only_the_modes_asked_for_are_kept() -> None:
    rules = rules_from({**CONFIG, "CaptureOptions": [{"CaptureMode": "Output"}]})
    assert rules is not None
    data = json.loads(line(rules, Exchange(AT, b"1", "text/csv", b"2", "text/csv")))["captureData"]
    assert list(data) == ["endpointOutput"]


@pytest.mark.parametrize(
    ("destination", "prefix"), [("s3://bucket/some/prefix/", "some/prefix/"), ("s3://bucket", ""), ("s3://bucket/", "")]
)
def test_keys_have_aws_s_layout(destination: str, prefix: str) -> None:
    rules = rules_from({**CONFIG, "DestinationS3Uri": destination})
    assert rules is not None
    bucket, path = key(rules, "churn", "champion", AT)
    assert bucket == "bucket"
    uuid4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert re.fullmatch(rf"{prefix}churn/champion/2026/01/02/03/04-05-678-{uuid4}\.jsonl", path), path


def test_sampling_takes_its_percentage() -> None:
    rules = rules_from({**CONFIG, "InitialSamplingPercentage": 20})
    assert rules is not None
    assert [rules.wants(point) for point in (0.0, 0.199, 0.2, 0.99)] == [True, True, False, False]


def test_capture_that_is_switched_off_has_no_rules() -> None:
    assert rules_from({**CONFIG, "EnableCapture": False}) is None
    assert rules_from(None) is None
