"""What each path answers, and what is counted and told about it."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from contract.records import nearest
from inference import metrics, openapi
from inference.board import Board, Field, Slot
from inference.decoding import decode
from inference.encoding import negotiate
from inference.hooks import After, Before, Call
from inference.http import Request, Response, Work
from inference.journal import Journal
from inference.model import ServedModel
from inference.one_row import CSV, one_row
from inference.predictions import Predictions, output_named
from inference.refusals import RequestError
from inference.settings import MEBIBYTE, Settings
from inference.shelf import Shelf

INLINE_BYTES = 65_536  # a larger body is worked on in a thread, so that pings and small requests go on
IN_PARTS_FROM = 20_000  # rows; a longer answer is sent while it is made
LOGGED_ROWS = 100
JSON = b"application/json"
INFERENCE_ID = b"x-amzn-sagemaker-inference-id"
CUSTOM_ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"
ATTRIBUTES_OUT = b"X-Amzn-SageMaker-Custom-Attributes"
PAGE = 100
NO_QUERY: Mapping[str, str] = {}
to_json = msgspec.json.Encoder().encode

Answer = Response | Work
Answered = tuple[float, int, float, int, int]  # when, status, seconds, rows, bytes of the body
Asked = tuple[bytes, bytes, bytes, Mapping[bytes, bytes], int]  # method, target, id, headers, bytes of the body
NOBODY: Asked = (b"", b"", b"", {}, 0)  # what came was no request
Handler = Callable[[Request, Mapping[str, str]], Answer]


@dataclass(frozen=True, slots=True)
class Hooks:
    """The team's own steps, if there are any."""

    before: Before | None = None
    after: After | None = None


class Line(msgspec.Struct, omit_defaults=True, tag_field="event", tag="request"):
    """What the log says of one request."""

    time: datetime
    status: int
    milliseconds: float
    rows: int
    bytes_out: int
    method: str = ""
    path: str = ""
    request_id: str = ""
    bytes_in: int = 0
    inference_id: str = ""
    custom_attributes: str = ""


class App:
    """The serving program of one worker: a model or a shelf of them behind SageMaker's paths."""

    def __init__(
        self,
        settings: Settings,
        board: Board,
        slot: Slot,
        journal: Journal,
        *,
        model: ServedModel | None = None,
        shelf: Shelf | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self.max_body = settings.max_body
        self._settings = settings
        self._board = board
        self._slot = slot
        self._journal = journal
        self._model = model
        self._shelf = shelf
        self._hooks = hooks or Hooks()
        self._has_hooks = self._hooks != Hooks()
        self._one_row = one_row(model, settings) if model is not None and not self._has_hooks else None
        self._ids = count(1)
        self._id_prefix = os.urandom(6).hex().encode()
        self._tell_all = settings.log == "all"
        self._tell_refusals = settings.log != "none"
        self.began = slot.began
        self._routes: dict[bytes, dict[bytes, Handler]] = {
            b"/ping": {b"GET": self._ping},
            b"/execution-parameters": {b"GET": self._execution_parameters},
            b"/metrics": {b"GET": self._metrics},
            b"/openapi.json": {b"GET": self._openapi},
        }
        if shelf is None:
            self._routes[b"/invocations"] = {b"POST": self._invocations}
        else:
            self._routes[b"/models"] = {b"GET": self._models, b"POST": self._load_model}

    # The connection's side.

    def handle(self, request: Request) -> Answer:
        """Answer one request; whatever goes wrong becomes an answer too."""
        request.id = request.headers.get(INFERENCE_ID) or b"%b-%x" % (self._id_prefix, next(self._ids))
        path, query, methods = request.target, b"", self._routes.get(request.target)
        if methods is None:
            path, _, query = path.partition(b"?")
            methods = self._routes.get(path) or self._model_routes(path)
        handler = methods.get(request.method) or (methods.get(b"GET") if request.method == b"HEAD" else None)
        if handler is None:
            return self._not_served(request, path)
        try:
            return handler(request, dict(parse_qsl(query.decode("latin-1"), True)) if query else NO_QUERY)
        except RequestError as refusal:
            return self._refused(refusal, request.id)
        except Exception:  # noqa: BLE001 - whatever went wrong, the caller gets an answer and the log the reason
            return self._failed(request.id)

    def refuse(self, status: int, code: str, sentence: str) -> Response:
        return self._refused(
            RequestError(sentence, status=status, code=code), b"%b-%x" % (self._id_prefix, next(self._ids))
        )

    def ended(self, request: Request | None, response: Response, sent: int, seconds: float) -> None:
        status, taken = response.status, 0 if request is None else len(request.body)
        self._slot.ended(status, response.rows, taken, sent, seconds)
        if not (self._tell_all if status < 400 else self._tell_refusals):
            return
        if status < 400 and request is not None and request.target.startswith((b"/ping", b"/metrics")):
            return  # asked every few seconds, forever
        asked = NOBODY if request is None else (request.method, request.target, request.id, request.headers, taken)
        self._journal.line(partial(_line, (time.time(), status, seconds, response.rows, sent), asked, response.said))

    # Predictions.

    def _invocations(self, request: Request, query: Mapping[str, str]) -> Answer:
        model = self._model
        assert model is not None  # noqa: S101 - the route exists only with a model
        if self._one_row is not None and query is NO_QUERY:
            line = self._one_row.answer(request.headers, request.body)
            if line is not None:
                return Response(200, line, CSV, _headers_out(request), rows=1)
        if _is_slow(request):
            return Work(partial(self._answered, request, partial(self._predicted, request, query, model)))
        return self._predicted(request, query, model)

    def _predicted(self, request: Request, query: Mapping[str, str], model: ServedModel) -> Response:
        headers, body = request.headers, request.body
        content_type = headers.get(b"content-type", b"text/csv").decode("latin-1")
        accept = headers.get(b"accept", b"").decode("latin-1")
        call = None
        if self._has_hooks:
            call = self._before(
                Call(
                    body, content_type, accept, _text(headers.get(INFERENCE_ID)), _text(headers.get(CUSTOM_ATTRIBUTES))
                )
            )
            body, content_type, accept = call.body, call.content_type, call.accept
        form = negotiate(accept, content_type, self._settings.accept)
        schema, asked = model.layout.schema, query.get("output") or form.parameters.get("output")
        output = output_named(asked, schema) if asked else self._settings.output
        rows = decode(body, content_type, model.layout, self._settings.max_rows)
        predictions = Predictions(model.predict(rows), schema, output)
        if call is not None and self._hooks.after is not None:
            predictions = self._hooks.after(call, predictions)
        said = _predictions_to_log(model, rows, predictions, self._settings) if self._settings.log_predictions else None
        count, module, out = len(rows), form.module, _headers_out(request)
        if count > IN_PARTS_FROM and hasattr(module, "parts"):
            parts = module.parts(predictions, form.parameters)
            return Response(200, b"", form.header, out, parts, rows=count, said=said)
        return Response(200, module.encode(predictions, form.parameters), form.header, out, rows=count, said=said)

    def _before(self, call: Call) -> Call:
        return call if self._hooks.before is None else self._hooks.before(call)

    # What is not a prediction.

    def _ping(self, _request: Request, query: Mapping[str, str]) -> Response:
        well, board = self._board.well(), self._board
        status = "draining" if board.draining else "healthy" if well == board.workers else "unhealthy"
        told: dict[str, Any] = {"status": status}
        if "detail" in query:
            told |= {
                "workers": board.workers,
                "workers_well": well,
                "uptime_seconds": round(time.time() - board.started, 3),
                "predictions": board.total(Field.ROWS),
                "models": [{"name": name, "version": version} for name, version in self._served()],
            }
            if self._model is not None:
                told |= {
                    "model_version": self._model.version,
                    "family": self._model.manifest.family,
                    "fast_form": self._model.fast,
                }
        return Response(200 if status == "healthy" else 503, to_json(told))

    def _execution_parameters(self, _request: Request, _query: Mapping[str, str]) -> Response:
        settings = self._settings
        concurrent = settings.concurrent_transforms or settings.workers
        told = {
            "MaxConcurrentTransforms": concurrent,
            "BatchStrategy": settings.batch_strategy,
            "MaxPayloadInMB": settings.max_body // MEBIBYTE,
        }
        return Response(200, to_json(told))

    def _metrics(self, _request: Request, _query: Mapping[str, str]) -> Response:
        return Response(200, metrics.render(self._board, self._served()), metrics.CONTENT_TYPE)

    def _openapi(self, _request: Request, _query: Mapping[str, str]) -> Response:
        model = self._model
        schema, version = (model.layout.schema, model.version) if model is not None else (None, "1")
        return Response(200, to_json(openapi.document(schema, version)))

    def _served(self) -> list[tuple[str, str]]:
        if self._shelf is not None:
            return [(name, url) for name, url in sorted(self._shelf.all().items())]
        return [(self._model.name, self._model.version)] if self._model is not None else []

    # The multi-model interface.

    def _model_routes(self, path: bytes) -> dict[bytes, Handler]:
        """The paths below /models/, whose middle is a model's name; none for any other path."""
        if self._shelf is None or not path.startswith(b"/models/"):
            return {}
        name, _, rest = path.removeprefix(b"/models/").decode("latin-1").partition("/")
        name = unquote(name)
        if rest == "invoke":
            return {b"POST": partial(self._invoke_model, name)}
        if rest or not name:
            return {}
        return {b"GET": partial(self._one_model, name), b"DELETE": partial(self._unload_model, name)}

    def _shelved(self) -> Shelf:
        assert self._shelf is not None  # noqa: S101 - the routes exist only with a shelf
        return self._shelf

    def _models(self, _request: Request, query: Mapping[str, str]) -> Response:
        token = query.get("next_page_token", "0")
        start = int(token) if token.isdigit() else 0
        known = sorted(self._shelved().all().items())
        told: dict[str, Any] = {"models": [_told(*each) for each in known[start : start + PAGE]]}
        if start + PAGE < len(known):
            told["nextPageToken"] = str(start + PAGE)
        return Response(200, to_json(told))

    def _load_model(self, request: Request, _query: Mapping[str, str]) -> Work:
        return Work(partial(self._answered, request, partial(self._loaded, request)))

    def _loaded(self, request: Request) -> Response:
        given = _json_object(request.body)
        name, url = given.get("model_name"), given.get("url")
        if not (isinstance(name, str) and name and isinstance(url, str) and url):
            raise RequestError('expected {"model_name": "...", "url": "..."}', code="wrong_form")
        model = self._shelved().add(name, url)
        return Response(200, to_json(_told(model.name, model.url)))

    def _one_model(self, name: str, _request: Request, _query: Mapping[str, str]) -> Response:
        known = self._shelved().all()
        if name not in known:
            raise RequestError(f"no model named '{name}' is loaded", status=404, code="unknown_model")
        return Response(200, to_json(_told(name, known[name])))

    def _unload_model(self, name: str, _request: Request, _query: Mapping[str, str]) -> Response:
        self._shelved().remove(name)
        return Response(200, b"{}")

    def _invoke_model(self, name: str, request: Request, query: Mapping[str, str]) -> Answer:
        shelf = self._shelved()

        def predicted() -> Response:
            return self._predicted(request, query, shelf.get(name))

        if shelf.holds(name) and not _is_slow(request):
            return predicted()
        return Work(partial(self._answered, request, predicted))

    # What goes wrong.

    def _answered(self, request: Request, make: Callable[[], Response]) -> Response:
        try:
            return make()
        except RequestError as refusal:
            return self._refused(refusal, request.id)
        except Exception:  # noqa: BLE001 - whatever went wrong, the caller gets an answer and the log the reason
            return self._failed(request.id)

    def _refused(self, refusal: RequestError, request_id: bytes) -> Response:
        error: dict[str, Any] = {"code": refusal.code, "message": refusal.sentence}
        error["request_id"] = request_id.decode("latin-1")
        where = {"row": refusal.row, "column": refusal.column}
        error |= {key: value for key, value in where.items() if value is not None}
        secret = refusal.holds_value and refusal.column in self._settings.redact
        said = {"error": error | {"message": "a value of a redacted column"} if secret else error}
        return Response(refusal.status, to_json({"error": error}), JSON, ((b"X-Request-Id", request_id),), said=said)

    def _failed(self, request_id: bytes) -> Response:
        text = request_id.decode("latin-1")
        message = (
            f"The model could not answer, which is not the caller's fault. The log says more of request id {text}."
        )
        error = {"code": "internal", "message": message, "request_id": text}
        said = {"error": error | {"traceback": traceback.format_exc()}}
        return Response(500, to_json({"error": error}), JSON, ((b"X-Request-Id", request_id),), said=said)

    def _not_served(self, request: Request, path: bytes) -> Response:
        name = path.decode("latin-1")
        if path in self._routes:
            allowed = ", ".join(method.decode() for method in self._routes[path])
            sentence = f"{request.method.decode('latin-1')} is not answered at {name}; use {allowed}"
            return self._refused(RequestError(sentence, status=405, code="wrong_method"), request.id)
        known = [each.decode() for each in self._routes]
        sentence = f"nothing is served at '{name[:80]}'.{nearest(name, known)} Served: {', '.join(known)}"
        return self._refused(RequestError(sentence, status=404, code="not_found"), request.id)


def _line(answered: Answered, asked: Asked, said: Mapping[str, Any] | None) -> Line | Mapping[str, Any]:
    """The line of one request, made when the log is written: many together cost less than each at its time."""
    when, status, seconds, rows, sent = answered
    method, target, request_id, headers, taken = asked
    line = Line(
        datetime.fromtimestamp(when, UTC),
        status,
        round(seconds * 1000, 3),
        rows,
        sent,
        method.decode("latin-1"),
        target.decode("latin-1"),
        request_id.decode("latin-1"),
        taken,
    )
    if INFERENCE_ID in headers:
        line.inference_id = line.request_id
    if CUSTOM_ATTRIBUTES in headers:
        line.custom_attributes = headers[CUSTOM_ATTRIBUTES].decode("latin-1")
    return line if said is None else {**msgspec.to_builtins(line), **said}


def _headers_out(request: Request) -> tuple[tuple[bytes, bytes], ...]:
    attributes = request.headers.get(CUSTOM_ATTRIBUTES)
    one = (b"X-Request-Id", request.id)
    return (one,) if attributes is None else (one, (ATTRIBUTES_OUT, attributes))


def _is_slow(request: Request) -> bool:
    """Small requests are answered where they arrive; what takes longer goes to a thread."""
    return len(request.body) > INLINE_BYTES or b"parquet" in request.headers.get(b"content-type", b"")


def _told(name: str, url: str) -> dict[str, str]:
    return {"modelName": name, "modelUrl": url}


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise RequestError(f"the body is not JSON: {problem}", code="bad_json") from None
    if not isinstance(document, dict):
        raise RequestError("the body must be a JSON object", code="wrong_form")
    return document


def _predictions_to_log(model: ServedModel, rows: Any, predictions: Predictions, settings: Settings) -> dict[str, Any]:
    """The first rows as the model took them in, redacted columns left out, beside what it said."""
    from inference.encoding.json import of_rows

    inputs = [model.layout.record(row, settings.redact) for row in rows[:LOGGED_ROWS].tolist()]
    return {"inputs": inputs, "predictions": of_rows(predictions, 0, LOGGED_ROWS)}
