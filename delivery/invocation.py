"""Ask an endpoint, and tell it later how things turned out."""

from __future__ import annotations

import time
import uuid
from typing import Any

from botocore.exceptions import ClientError

from contract.places import outcomes_prefix
from contract.records import Answer, Outcome, Request
from delivery.environment import Environment


class InvocationError(Exception):
    """The endpoint did not answer; the text carries what it said."""


def invoke(environment: Environment, model: str, request: Request) -> tuple[Answer, float]:
    """One request, and how many milliseconds its answer took."""
    endpoint = environment.settings.names.endpoint(model)
    given: dict[str, Any] = {
        "EndpointName": endpoint,
        "Body": request.body,
        "ContentType": request.content_type,
        "Accept": request.accept,
        "InferenceId": request.inference_id,
        "TargetVariant": request.target_variant,
        "SessionId": request.session_id,
        "CustomAttributes": request.custom_attributes,
    }
    client = environment.client("sagemaker-runtime")
    started = time.perf_counter()
    try:
        answer = client.invoke_endpoint(**{name: value for name, value in given.items() if value is not None})
        body = answer["Body"].read()
    except ClientError as problem:
        raise InvocationError(f"endpoint {endpoint}: {said(problem)}") from None
    milliseconds = (time.perf_counter() - started) * 1000
    return Answer(
        body=body,
        content_type=answer["ContentType"],
        variant=answer.get("InvokedProductionVariant", ""),
        custom_attributes=answer.get("CustomAttributes"),
        session_id=answer.get("NewSessionId"),
    ), milliseconds


def said(problem: ClientError) -> str:
    """The container's own words where there are any."""
    response: Any = problem.response
    status, original = response.get("OriginalStatusCode"), response.get("OriginalMessage")
    if status is not None:
        return f"the container answered {status}: {original}"
    return response["Error"].get("Message", str(problem))


def put_outcomes(environment: Environment, model: str, outcomes: list[Outcome]) -> str:
    """Store outcomes where the monitor joins them; one object, named so that nothing is written over."""
    if not outcomes:
        raise InvocationError("no outcomes given: expected lines of inference id and value. Nothing was stored.")
    now = environment.now()
    endpoint = environment.settings.names.endpoint(model)
    key = f"{outcomes_prefix(endpoint)}{now:%Y/%m/%d/%H}/{now:%M-%S}-{uuid.uuid4()}.jsonl"
    body = "".join(outcome.to_line() + "\n" for outcome in outcomes)
    environment.s3.put_object(Bucket=environment.bucket("outcomes"), Key=key, Body=body.encode())
    return f"s3://{environment.bucket('outcomes')}/{key}"
