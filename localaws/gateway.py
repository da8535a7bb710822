"""One WSGI application for every AWS service: ours where we have it, what stands behind for the rest.

A service is a table of operations. Each takes a `Request` and returns members of its output shape (or a `Response`,
where a shape cannot say it). An operation we do not have falls through to moto when the service is not declared
complete, and answers a typed 501 when it is.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import UnknownServiceError
from werkzeug.datastructures import EnvironHeaders, Headers

from localaws import cbor, wire
from localaws.errors import AwsError, InternalFailure, NotBuilt
from localaws.shapes import check, operation_model, service_model
from localaws.store import Scope, Store
from localaws.wire import Response

log = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

DEFAULT_ACCOUNT = "123456789012"
DEFAULT_REGION = "eu-west-1"
CREDENTIAL = re.compile(
    r"(?:Credential=|X-Amz-Credential=)([^/%]+)(?:/|%2F)\d{8}(?:/|%2F)([^/%]*)(?:/|%2F)([^/%,]+)(?:/|%2F)"
)
MLFLOW_ARNS = ("x-mlflow-sm-tracking-server-arn", "x-sm-mlflow-app-arn")  # how clients name a managed MLflow
MLFLOW_HEADERS = tuple(f"HTTP_{name.upper().replace('-', '_')}" for name in MLFLOW_ARNS)
INVOCATIONS = {
    "/invocations": "InvokeEndpoint",
    "/async-invocations": "InvokeEndpointAsync",
    "/invocations-response-stream": "InvokeEndpointWithResponseStream",
}


@dataclass(frozen=True)
class Caller:
    """Who asks and where, as the signature's scope says."""

    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION
    signing_name: str = ""
    access_key: str = ""


class Request:
    """One call. The body is read once, the parameters are parsed and checked when first asked for."""

    def __init__(
        self,
        environ: Environ,
        caller: Caller,
        store: Store,
        *,
        service: str = "",
        operation: str = "",
        protocol: str = "",
    ) -> None:
        self.environ = environ
        self.caller = caller
        self.store = store
        self.service = service  # botocore's name; the signing name for what is not ours
        self.operation = operation  # "" for what is not ours and could not be told
        self.protocol = protocol
        self.id = str(uuid.uuid4())

    @property
    def account(self) -> str:
        return self.caller.account

    @property
    def region(self) -> str:
        return self.caller.region

    @property
    def scope(self) -> Scope:
        """This account's and region's resources."""
        return self.store.scope(self.caller.account, self.caller.region)

    @property
    def method(self) -> str:
        return self.environ["REQUEST_METHOD"]

    @property
    def path(self) -> str:
        """The path as the client sent it, still quoted where the server kept it so."""
        raw = self.environ.get("RAW_URI") or self.environ.get("REQUEST_URI")
        return raw.split("?")[0] if raw else self.environ.get("PATH_INFO", "/")

    @cached_property
    def headers(self) -> Headers:
        return EnvironHeaders(self.environ)  # a view, nothing is copied

    @cached_property
    def body(self) -> bytes:
        """The whole body; it can still be read by an application behind."""
        data = read_body(self.environ)
        self.environ["wsgi.input"] = BytesIO(data)
        self.environ["CONTENT_LENGTH"] = str(len(data))
        return data

    @cached_property
    def params(self) -> dict[str, Any]:
        """The operation's parameters, checked against every rule of its shape."""
        params = wire.parse(
            self.service,
            self.operation,
            self.protocol,
            path=self.path,
            query=self.environ.get("QUERY_STRING", ""),
            headers=self.headers,
            body=self.body,
        )
        check(operation_model(self.service, self.operation), params)
        return params


Operation = Callable[[Request], Mapping[str, Any] | Response]
Guard = Callable[[Request], Response | None]


@dataclass(frozen=True)
class Service:
    """The operations of one AWS service that are ours."""

    name: str  # as botocore calls it
    operations: Mapping[str, Operation]
    complete: bool = False  # True: what is not in the table answers 501, it never reaches what stands behind


@dataclass
class Gateway:
    """Routes a request to a service of ours, to a page, or to what stands behind."""

    store: Store
    behind: Application
    services: dict[str, Service] = field(default_factory=dict)
    pages: dict[str, Application] = field(default_factory=dict)  # by path prefix; the longest wins
    others: dict[str, Operation] = field(default_factory=dict)  # services that have no model of operations, by name
    guards: list[Guard] = field(default_factory=list)  # asked before every call: an answer from one ends it
    account_of: Callable[[str], str | None] = lambda _access_key: None

    def register(self, service: Service) -> None:
        self.services[service.name] = service
        self.__dict__.pop("_targets", None)
        self.__dict__.pop("_signed", None)

    @cached_property
    def _targets(self) -> dict[str, str]:
        models = {name: service_model(name) for name in self.services}
        return {m.metadata["targetPrefix"]: name for name, m in models.items() if "targetPrefix" in m.metadata}

    @cached_property
    def _signed(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.services:
            found.setdefault(service_model(name).signing_name, []).append(name)
        return found

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if "HTTP_AUTHORIZATION" not in environ and (page := self._page(environ, path)):
            return page(environ, start_response) if allowed(environ) else _send(refused(), start_response)
        request = self._request(environ, path)
        try:
            for guard in self.guards:
                if (stopped := guard(request)) is not None:
                    return _send(stopped, start_response, request.id)
            operation = self._operation(request)
            if operation is None:
                return self.forward(request, start_response)
            result = operation(request)
            if not isinstance(result, Response):
                result = wire.answer(request.service, request.operation, request.protocol, result)
        except AwsError as error:
            result = _failure(request, error)
        except NotImplementedError as error:  # moto's word for an operation it does not have
            result = _failure(request, NotBuilt(request.service, request.operation or str(error)))
        except Exception:
            log.exception("%s:%s failed", request.service, request.operation)
            result = _failure(request, InternalFailure(f"The embedded AWS failed at {request.operation}: see its log."))
        return _send(result, start_response, request.id)

    def _operation(self, request: Request) -> Operation | None:
        """What answers the call; None when it is for what stands behind."""
        if request.service in self.others:
            return self.others[request.service]
        service = self.services.get(request.service)
        operation = service.operations.get(request.operation) if service else None
        if operation is None and service and service.complete and request.operation:
            raise NotBuilt(request.service, request.operation)
        return operation

    def forward(self, request: Request, start_response: StartResponse) -> Iterable[bytes]:
        """Let what stands behind answer, in the caller's account."""
        if request.account != DEFAULT_ACCOUNT:
            request.environ["HTTP_X_MOTO_ACCOUNT_ID"] = request.account
        try:
            return self.behind(request.environ, start_response)
        except (AwsError, NotImplementedError):
            raise
        except Exception as error:  # a fault of moto's own: clients must not try it again and again
            log.exception("%s:%s failed in what stands behind", request.service, request.operation)
            raise NotBuilt(request.service, f"{request.operation} with these parameters ({error!r})") from error

    def ask_behind(self, request: Request) -> Response:
        """The same as `forward`, as a value: for an operation of ours that adds something to moto's."""
        from werkzeug.test import run_wsgi_app

        body, status, headers = run_wsgi_app(
            lambda _environ, start: self.forward(request, start), request.environ, buffered=True
        )
        return Response(int(status.split()[0]), dict(headers), b"".join(body))

    def _page(self, environ: Environ, path: str) -> Application | None:
        if path == "/" and environ["REQUEST_METHOD"] != "GET":  # an unsigned call, such as AssumeRoleWithWebIdentity
            return None
        for prefix in sorted(self.pages, key=len, reverse=True):
            if path == prefix or (prefix.endswith("/") and prefix != "/" and path.startswith(prefix)):
                return self.pages[prefix]
        return None

    def _request(self, environ: Environ, path: str) -> Request:
        caller = self._caller(environ)
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if target:
            prefix, _, operation = target.rpartition(".")
            service = self._targets.get(prefix, caller.signing_name)
            return Request(environ, caller, self.store, service=service, operation=operation, protocol="json")
        if "HTTP_SMITHY_PROTOCOL" in environ and (found := cbor.PATH.fullmatch(path)):
            service = self._targets.get(found[1], caller.signing_name)
            return Request(environ, caller, self.store, service=service, operation=found[2], protocol=cbor.PROTOCOL)
        if any(name in environ for name in MLFLOW_HEADERS):
            return Request(environ, caller, self.store, service="sagemaker-mlflow", protocol="rest-json")
        if path.startswith("/endpoints/"):
            operation = INVOCATIONS.get(path[path.rfind("/") :], "")
            return Request(
                environ, caller, self.store, service="sagemaker-runtime", operation=operation, protocol="rest-json"
            )
        for name in self._signed.get(caller.signing_name, ()):
            request = Request(environ, caller, self.store, service=name)
            if _understood(request, request.path):  # quoted: an ARN in it holds slashes
                return request
        return Request(environ, caller, self.store, service=caller.signing_name)

    def _caller(self, environ: Environ) -> Caller:
        signed = environ.get("HTTP_AUTHORIZATION") or environ.get("QUERY_STRING", "")
        found = CREDENTIAL.search(signed)
        if not found:
            return Caller()
        key, region, signing_name = found.groups()
        return Caller(account_from(key) or self.account_of(key) or DEFAULT_ACCOUNT, region, signing_name, key)


def _failure(request: Request, error: AwsError) -> Response:
    protocol = request.protocol or _protocol_of(request.service)
    return wire.failure(protocol, error, request_id=request.id, service=request.service)


def _protocol_of(service: str) -> str:
    try:
        return service_model(service).resolved_protocol
    except UnknownServiceError:
        return "rest-xml"


def account_from(access_key: str) -> str | None:
    """An access key of twelve digits is the account itself: how a client chooses one without an IAM user."""
    return access_key if len(access_key) == 12 and access_key.isdigit() else None


def _understood(request: Request, path: str) -> bool:
    """Find operation and protocol of a call that has no target header; False when it is not this service's."""
    model = service_model(request.service)
    if model.resolved_protocol == "rest-json":
        operation = wire.rest_operation(request.service, request.method, path)
        request.protocol, request.operation = "rest-json", operation or ""
        return operation is not None
    if "query" in model.protocols:
        form = request.body.decode(errors="replace") or request.environ.get("QUERY_STRING", "")
        found = re.search(r"(?:^|&)Action=(\w+)", form)
        request.protocol, request.operation = "query", found[1] if found else ""
        return found is not None
    return False


def allowed(environ: Environ) -> bool:
    """A page of another site must not reach our own pages through the user's browser."""
    origin = environ.get("HTTP_ORIGIN")
    if environ.get("HTTP_SEC_FETCH_SITE") in {"cross-site", "same-site"}:
        return False
    host = (environ.get("HTTP_HOST") or "").rsplit(":", 1)[0]
    if host not in {"127.0.0.1", "localhost", "[::1]"}:
        return False
    return origin is None or urlsplit(origin).netloc == environ.get("HTTP_HOST")


def refused() -> Response:
    return Response(403, {"Content-Type": "text/plain"}, b"Only from this machine, and from no other site.\n")


def read_body(environ: Environ) -> bytes:
    """The request's bytes, whether they came with a length or in chunks."""
    length = environ.get("CONTENT_LENGTH")
    if length:
        return environ["wsgi.input"].read(int(length))
    return environ["wsgi.input"].read() if environ.get("wsgi.input_terminated") else b""


def _send(response: Response, start_response: StartResponse, request_id: str = "") -> Iterable[bytes]:
    headers = [*response.headers.items(), ("x-amzn-RequestId", request_id)]
    body = response.body
    if isinstance(body, bytes):
        headers.append(("Content-Length", str(len(body))))
        body = [body]
    start_response(f"{response.status} {REASONS.get(response.status, 'Other')}", headers)
    return body


REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 501: "Not Implemented"}
