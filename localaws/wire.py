"""From an HTTP request to an operation with parameters, and from its result back, in the protocol the client speaks.

JSON protocols are done here, because they are the fast path; the query protocol (XML answers) is done by moto's parser
and serialiser. Times are epoch seconds inside, whatever the protocol writes.
"""

from __future__ import annotations

import base64
import functools
import gzip
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.utils import parse_timestamp
from werkzeug.datastructures import Headers, MultiDict

from localaws import cbor
from localaws.errors import AwsError
from localaws.shapes import known, operation_model, service_model


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as it goes out; services return one when a shape cannot say it (bodies of endpoints, streams)."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""


# --- requests -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Route:
    """Where a rest-json operation is found."""

    method: str
    path: re.Pattern[str]
    operation: str


@functools.cache
def rest_routes(service: str) -> tuple[Route, ...]:
    model = service_model(service)
    routes = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = re.escape(http["requestUri"].split("?")[0])
        path = re.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+)", path)
        path = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", path)
        routes.append(Route(http["method"], re.compile(path), name))
    return tuple(routes)


def rest_operation(service: str, method: str, path: str) -> str | None:
    for route in rest_routes(service):
        if route.method == method and route.path.fullmatch(path):
            return route.operation
    return None


def parse(
    service: str, operation: str, protocol: str, *, path: str, query: str, headers: Headers, body: bytes
) -> dict[str, Any]:
    """The parameters of an operation, known members only."""
    model = operation_model(service, operation)
    if headers.get("Content-Encoding") == "gzip":  # SDKs compress large PutMetricData
        body = gzip.decompress(body)
    match protocol:
        case "json":
            return _from_json(model.input_shape, _json(body)) if model.input_shape else {}
        case "rest-json":
            return _from_rest(model, path, query, headers, body)
        case cbor.PROTOCOL:
            return _from_json(model.input_shape, cbor.read(body)) if model.input_shape else {}
        case _:
            return _from_query(service, operation, body.decode() or query)


def _json(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        value = json.loads(body)
    except ValueError as error:
        raise AwsError(f"Could not parse request body into json: {error}", code="SerializationException") from error
    if not isinstance(value, dict):
        raise AwsError("Start of structure or map found where not expected.", code="SerializationException")
    return value


def _from_json(shape: Shape | None, value: dict[str, Any]) -> dict[str, Any]:
    try:
        return known(shape, value)
    except (AttributeError, TypeError) as error:
        raise AwsError(f"The request's JSON does not have its shape: {error}", code="SerializationException") from error


def _from_rest(model: OperationModel, path: str, query: str, headers: Headers, body: bytes) -> dict[str, Any]:
    shape = model.input_shape
    if shape is None:
        return {}
    route = next(r for r in rest_routes(model.service_model.service_name) if r.operation == model.name)
    found = route.path.fullmatch(path)
    in_path = found.groupdict() if found else {}
    in_query = _query(query)
    params: dict[str, Any] = {}
    payload = shape.serialization.get("payload")
    bodied: dict[str, Any] = {} if payload else _json(body)
    for name, member in shape.members.items():
        where, key = member.serialization.get("location"), member.serialization.get("name", name)
        if name == payload:
            params[name] = body if member.type_name in {"blob", "string"} else known(member, _json(body))
        elif where == "uri" and key in in_path:
            params[name] = unquote(in_path[key])
        elif where == "querystring" and key in in_query:
            params[name] = in_query.getlist(key) if member.type_name == "list" else _scalar(member, in_query[key])
        elif where == "header" and key in headers:
            params[name] = _scalar(member, headers[key])
        elif where is None and bodied.get(key) is not None:
            params[name] = known(member, bodied[key])
    return params


def _query(query: str) -> MultiDict[str, str]:
    return MultiDict(parse_qsl(query, keep_blank_values=True))


def _scalar(shape: Shape, text: str) -> Any:
    match shape.type_name:
        case "integer" | "long":
            return int(text)
        case "float" | "double":
            return float(text)
        case "boolean":
            return text.lower() == "true"
        case "timestamp":
            return parse_timestamp(text).timestamp()
        case _:
            return text


def _from_query(service: str, operation: str, body: str) -> dict[str, Any]:
    from moto.core.parse import QueryParser

    parser = QueryParser(_moto_operation(service, operation), timestamp_parser=lambda t: parse_timestamp(t).timestamp())
    return parser.parse(
        {
            "body": body,
            "headers": Headers(),
            "method": "POST",
            "url_params": {},
            "url_path": "/",
            "values": _query(body),
        }
    )


@functools.cache
def _moto_operation(service: str, operation: str) -> Any:
    from moto.core.utils import get_service_model

    return get_service_model(service).operation_model(operation)


# --- answers --------------------------------------------------------------------------------------------------------


def answer(service: str, operation: str, protocol: str, result: Mapping[str, Any]) -> Response:
    """A result, cut to the output shape and written in the client's protocol."""
    model = operation_model(service, operation)
    body = known(model.output_shape, result) if model.output_shape else {}
    match protocol:
        case "json" | "rest-json":
            return _json_answer(model, protocol, body)
        case cbor.PROTOCOL:
            headers = {"Content-Type": cbor.CONTENT_TYPE, "smithy-protocol": "rpc-v2-cbor"}
            return Response(200, headers, cbor.write(model.output_shape, body))
        case _:
            return _query_answer(service, operation, body)


def _json_answer(model: OperationModel, protocol: str, body: dict[str, Any]) -> Response:
    headers: dict[str, str] = {}
    status = model.http.get("responseCode", 200)
    if protocol == "json":
        headers["Content-Type"] = f"application/x-amz-json-{model.metadata.get('jsonVersion', '1.1')}"
        return Response(status, headers, json.dumps(_jsonable(model.output_shape, body)).encode())
    headers["Content-Type"] = "application/json"
    shape = model.output_shape
    if shape is None:
        return Response(status, headers, b"{}")
    for name, member in shape.members.items():
        if name not in body:
            continue
        where = member.serialization.get("location")
        if where == "header":
            headers[member.serialization.get("name", name)] = str(body.pop(name))
        elif where == "statusCode":
            status = body.pop(name)
    payload = shape.serialization.get("payload")
    if payload:
        value = body.get(payload, b"")
        return Response(status, headers, value if isinstance(value, bytes) else str(value).encode())
    return Response(status, headers, json.dumps(_jsonable(shape, body)).encode())


def _jsonable(shape: Shape | None, value: Any) -> Any:
    """Blobs as base64, times as numbers or in the format the member asks for, names as on the wire."""
    match shape:
        case StructureShape() if not shape.is_document_type:
            members = shape.members
            return {
                members[name].serialization.get("name", name): _jsonable(members[name], inner)
                for name, inner in value.items()
            }
        case ListShape():
            return [_jsonable(shape.member, inner) for inner in value]
        case MapShape():
            return {key: _jsonable(shape.value, inner) for key, inner in value.items()}
        case Shape(type_name="timestamp"):
            return _time(value, shape.serialization.get("timestampFormat"))
        case _:
            return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _time(value: Any, form: str | None) -> Any:
    moment = value.timestamp() if isinstance(value, datetime) else value
    if form == "iso8601":
        return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return round(moment, 3) if isinstance(moment, float) else moment


def _query_answer(service: str, operation: str, body: dict[str, Any]) -> Response:
    from moto.core.serialize import get_serializer_class

    serializer = get_serializer_class(service, "query")(_moto_operation(service, operation))
    made = serializer.serialize(body)
    text = made["body"]
    return Response(
        made["status_code"],
        dict(made["headers"]) | {"Content-Type": "text/xml"},
        text.encode() if isinstance(text, str) else text,
    )


def failure(protocol: str, error: AwsError, *, request_id: str, service: str = "") -> Response:
    """An error in the client's protocol."""
    if protocol == cbor.PROTOCOL:
        headers = {"Content-Type": cbor.CONTENT_TYPE, "smithy-protocol": "rpc-v2-cbor"}
        headers["x-amzn-query-error"] = f"{error.code};Sender"
        return Response(error.status, headers, cbor.write_error(error.code, error.message))
    if protocol in {"json", "rest-json"}:
        body = {"__type": error.code, "message": error.message, "Message": error.message, **error.members}
        headers = {
            "Content-Type": "application/x-amz-json-1.1" if protocol == "json" else "application/json",
            "x-amzn-ErrorType": error.code,
        }
        if service == "cloudwatch":
            headers["x-amzn-query-error"] = f"{error.code};Sender"
        return Response(error.status, headers, json.dumps(body).encode())
    text = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{escape(error.code)}</Code>"
        f"<Message>{escape(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return Response(error.status, {"Content-Type": "text/xml"}, text.encode())
