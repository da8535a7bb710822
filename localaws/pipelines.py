"""Pipelines as resources: definitions, versions, executions and their verbs. `execution.py` runs them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from localaws import resources
from localaws.errors import ValidationException
from localaws.gateway import Operation, Request
from localaws.kinds import PIPELINE
from localaws.objects import Objects
from localaws.plane import Plane
from localaws.store import Body, Resource, Scope

LIMIT = 1_048_576  # bytes of a definition sent inline


def operations(plane: Plane) -> Mapping[str, Operation]:
    pipelines = Pipelines(plane)
    return {
        **resources.operations(PIPELINE, plane.clock.now),
        "CreatePipeline": pipelines.create,
        "UpdatePipeline": pipelines.update,
        "DescribePipeline": pipelines.describe,
        "DeletePipeline": lambda request: resources.delete(PIPELINE, request),
        "ListPipelineVersions": pipelines.versions,
    }


class Pipelines:
    """The verbs of pipelines themselves."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def create(self, request: Request) -> dict[str, Any]:
        params, now = request.params, self._plane.clock.now()
        definition = self._definition(request)
        before = request.scope.get(PIPELINE.kind, params["PipelineName"])
        if before and before.body.get("ClientRequestToken") == params["ClientRequestToken"]:
            return {"PipelineArn": before.arn}
        body: Body = {
            **resources.without(params, "Tags", "PipelineDefinitionS3Location"),
            "PipelineDefinition": definition,
            "PipelineVersionId": 1,
            "Versions": [_version(1, definition, now)],
            "CreatedBy": {},
            "LastModifiedBy": {},
        }
        name = params["PipelineName"]
        row = resources.add(PIPELINE, request.scope, name, body, now=now, tags=params.get("Tags", ()))
        return {"PipelineArn": row.arn}

    def update(self, request: Request) -> dict[str, Any]:
        params, now = request.params, self._plane.clock.now()
        row = resources.find(PIPELINE, request.scope, params["PipelineName"])
        new = resources.without(params, "PipelineName", "PipelineDefinitionS3Location")
        number = row.body["PipelineVersionId"]
        if "PipelineDefinition" in params or "PipelineDefinitionS3Location" in params:
            definition = self._definition(request)
            number += 1
            versions = [*row.body["Versions"], _version(number, definition, now)]
            new |= {"PipelineDefinition": definition, "PipelineVersionId": number, "Versions": versions}
        resources.change(PIPELINE, request.scope, row.name, new, now=now)
        return {"PipelineArn": row.arn, "PipelineVersionId": number}

    def describe(self, request: Request) -> Body:
        row = find(request.scope, request.params["PipelineName"])
        wanted = request.params.get("PipelineVersionId")
        return {**row.body, "PipelineDefinition": definition_of(row, wanted)}

    def versions(self, request: Request) -> dict[str, Any]:
        row = find(request.scope, request.params["PipelineName"])
        shown = [{**item, "PipelineArn": row.arn} for item in row.body["Versions"]]
        return resources.page(shown, request, key=lambda item: item["PipelineVersionId"], newest_first=True)

    def _definition(self, request: Request) -> str:
        params = request.params
        where = params.get("PipelineDefinitionS3Location")
        if (where is None) == ("PipelineDefinition" not in params):
            raise ValidationException(
                "Exactly one of PipelineDefinition and PipelineDefinitionS3Location must be provided."
            )
        text: str = params.get("PipelineDefinition", "")
        if where:
            objects = Objects(self._plane.clients, request.account, request.region)
            text = objects.read(f"s3://{where['Bucket']}/{where['ObjectKey']}").decode()
        elif len(text) > LIMIT:
            raise ValidationException(f"An inline pipeline definition has at most {LIMIT} bytes: give an S3 location.")
        check_definition(text)
        return text


def find(scope: Scope, name: str) -> Resource:
    return resources.find(PIPELINE, scope, name)


def definition_of(row: Resource, version: int | None = None) -> str:
    if version is None:
        return row.body["PipelineDefinition"]
    for item in row.body["Versions"]:
        if item["PipelineVersionId"] == version:
            return item["PipelineDefinition"]
    raise ValidationException(f"Pipeline {row.name} has no version {version}.")


def _version(number: int, definition: str, now: float) -> Body:
    return {"PipelineVersionId": number, "PipelineDefinition": definition, "CreationTime": now}


def check_definition(text: str) -> None:
    """What AWS refuses at once: no JSON, no steps, two steps of one name."""
    try:
        definition = json.loads(text)
    except ValueError as error:
        raise ValidationException(f"Unable to parse pipeline definition. Invalid JSON: {error}") from error
    if not isinstance(definition, dict) or "Steps" not in definition:
        raise ValidationException("Unable to parse pipeline definition. It must be an object with Steps.")
    if definition.get("Version", "2020-12-01") != "2020-12-01":
        raise ValidationException(f"Unable to parse pipeline definition. Unknown Version {definition['Version']!r}.")
    names: list[str] = []
    _collect(definition["Steps"], names)
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValidationException(
            f"Unable to parse pipeline definition. Step names must be unique: {', '.join(sorted(twice))}"
        )


def _collect(steps: Any, names: list[str]) -> None:
    for step in steps:
        if not isinstance(step, Mapping) or not {"Name", "Type"} <= set(step):
            raise ValidationException("Unable to parse pipeline definition. Every step needs a Name and a Type.")
        names.append(step["Name"])
        arguments = step.get("Arguments")
        if step["Type"] == "Condition" and isinstance(arguments, Mapping):
            _collect(arguments.get("IfSteps", ()), names)
            _collect(arguments.get("ElseSteps", ()), names)


def new_execution_id() -> str:
    return secrets.token_hex(6)
