"""Faults at work: a guard before every call, a wrapper that loses answers, and the page that sets them."""

import contextlib
import itertools
import socket
from collections.abc import Iterable
from typing import Any

from localaws.clock import Clock
from localaws.errors import AwsError, ThrottlingException
from localaws.faults.fault import Fault, FaultError, fault
from localaws.faults.processes import Processes
from localaws.gateway import Application, Environ, Request, StartResponse
from localaws.iam.action import call_of
from localaws.pages import PageError, json_page
from localaws.wire import Response

LOST = "localaws.answer_is_lost"
USAGE = (
    'POST {"effect": "fail|throttle|delay|drop", "operation": "CreateEndpoint", ...} sets a fault, '
    '{"kill": "shop/a/*"} kills a process, DELETE {"id": "1"} or {} lifts one or all'
)


class Faults:
    """The faults that are set now."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.active: dict[str, Fault] = {}
        self._ids = itertools.count(1)

    def set(self, wanted: Fault) -> Fault:
        wanted.id = str(next(self._ids))
        self.active[wanted.id] = wanted
        return wanted

    def guard(self, request: Request) -> Response | None:
        """Strike the call with every fault that concerns it."""
        for each in list(self.active.values()):
            if self._hits(each, request):
                self._strike(each, request)
        return None

    def _hits(self, each: Fault, request: Request) -> bool:
        if each.operation == "*" and not each.where:
            return each.concerns(request.service, request.caller.signing_name, "") and each.strikes()
        call = call_of(request)
        named = each.concerns(request.service, request.caller.signing_name, call.operation)
        return named and each.fits(call.params) and each.strikes()

    def _strike(self, each: Fault, request: Request) -> None:
        match each.effect:
            case "fail":
                raise AwsError(each.message, code=each.code, status=each.status)
            case "throttle":
                raise ThrottlingException("Rate exceeded")
            case "delay":
                self.clock.sleep(each.seconds)
            case _:
                request.environ[LOST] = True

    def page(self, processes: Processes) -> Application:
        """`/_localaws/faults`: GET lists, POST sets or kills, DELETE lifts."""

        def answer(method: str, given: dict[str, Any]) -> dict[str, Any]:
            if method == "POST":
                return self._post(processes, given)
            if method == "DELETE":
                lifted = [given["id"]] if "id" in given else list(self.active)
                for name in lifted:
                    if self.active.pop(str(name), None) is None:
                        raise PageError(f"there is no fault {name}; there are {', '.join(self.active) or 'none'}")
            return {"faults": [each.shown() for each in self.active.values()], "processes": processes.names()}

        return json_page(answer)

    def _post(self, processes: Processes, given: dict[str, Any]) -> dict[str, Any]:
        if "kill" in given:
            killed = processes.kill(str(given["kill"]), int(given.get("count", 1)))
            if not killed:
                raise PageError(f"no process runs that is named like {given['kill']}; there are {processes.names()}")
            return {"killed": killed}
        try:
            return self.set(fault(given)).shown()
        except FaultError as error:
            raise PageError(f"{error}. {USAGE}") from error


def losing(application: Application) -> Application:
    """Let an answer get lost on its way when a fault says so: the operation was done, the connection breaks."""

    def lossy(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        answer = application(environ, start_response)
        if not environ.get(LOST):
            return answer
        for _part in answer:
            continue
        connection = environ.get("werkzeug.socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        raise ConnectionResetError("an injected fault loses this answer")

    return lossy
