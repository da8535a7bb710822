"""GET /openapi.json: what this container answers, with the model's own columns in it."""

from __future__ import annotations

from typing import Any

from contract.records import Column, Schema
from inference.decoding import decoders
from inference.encoding import encoders

TYPES = {"number": "number", "integer": "integer", "boolean": "boolean", "category": "string"}
MOST_LEVELS = 100  # a longer list of levels helps no reader


def document(schema: Schema | None, version: str) -> dict[str, Any]:
    paths: dict[str, Any] = {
        "/ping": {"get": _get("Whether every worker can predict", {"503": "Not every worker can", "200": "Healthy"})},
        "/execution-parameters": {"get": _get("How a batch transform job should call", {"200": "The parameters"})},
        "/metrics": {"get": _get("Counters and latencies in Prometheus's text form", {"200": "The metrics"})},
        "/openapi.json": {"get": _get("This document", {"200": "The document"})},
    }
    schemas: dict[str, Any] = {"Error": ERROR}
    if schema is None:
        paths |= _multi_model_paths()
    else:
        paths["/invocations"] = {"post": _invocation("Predict rows", "#/components/schemas/Input")}
        schemas |= {"Row": row_of(schema), "Input": INPUT, "Output": output_of(schema)}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Predictions of {schema.target}" if schema else "Predictions", "version": version},
        "paths": paths,
        "components": {"schemas": schemas},
    }


ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "request_id"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "request_id": {"type": "string"},
                "row": {"type": "integer", "description": "Counted from 1"},
                "column": {"type": "string"},
            },
        }
    },
}

INPUT: dict[str, Any] = {
    "description": "Records by column name; lists of values in the order of the columns are read too.",
    "oneOf": [
        {"$ref": "#/components/schemas/Row"},
        {"type": "array", "items": {"$ref": "#/components/schemas/Row"}},
        {
            "type": "object",
            "required": ["instances"],
            "properties": {"instances": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}},
        },
    ],
}


def row_of(schema: Schema) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(schema.names),
        "properties": {column.name: _column(column) for column in schema.columns},
        "additionalProperties": False,
    }


def _column(column: Column) -> dict[str, Any]:
    told: dict[str, Any] = {"type": [TYPES[column.kind], "null"]}
    if column.levels:
        told["examples"] = list(column.levels[:MOST_LEVELS])
    if column.minimum is not None and column.maximum is not None:
        told["description"] = f"In training from {column.minimum:g} to {column.maximum:g}"
    return told


def output_of(schema: Schema) -> dict[str, Any]:
    if schema.task == "regression":
        told: dict[str, Any] = {"value": {"type": ["number", "null"]}}
    else:
        told = {
            "label": {"type": "string", "enum": list(schema.classes)},
            "probabilities": {"type": "array", "items": {"type": "number"}},
        }
    return {
        "type": "object",
        "required": ["predictions"],
        "properties": {
            "predictions": {"type": "array", "items": {"type": "object", "properties": told}},
            "classes": {"type": "array", "items": {"type": "string"}},
        },
    }


def _get(summary: str, answers: dict[str, str]) -> dict[str, Any]:
    return {"summary": summary, "responses": {status: {"description": text} for status, text in answers.items()}}


def _invocation(summary: str, given: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {name: {} for name in decoders()}
    answer: dict[str, Any] = {name: {} for name in encoders()}
    if given is not None:
        body["application/json"] = {"schema": {"$ref": given}}
        answer["application/json"] = {"schema": {"$ref": "#/components/schemas/Output"}}
    refusal = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    refusals = {
        "400": "The rows cannot be read",
        "406": "No such form",
        "413": "Too large",
        "415": "No such content type",
    }
    return {
        "summary": summary,
        "parameters": [
            {
                "name": "output",
                "in": "query",
                "description": "What to tell; also a parameter of Accept",
                "schema": {"type": "string", "enum": ["both", "labels", "probabilities"]},
            }
        ],
        "requestBody": {"required": True, "content": body},
        "responses": {"200": {"description": "A prediction per row", "content": answer}}
        | {status: {"description": text, "content": refusal} for status, text in refusals.items()}
        | {"500": {"description": "Our fault; the log has the request id", "content": refusal}},
    }


def _multi_model_paths() -> dict[str, Any]:
    name = [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]
    invocation = _invocation("Predict rows with one model", None)
    invocation["parameters"] = name + invocation["parameters"]
    model = {
        "type": "object",
        "required": ["model_name", "url"],
        "properties": {"model_name": {"type": "string"}, "url": {"type": "string"}},
    }
    load = {
        "summary": "Load a model",
        "requestBody": {"required": True, "content": {"application/json": {"schema": model}}},
        "responses": {
            status: {"description": text}
            for status, text in {"200": "Loaded", "409": "Already loaded", "507": "No memory for it"}.items()
        },
    }
    one = _get("One loaded model", {"200": "The model", "404": "Not loaded"})
    return {
        "/models": {"get": _get("The loaded models", {"200": "The models"}), "post": load},
        "/models/{name}": {
            "parameters": name,
            "get": one,
            "delete": _get("Unload a model", {"200": "Unloaded", "404": "Not loaded"}),
        },
        "/models/{name}/invoke": {"post": invocation},
    }
