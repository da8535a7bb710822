"""Ask an endpoint, and tell it later how things turned out."""

from __future__ import annotations

import csv
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from contract.places import outcomes_prefix
from contract.records import Answer, Outcome, Request
from delivery.environment import Environment


class InvocationError(Exception):
    """The endpoint did not answer; the text carries what it said."""


class OutcomesError(Exception):
    """Outcomes cannot be stored as they were given; the text says which line and what was expected."""


COLUMNS = ("inference_id", "value")
SHOWN = 10  # mistakes, the first ones


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


def read_outcomes(path: Path) -> list[Outcome]:
    """The outcomes of a CSV file, or an error that names every line that is none."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            heads = list(table.fieldnames or ())
            rows = [(table.line_num, row) for row in table]
    except (UnicodeDecodeError, csv.Error) as problem:
        raise OutcomesError(
            f"{path} cannot be read: {problem}. Expected a CSV file in UTF-8 with columns {' and '.join(COLUMNS)}. "
            "Nothing was stored."
        ) from None
    if not set(COLUMNS) <= set(heads):
        raise OutcomesError(
            f"{path}: columns are {', '.join(heads) or 'none'}; expected {' and '.join(COLUMNS)} in its first line. "
            "Nothing was stored."
        )
    refuse_blank([(f"{path} line {number}", row["inference_id"], row["value"]) for number, row in rows])
    return [Outcome(row["inference_id"].strip(), row["value"].strip()) for _, row in rows]


def refuse_blank(given: Sequence[tuple[str, str | None, str | None]]) -> None:
    """Each place with an id and a value, or an error that lists those that lack one of them."""
    wrong = [
        f"{place}: inference id {key!r}, value {value!r}"
        for place, key, value in given
        if not (key or "").strip() or not (value or "").strip()
    ]
    if wrong:
        more = [f"and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
        remedy = (
            "Expected an inference id and a value in each: the monitor would count one without a value as a wrong "
            "prediction. Give the value, or leave the line out until it is known. Nothing was stored."
        )
        raise OutcomesError("\n".join([*wrong[:SHOWN], *more, remedy]))


def put_outcomes(environment: Environment, model: str, outcomes: list[Outcome]) -> str:
    """Store outcomes where the monitor joins them; one object, named so that nothing is written over."""
    if not outcomes:
        raise InvocationError("no outcomes given: expected lines of inference id and value. Nothing was stored.")
    refuse_blank([(f"outcome {number}", each.join_key, each.value) for number, each in enumerate(outcomes, 1)])
    now = environment.now()
    endpoint = environment.settings.names.endpoint(model)
    key = f"{outcomes_prefix(endpoint)}{now:%Y/%m/%d/%H}/{now:%M-%S}-{uuid.uuid4()}.jsonl"
    body = "".join(outcome.to_line() + "\n" for outcome in outcomes)
    environment.s3.put_object(Bucket=environment.bucket("outcomes"), Key=key, Body=body.encode())
    return f"s3://{environment.bucket('outcomes')}/{key}"
