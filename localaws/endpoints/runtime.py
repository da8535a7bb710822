"""The runtime API: a request finds its endpoint, a variant, an instance, and its answer finds the way back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NoReturn

from localaws.endpoints import multi_model
from localaws.endpoints.call import (
    EXITED,
    MOST_BYTES,
    MOST_BYTES_SERVERLESS,
    PREFIX,
    STREAM_TIMEOUT,
    TIMED_OUT,
    TIMEOUT,
    Call,
    ModelError,
    ServiceUnavailable,
    ValidationError,
    call_from,
    copied,
    model_error,
    no_such_endpoint,
)
from localaws.endpoints.capture import Exchange
from localaws.endpoints.connections import Answer, BrokenError, TimedOutError
from localaws.endpoints.event_stream import exception_frame, payload_frame
from localaws.endpoints.instance import Instance
from localaws.endpoints.live import Endpoints, LiveEndpoint
from localaws.endpoints.variant import Variant
from localaws.gateway import Operation, Request
from localaws.plane import Plane
from localaws.store import Scope
from localaws.wire import Response

SERVING = {"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"}
COMING_BACK = 60.0  # real seconds that a request waits for an endpoint that comes back after a restart
SHADOWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request at one instance, and when it came and went in."""

    live: LiveEndpoint
    variant: Variant
    instance: Instance
    call: Call
    began: float
    asked: float


class Runtime:
    """The operations of `sagemaker-runtime` on endpoints that have processes."""

    def __init__(self, plane: Plane, endpoints: Endpoints) -> None:
        self.plane = plane
        self.endpoints = endpoints
        self._shadows = ThreadPoolExecutor(SHADOWS_AT_ONCE, thread_name_prefix="shadow")

    def operations(self) -> Mapping[str, Operation]:
        return {"InvokeEndpoint": self.invoke, "InvokeEndpointWithResponseStream": self.invoke_stream}

    def close(self) -> None:
        self._shadows.shutdown(wait=False, cancel_futures=True)

    # -- operations ---------------------------------------------------------------------------------------------------

    def invoke(self, request: Request) -> Response:
        began = time.perf_counter()
        call = call_from(request)
        live = self._synchronous(request.scope, call.endpoint)
        variant, answer = self.serve(live, call, began)
        return Response(
            200,
            {
                "Content-Type": answer.headers.get("content-type", "application/octet-stream"),
                "x-Amzn-Invoked-Production-Variant": variant.name,
                **copied(answer.headers, "Custom-Attributes"),
                **copied(answer.headers, "New-Session-Id"),
                **copied(answer.headers, "Closed-Session-Id"),
            },
            answer.body,
        )

    def invoke_stream(self, request: Request) -> Response:
        began = time.perf_counter()
        call = call_from(request)
        live = self._synchronous(request.scope, call.endpoint)
        attempt = self._begin(live, call, began)
        variant = attempt.variant
        try:
            answer, parts = attempt.instance.stream(
                call.body, call.headers(), only=self._only(variant, call), timeout=STREAM_TIMEOUT
            )
            if not answer.ok:
                answer = replace(answer, body=b"".join(parts))
        except (BrokenError, TimedOutError) as error:
            answer, parts = _no_answer(error, variant), iter(())
        except BaseException:
            variant.release(attempt.instance)
            raise
        if not answer.ok:
            variant.release(attempt.instance)
            self._failed(attempt, answer)

        def done(whole: bytes, status: int) -> None:
            variant.release(attempt.instance)
            ended = replace(answer, status=status, body=whole)
            if ended.ok:
                self._account(attempt, ended)
            else:
                self._count(attempt, ended, time.perf_counter())

        return Response(
            200,
            {
                "Content-Type": "application/vnd.amazon.eventstream",
                f"{PREFIX}Content-Type": answer.headers.get("content-type", "application/octet-stream"),
                "x-Amzn-Invoked-Production-Variant": variant.name,
                **copied(answer.headers, "Custom-Attributes"),
            },
            _frames(parts, answer.status, done),
        )

    # -- the way through ----------------------------------------------------------------------------------------------

    def live(self, scope: Scope, name: str) -> LiveEndpoint:
        """The endpoint, if it can be invoked now."""
        live = self.endpoints.get(scope.account, scope.region, name)
        row = scope.get("endpoint", name)
        if row is None:
            raise no_such_endpoint(name, scope.account)
        status = row.body["EndpointStatus"]
        if live is None or status not in SERVING:
            raise ValidationError(f"Endpoint {name} of account {scope.account} is not InService; it is {status}.")
        if not live.serving.is_set() and not live.serving.wait(COMING_BACK):
            raise ServiceUnavailable(f"Endpoint {name} has not come back yet.")
        return live

    def _synchronous(self, scope: Scope, name: str) -> LiveEndpoint:
        live = self.live(scope, name)
        if live.fleet.config.get("AsyncInferenceConfig"):
            raise ValidationError(f"Endpoint {name} is asynchronous: call InvokeEndpointAsync.")
        return live

    def serve(self, live: LiveEndpoint, call: Call, began: float, timeout: float = TIMEOUT) -> tuple[Variant, Answer]:
        """One request to one instance: its answer, counted and captured; raises what the client is to see."""
        attempt = self._begin(live, call, began)
        try:
            answer = self._ask(attempt, timeout)
        except (BrokenError, TimedOutError) as error:
            answer = _no_answer(error, attempt.variant)
        finally:
            attempt.variant.release(attempt.instance)
        if not answer.ok:
            self._failed(attempt, answer)
        self._remember_session(attempt, answer)
        self._account(attempt, answer)
        self._shadow(attempt)
        return attempt.variant, answer

    def answer(self, live: LiveEndpoint, call: Call, timeout: float) -> Answer:
        """One request for which nobody waits: answered and captured, but not counted as an invocation."""
        attempt = self._begin(live, call, time.perf_counter())
        try:
            answer = self._ask(attempt, timeout)
        except (BrokenError, TimedOutError) as error:
            answer = _no_answer(error, attempt.variant)
        finally:
            attempt.variant.release(attempt.instance)
        if not answer.ok:
            raise self._refusal(attempt, answer)
        self._capture(attempt, answer)
        return answer

    def _begin(self, live: LiveEndpoint, call: Call, began: float) -> Attempt:
        variant = self.choose(live, call)
        return Attempt(live, variant, self._instance(live, variant, call), call, began, time.perf_counter())

    def choose(self, live: LiveEndpoint, call: Call) -> Variant:
        routes, point = live.routes, random.random()  # noqa: S311  traffic, not a secret
        if call.session and call.session in live.sessions:
            return live.sessions[call.session][0]
        if call.target_variant is not None:
            lane = routes.pick_variant(call.target_variant, point)
            if lane is None:
                raise ValidationError(f"Variant {call.target_variant} not found for Request")
        else:
            lane = routes.pick(point)
            if lane is None:
                raise ValidationError(f"No production variant of endpoint {call.endpoint} has a weight above 0.")
        variant = lane.target
        limit = MOST_BYTES_SERVERLESS if variant.serverless else MOST_BYTES
        if len(call.body) > limit:
            raise ValidationError(f"The body of {len(call.body)} bytes is larger than the limit of {limit} bytes.")
        self._only(variant, call)
        multi_model.check(variant, call)
        return variant

    def _only(self, variant: Variant, call: Call) -> int | None:
        """The container a request names, where a model runs several that are asked one at a time."""
        if call.hostname is None:
            if variant.model.direct:
                raise ValidationError(
                    "This endpoint needs TargetContainerHostname: its containers are invoked directly."
                )
            return None
        index = variant.model.index_of(call.hostname)
        if index is None or not variant.model.direct:
            raise ValidationError(f"Container {call.hostname} cannot be invoked directly on this endpoint.")
        return index

    def _instance(self, live: LiveEndpoint, variant: Variant, call: Call) -> Instance:
        if call.session and call.session != "NEW_SESSION":
            instance = self._in_session(live, call.session)
        else:
            wish = multi_model.wish(call) if call.target_model else None
            instance = variant.acquire(wish)
        if instance is None:
            variant.meter.invoked(503, model=0.0, overhead=0.0, instances=variant.count)
            raise ServiceUnavailable(f"Variant {variant.name} of endpoint {live.name} has no healthy instance now.")
        return instance

    def _in_session(self, live: LiveEndpoint, session: str) -> Instance | None:
        if session not in live.sessions:
            raise ValidationError(f"Session {session} is not open on endpoint {live.name}.")
        variant, instance_id = live.sessions[session]
        instance = variant.acquire_id(instance_id)
        if instance is None:
            live.sessions.pop(session, None)
            raise ValidationError(f"Session {session} has ended: its instance is gone.")
        return instance

    def _ask(self, attempt: Attempt, timeout: float) -> Answer:
        variant, instance, call = attempt.variant, attempt.instance, attempt.call
        if call.target_model:
            return multi_model.ask(variant, instance, call, timeout)
        return instance.ask(call.body, call.headers(), only=self._only(variant, call), timeout=timeout)

    def _remember_session(self, attempt: Attempt, answer: Answer) -> None:
        sessions = attempt.live.sessions
        opened = answer.headers.get(f"{PREFIX}New-Session-Id".lower())
        if opened and attempt.call.session == "NEW_SESSION":
            sessions[opened.partition(";")[0].strip()] = (attempt.variant, attempt.instance.id)
        closed = answer.headers.get(f"{PREFIX}Closed-Session-Id".lower())
        if closed:
            sessions.pop(closed, None)

    # -- what follows an answer ---------------------------------------------------------------------------------------

    def _failed(self, attempt: Attempt, answer: Answer) -> NoReturn:
        self._count(attempt, answer, time.perf_counter())
        raise self._refusal(attempt, answer)

    def _refusal(self, attempt: Attempt, answer: Answer) -> ModelError:
        live, variant = attempt.live, attempt.variant
        container = variant.model.containers[0].hostname
        return model_error(live.scope, live.name, container, f"{variant.name}/{attempt.instance.id}", answer)

    def _account(self, attempt: Attempt, answer: Answer) -> None:
        ended = time.perf_counter()
        self._capture(attempt, answer)
        self._count(attempt, answer, ended)

    def _capture(self, attempt: Attempt, answer: Answer) -> None:
        call, variant = attempt.call, attempt.variant
        rules = attempt.live.fleet_of(variant).capture
        if rules and not variant.serverless and rules.wants(random.random()):  # noqa: S311  a sample, not a secret
            exchange = Exchange(
                at=self.plane.clock.now(),
                request=call.body,
                request_type=call.content_type,
                answer=answer.body,
                answer_type=answer.headers.get("content-type", ""),
                inference_id=call.inference_id,
                custom_attributes=call.custom_attributes,
            )
            attempt.live.captured.add(rules, variant.name, exchange)

    def _count(self, attempt: Attempt, answer: Answer, ended: float) -> None:
        overhead = attempt.asked - attempt.began + time.perf_counter() - ended
        variant = attempt.variant
        variant.meter.invoked(answer.status, model=ended - attempt.asked, overhead=overhead, instances=variant.count)

    def _shadow(self, attempt: Attempt) -> None:
        """Copy a share of the requests to the shadow variant; what it says goes nowhere but capture and metrics."""
        variant = attempt.variant
        for shadow in attempt.live.fleet_of(variant).shadows:
            if shadow is not variant and random.random() < shadow.weight / max(variant.weight, 1e-9):  # noqa: S311
                self._shadows.submit(self._serve_shadow, attempt.live, shadow, attempt.call)

    def _serve_shadow(self, live: LiveEndpoint, shadow: Variant, call: Call) -> None:
        began = time.perf_counter()
        instance = shadow.acquire()
        if instance is None:
            return
        attempt = Attempt(live, shadow, instance, call, began, time.perf_counter())
        try:
            answer = self._ask(attempt, TIMEOUT)
        except (BrokenError, TimedOutError) as error:
            answer = _no_answer(error, shadow)
        finally:
            shadow.release(instance)
        if answer.ok:
            self._account(attempt, answer)
        else:
            self._count(attempt, answer, time.perf_counter())


def _no_answer(error: Exception, variant: Variant) -> Answer:
    text = TIMED_OUT.format(container=variant.model.containers[0].hostname)
    return Answer(0, {}, (text if isinstance(error, TimedOutError) else EXITED).encode())


def _frames(parts: Iterator[bytes], status: int, done: Callable[[bytes, int], None]) -> Iterator[bytes]:
    """The container's chunks as event-stream frames; a stream that breaks ends with an exception frame."""
    whole: list[bytes] = []
    result = 0  # until the last chunk came
    try:
        for part in parts:
            whole.append(part)
            yield payload_frame(part)
        result = status
    except TimedOutError:
        yield exception_frame("ModelStreamError", "ModelInvocationTimeExceeded", "The model took too long.")
    except BrokenError:
        yield exception_frame("ModelStreamError", "StreamBroken", "The stream of the model broke off.")
    finally:
        done(b"".join(whole), result)
