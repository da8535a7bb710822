"""Asynchronous invocations: accepted at once, kept until they are answered, told about through SNS."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from localaws.endpoints.call import DEFAULT_TYPE, PREFIX, Call, ModelError, ServiceUnavailable, ValidationError
from localaws.endpoints.live import Endpoints, LiveEndpoint
from localaws.endpoints.runtime import Runtime
from localaws.errors import AwsError, ValidationException
from localaws.gateway import Operation, Request
from localaws.metrics.series import metric_key
from localaws.objects import join
from localaws.plane import Plane
from localaws.store import Body, Scope
from localaws.wire import Response

log = logging.getLogger(__name__)

KIND = "async-inference"  # accepted requests in the store, so that a restart goes on with them
AT_ONCE = 4  # invocations per instance, unless the configuration says otherwise
TTL, TIMEOUT = 21_600, 900  # seconds
MOST_INLINE = 128_000  # bytes


Place = tuple[str, str, str]  # account, region, endpoint


@dataclass
class Backlog:
    """The requests of one endpoint that wait, oldest first, and how many are being answered."""

    waiting: deque[Body] = field(default_factory=deque)
    running: int = 0


class AsyncRuntime:
    """`InvokeEndpointAsync`, and the work behind it."""

    def __init__(self, plane: Plane, endpoints: Endpoints, runtime: Runtime) -> None:
        self.plane, self.endpoints, self.runtime = plane, endpoints, runtime
        self._backlogs: dict[Place, Backlog] = {}
        self._lock = threading.Lock()
        self._remember()

    def operations(self) -> Mapping[str, Operation]:
        return {"InvokeEndpointAsync": self.accept}

    def accept(self, request: Request) -> Response:
        params = _params(request)
        live = self.runtime.live(request.scope, params["EndpointName"])
        config = live.fleet.config.get("AsyncInferenceConfig")
        if not config:
            raise ValidationError(f"Endpoint {live.name} is not asynchronous: call InvokeEndpoint.")
        scope = request.scope
        body = self._record(params, config, request.body, scope)
        scope.add(KIND, body["Id"], f"{KIND}/{body['Id']}", body, created=body["Received"])
        self._enqueue((scope.account, scope.region, live.name), body)
        self.pump(live)
        headers = {f"{PREFIX}OutputLocation": body["Output"], "Content-Type": "application/json"}
        if body.get("Failure"):
            headers[f"{PREFIX}FailureLocation"] = body["Failure"]
        return Response(202, headers, json.dumps({"InferenceId": body["InferenceId"]}).encode())

    def _record(self, params: Mapping[str, Any], config: Mapping[str, Any], inline: bytes, scope: Scope) -> Body:
        default = f"s3://sagemaker-{scope.region}-{scope.account}/async-inference"
        output, number = config["OutputConfig"], str(uuid.uuid4())
        if ("InputLocation" in params) == bool(inline):
            raise ValidationError("Give either InputLocation or a body, and only one.")
        if len(inline) > MOST_INLINE:
            raise ValidationError(f"An inline body has at most {MOST_INLINE} bytes; put a larger one in S3.")
        path = [params["S3OutputPathExtension"]] if "S3OutputPathExtension" in params else []
        name = params.get("Filename", f"{number}.out")
        failures = output.get("S3FailurePath")
        return {
            "Id": number,
            "InferenceId": params.get("InferenceId") or str(uuid.uuid4()),
            "Endpoint": params["EndpointName"],
            "Input": params.get("InputLocation"),
            "Inline": inline.decode("latin-1"),
            "ContentType": params.get("ContentType") or DEFAULT_TYPE,
            "Accept": params.get("Accept"),
            "CustomAttributes": params.get("CustomAttributes"),
            "Output": join(output.get("S3OutputPath") or default, *path, name),
            "Failure": join(failures, f"{number}-error.out") if failures else None,
            "Received": self.plane.clock.now(),
            "Ttl": params.get("RequestTTLSeconds", TTL),
            "Timeout": params.get("InvocationTimeoutSeconds", TIMEOUT),
        }

    def _enqueue(self, place: Place, body: Body) -> None:
        with self._lock:
            self._backlogs.setdefault(place, Backlog()).waiting.append(body)

    def _remember(self) -> None:
        """What was accepted before a restart waits again."""
        for scope in self.plane.store.scopes():
            for row in scope.all(KIND):
                self._enqueue((row.account, row.region, row.body["Endpoint"]), row.body)

    # -- work ---------------------------------------------------------------------------------------------------------

    def pump(self, live: LiveEndpoint) -> None:
        """Start as many waiting requests as the instances may take at once."""
        config = live.fleets[0].config.get("AsyncInferenceConfig") if live.fleets else None
        if not config or not live.serving.is_set():
            return
        each = (config.get("ClientConfig") or {}).get("MaxConcurrentInvocationsPerInstance", AT_ONCE)
        room = each * self._ready(live)
        with self._lock:
            backlog = self._backlogs.setdefault(live.place, Backlog())
            started: list[Body] = []
            while backlog.waiting and backlog.running < room:
                backlog.running += 1
                started.append(backlog.waiting.popleft())
        for body in started:
            self.plane.clock.spawn(lambda one=body: self._work(live, one), f"asynchronous request {body['Id']}")

    def forget(self, live: LiveEndpoint) -> None:
        """An endpoint was deleted: nobody will answer what still waits for it."""
        with self._lock:
            backlog = self._backlogs.pop(live.place, Backlog())
        for body in backlog.waiting:
            live.scope.remove(KIND, body["Id"])

    def pump_all(self) -> None:
        for live in self.endpoints.all():
            self.pump(live)

    def _ready(self, live: LiveEndpoint) -> int:
        return sum(instance.ready for lane in live.routes.lanes for instance in lane.target.instances)

    def _work(self, live: LiveEndpoint, body: Body) -> None:
        again = False
        try:
            self._answer(live, body)
            if live.scope.get(KIND, body["Id"]):
                live.scope.remove(KIND, body["Id"])
        except ServiceUnavailable:  # the instance went away in between: it waits for the next one
            again = not live.deleted
        finally:
            with self._lock:
                backlog = self._backlogs.setdefault(live.place, Backlog())
                backlog.running -= 1
                if again:
                    backlog.waiting.appendleft(body)
        if not again:
            self.pump(live)

    def _answer(self, live: LiveEndpoint, body: Body) -> None:
        began, now = time.monotonic(), self.plane.clock.now()
        meter = next(iter(live.fleet.variants.values())).meter
        meter.count("TimeInBacklog", (now - body["Received"]) * 1000, "Milliseconds")
        try:
            if now - body["Received"] > body["Ttl"]:
                meter.count("ExpiredRequests")
                raise ValidationError("The request expired before it could be processed.")
            answer = self.runtime.answer(live, self._call(live, body), body["Timeout"])
        except ServiceUnavailable:
            raise
        except AwsError as error:
            meter.count("InvocationFailures")
            self._write(live, body["Failure"], error.message.encode(), "text/plain")
            self._notify(live, body, error=error)
        else:
            kind = answer.headers.get("content-type", DEFAULT_TYPE)
            self._write(live, body["Output"], answer.body, kind)
            self._notify(live, body, answer=(answer.body, kind))
        meter.count("InvocationsProcesssed")  # three s: that is how AWS publishes it
        meter.count("TotalProcessingTime", (time.monotonic() - began) * 1000, "Milliseconds")

    def _call(self, live: LiveEndpoint, body: Body) -> Call:
        try:
            data = live.objects.read(body["Input"]) if body["Input"] else body["Inline"].encode("latin-1")
        except Exception as error:
            raise ValidationError(f"The input at {body['Input']} could not be read: {error}") from error
        return Call(
            endpoint=live.name,
            body=data,
            content_type=body["ContentType"],
            accept=body["Accept"],
            custom_attributes=body["CustomAttributes"],
            inference_id=body["InferenceId"],
        )

    def _write(self, live: LiveEndpoint, uri: str | None, data: bytes, kind: str) -> None:
        if uri is None:
            return
        key = live.fleet.config["AsyncInferenceConfig"]["OutputConfig"].get("KmsKeyId")
        try:
            live.objects.write(uri, data, key_id=key, content_type=kind)
        except Exception:  # what cannot be delivered must not stop what comes behind it
            log.exception("the result of an asynchronous request could not be written to %s", uri)

    def _notify(
        self,
        live: LiveEndpoint,
        body: Body,
        *,
        answer: tuple[bytes, str] | None = None,
        error: AwsError | None = None,
    ) -> None:
        settings = live.fleet.config["AsyncInferenceConfig"]["OutputConfig"].get("NotificationConfig") or {}
        topic = settings.get("SuccessTopic" if answer else "ErrorTopic")
        if not topic:
            return
        message = notification(body, live.scope, self.plane.clock.now(), answer=answer, error=error)
        wanted = "SUCCESS_NOTIFICATION_TOPIC" if answer else "ERROR_NOTIFICATION_TOPIC"
        if answer and wanted in settings.get("IncludeInferenceResponseIn", ()):
            message["responseBody"] = {"content": answer[0].decode("utf-8", "replace"), "contentType": answer[1]}
        try:
            sns = self.plane.clients.get("sns", live.scope.account, live.scope.region)
            sns.publish(TopicArn=topic, Message=json.dumps(message))
        except Exception:
            log.exception("a notification could not be published to %s", topic)
            next(iter(live.fleet.variants.values())).meter.count("NotificationFailures")

    # -- the backlog's metrics ----------------------------------------------------------------------------------------

    def measure(self) -> None:
        """Once a minute: how much waits."""
        for live in self.endpoints.all():
            if live.fleets and live.fleet.config.get("AsyncInferenceConfig"):
                self._measure(live)

    def _measure(self, live: LiveEndpoint) -> None:
        with self._lock:
            backlog = self._backlogs.get(live.place, Backlog())
            size = len(backlog.waiting) + backlog.running
            oldest = backlog.waiting[0]["Received"] if backlog.waiting else None
        ready = self._ready(live)
        metrics = self.plane.watch.metrics(live.scope.account, live.scope.region)
        now = self.plane.clock.now()
        for name, value in (
            ("ApproximateBacklogSize", size),
            ("ApproximateBacklogSizePerInstance", size / max(ready, 1)),
            ("HasBacklogWithoutCapacity", float(bool(size) and not ready)),
            ("ApproximateAgeOfOldestRequest", now - oldest if oldest is not None else 0.0),
        ):
            metrics.put(metric_key("AWS/SageMaker", name, {"EndpointName": live.name}), [(value, 1)])


def notification(
    body: Body,
    scope: Scope,
    now: float,
    *,
    answer: tuple[bytes, str] | None = None,
    error: AwsError | None = None,
) -> dict[str, Any]:
    """The message SageMaker publishes about one asynchronous inference."""
    asked = {"endpointName": body["Endpoint"], "inputLocation": body["Input"]}
    message: dict[str, Any] = {
        "awsRegion": scope.region,
        "eventTime": _time(now),
        "receivedTime": _time(body["Received"]),
        "invocationStatus": "Completed" if answer else "Failed",
        "requestParameters": {**asked, "contentType": body["ContentType"]},
        "inferenceId": body["InferenceId"],
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    if answer:
        message["responseParameters"] = {"contentType": answer[1], "outputLocation": body["Output"]}
    elif body["Failure"]:
        message["responseParameters"] = {"outputLocation": body["Failure"]}
    if error is not None:
        message["failureReason"] = error.message if isinstance(error, ModelError) else f"{error.code}: {error.message}"
    return message


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _params(request: Request) -> dict[str, Any]:
    try:
        return request.params
    except ValidationException as error:
        raise ValidationError(error.message) from error
