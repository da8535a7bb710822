"""MLflow tracking servers and apps: the resources, and a real MLflow behind each when one is installed.

A program `mlflow` is looked for in the containers' root (`.venvs/mlflow/bin`), in this Python's environment and on
PATH. Without one the resources are kept and answered, and what would reach their MLflow is refused with the reason.
Clients reach a server or an app as they do on AWS, by its ARN in a header; `SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT` is ours.
"""

from __future__ import annotations

import http.client
import logging
import os
import secrets
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localaws import resources
from localaws.behind import HOP_BY_HOP
from localaws.errors import AwsError, ValidationException
from localaws.gateway import MLFLOW_ARNS as ARN_HEADERS
from localaws.gateway import Operation, Request
from localaws.kinds import MLFLOW_APP, MLFLOW_TRACKING_SERVER
from localaws.plane import Plane
from localaws.ports import Running
from localaws.resources import Kind
from localaws.store import Body, Resource, Scope
from localaws.wire import Response

log = logging.getLogger(__name__)

SERVICE = "sagemaker-mlflow"
VERSION = "3.0"
MAINTENANCE = "Tue:03:30"
STARTUP = 120.0  # real seconds an MLflow may take until it answers
GRACE = 10.0  # and to end
FAILED = {"Created": "CreateFailed", "Started": "StartFailed"}


def operations(plane: Plane) -> Mapping[str, Operation]:
    processes = Processes(plane)
    servers, apps = Servers(plane, processes), Apps(plane, processes)
    plane.closers.append(processes.close)
    plane.gateway.others[SERVICE] = processes.answer
    for scope in plane.store.scopes():  # those that served before a restart serve again
        for row in scope.all(MLFLOW_TRACKING_SERVER.kind):
            if row.body["IsActive"] == "Active":
                servers.open(row, "Created")
        for row in scope.all(MLFLOW_APP.kind):
            apps.open(row, "Created")
    return {
        **resources.operations(MLFLOW_TRACKING_SERVER, plane.clock.now),
        **resources.operations(MLFLOW_APP, plane.clock.now),
        "CreateMlflowTrackingServer": servers.create,
        "UpdateMlflowTrackingServer": servers.update,
        "DeleteMlflowTrackingServer": servers.delete,
        "StartMlflowTrackingServer": servers.start,
        "StopMlflowTrackingServer": servers.stop,
        "CreatePresignedMlflowTrackingServerUrl": servers.presign,
        "CreateMlflowApp": apps.create,
        "DescribeMlflowApp": lambda request: resources.find(MLFLOW_APP, request.scope, request.params["Arn"]).body,
        "UpdateMlflowApp": apps.update,
        "DeleteMlflowApp": apps.delete,
        "CreatePresignedMlflowAppUrl": apps.presign,
    }


class Servers:
    """Tracking servers."""

    kind: Kind = MLFLOW_TRACKING_SERVER

    def __init__(self, plane: Plane, processes: Processes) -> None:
        self._plane, self._processes = plane, processes

    def create(self, request: Request) -> dict[str, Any]:
        params, now = request.params, self._plane.clock.now()
        _check_store(params["ArtifactStoreUri"])
        name = params["TrackingServerName"]
        body: Body = {
            "TrackingServerSize": "Small",
            "MlflowVersion": VERSION,
            "AutomaticModelRegistration": False,
            "WeeklyMaintenanceWindowStart": MAINTENANCE,
            **resources.without(params, "Tags"),
            "TrackingServerStatus": "Creating",
            "IsActive": "Inactive",
        }
        row = resources.add(self.kind, request.scope, name, body, now=now, tags=params.get("Tags", ()))
        self.open(row, "Created")
        return {"TrackingServerArn": row.arn}

    def update(self, request: Request) -> dict[str, Any]:
        row = self._find(request)
        new = {**resources.without(request.params, "TrackingServerName"), "TrackingServerStatus": "Updated"}
        resources.change(self.kind, request.scope, row.name, new, now=self._plane.clock.now())
        return {"TrackingServerArn": row.arn}

    def delete(self, request: Request) -> dict[str, Any]:
        row = self._find(request)
        self._processes.forget(row.arn)
        request.scope.remove(self.kind.kind, row.name)
        return {"TrackingServerArn": row.arn}

    def start(self, request: Request) -> dict[str, Any]:
        row = self._find(request)
        if row.body["IsActive"] == "Active":
            raise AwsError(f"MLflow tracking server {row.name} is running.", code="ConflictException")
        self._set(request.scope, row, "Starting", "Inactive")
        self.open(row, "Started")
        return {"TrackingServerArn": row.arn}

    def stop(self, request: Request) -> dict[str, Any]:
        row = self._find(request)
        if row.body["IsActive"] != "Active":
            raise AwsError(f"MLflow tracking server {row.name} is not running.", code="ConflictException")
        self._processes.end(row.arn)
        self._set(request.scope, row, "Stopped", "Inactive")
        return {"TrackingServerArn": row.arn}

    def presign(self, request: Request) -> dict[str, Any]:
        return {"AuthorizedUrl": self._processes.url(self._find(request))}

    def _find(self, request: Request) -> Resource:
        return resources.find(self.kind, request.scope, request.params["TrackingServerName"])

    def _set(self, scope: Scope, row: Resource, status: str, active: str, url: str | None = None) -> None:
        new = {"TrackingServerStatus": status, "IsActive": active, "TrackingServerUrl": url}
        resources.change(self.kind, scope, row.name, new, now=self._plane.clock.now())

    def open(self, row: Resource, status: str) -> None:
        """Bring its MLflow up; the server has `status` when it serves."""
        scope = self._plane.store.scope(row.account, row.region)

        def ended(problem: str | None) -> None:
            if problem:
                self._set(scope, row, FAILED[status], "Inactive")
            else:
                self._set(scope, row, status, "Active", self._processes.address(row.arn))

        self._processes.begin(row, ended)


class Apps:
    """MLflow apps: known by an id, not by their name."""

    def __init__(self, plane: Plane, processes: Processes) -> None:
        self._plane, self._processes = plane, processes

    def create(self, request: Request) -> dict[str, Any]:
        params, scope, now = request.params, request.scope, self._plane.clock.now()
        _check_store(params["ArtifactStoreUri"])
        body: Body = {
            "MlflowVersion": VERSION,
            "ModelRegistrationMode": "AutoModelRegistrationDisabled",
            "WeeklyMaintenanceWindowStart": MAINTENANCE,
            "AccountDefaultStatus": "DISABLED",
            **resources.without(params, "Tags"),
            "Status": "Creating",
        }
        arn = scope.arn(f"mlflow-app/app-{secrets.token_hex(6).upper()}")
        row = resources.add(MLFLOW_APP, scope, params["Name"], body, now=now, tags=params.get("Tags", ()), arn=arn)
        self.open(row, "Created")
        return {"Arn": row.arn}

    def presign(self, request: Request) -> dict[str, Any]:
        return {"AuthorizedUrl": self._processes.url(resources.find(MLFLOW_APP, request.scope, request.params["Arn"]))}

    def open(self, row: Resource, status: str) -> None:
        """Bring its MLflow up; the app has `status` when it serves."""
        scope = self._plane.store.scope(row.account, row.region)

        def ended(problem: str | None) -> None:
            new = {"Status": "CreateFailed" if problem else status}
            resources.change(MLFLOW_APP, scope, row.name, new, now=self._plane.clock.now())

        self._processes.begin(row, ended)

    def update(self, request: Request) -> dict[str, Any]:
        row = resources.find(MLFLOW_APP, request.scope, request.params["Arn"])
        new = {**resources.without(request.params, "Arn", "Name"), "Status": "Updated"}
        resources.change(MLFLOW_APP, request.scope, row.name, new, now=self._plane.clock.now())
        return {"Arn": row.arn}

    def delete(self, request: Request) -> dict[str, Any]:
        row = resources.find(MLFLOW_APP, request.scope, request.params["Arn"])
        self._processes.forget(row.arn)
        request.scope.remove(MLFLOW_APP.kind, row.name)
        return {"Arn": row.arn}


@dataclass(frozen=True)
class Serving:
    """One MLflow at work."""

    process: Running
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Processes:
    """The MLflow servers that run here, by ARN; they end with this process as containers do."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._serving: dict[str, Serving] = {}
        self._lock = threading.Lock()

    def begin(self, row: Resource, ended: Callable[[str | None], None]) -> None:
        """Start a server in the background; `ended` is told the problem, or None when it serves or there is none."""
        program = find_program(self._plane.settings.containers)
        if program is None:
            ended(None)
            return

        def work() -> None:
            problem = self._start(program, row)
            if problem:
                log.warning("%s", problem)
            if self._plane.store.by_arn(row.arn):  # it may have been deleted meanwhile
                ended(problem)
            else:
                self.forget(row.arn)

        self._plane.clock.spawn(work, f"MLflow of {row.name}")

    def _start(self, program: list[str], row: Resource) -> str | None:
        folder = self._folder(row.arn)
        folder.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [
            *program,
            *("server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--no-serve-artifacts"),
            *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
            *("--default-artifact-root", row.body["ArtifactStoreUri"]),
        ]
        keys = self._plane.clients.keys(row.account, row.region, row.body.get("RoleArn"))
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "AWS_ENDPOINT_URL": self._plane.url,
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret,
            "AWS_DEFAULT_REGION": row.region,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            **({"AWS_SESSION_TOKEN": keys.token} if keys.token else {}),
        }
        process = self._plane.runner.program(f"mlflow/{row.name}", command, environment, folder)
        threading.Thread(target=_keep, args=(process, folder / "mlflow.log"), daemon=True).start()
        with self._lock:
            self._serving[row.arn] = Serving(process, port)
        if _answers(port, process):
            return None
        self.end(row.arn)
        return f"The MLflow of {row.name} did not start; {folder / 'mlflow.log'} has the reason."

    def _folder(self, arn: str) -> Path:
        """Where a server or an app keeps its runs."""
        _, _, _, region, account, resource = arn.split(":", 5)
        root = (self._plane.settings.state or self._plane.settings.work).resolve()
        return root / "mlflow" / account / region / resource

    def address(self, arn: str) -> str | None:
        """Where a browser opens it; None where nothing serves."""
        serving = self._serving.get(arn)
        return serving.url if serving else None

    def url(self, row: Resource) -> str:
        found = self.address(row.arn)
        if found is None:
            raise ValidationException(absent(row.arn))
        return found

    def answer(self, request: Request) -> Response:
        """Pass a client's request on to the MLflow that its header names."""
        arn = arn_of(request)
        serving = self._serving.get(arn)
        if serving is None:
            raise AwsError(absent(arn), code="NotImplemented", status=501)  # nothing that clients would try again
        headers = {key: value for key, value in request.headers.items() if key.lower() not in HOP_BY_HOP}
        query = request.environ.get("QUERY_STRING", "")
        connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=60)
        try:
            connection.request(request.method, f"{request.path}{query and '?'}{query}", request.body, headers)
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            raise AwsError(
                f"The MLflow of {arn} does not answer: {error}.", code="NotImplemented", status=501
            ) from error
        finally:
            connection.close()
        kept = {key: value for key, value in answer.getheaders() if key.lower() not in HOP_BY_HOP}
        return Response(answer.status, kept, body)

    def end(self, arn: str) -> None:
        with self._lock:
            serving = self._serving.pop(arn, None)
        if serving:
            serving.process.terminate(GRACE)

    def forget(self, arn: str) -> None:
        """End it, and drop what it kept."""
        self.end(arn)
        shutil.rmtree(self._folder(arn), ignore_errors=True)

    def close(self) -> None:
        for arn in list(self._serving):
            self.end(arn)


def arn_of(request: Request) -> str:
    return next((request.headers[name] for name in ARN_HEADERS if name in request.headers), "")


def absent(arn: str) -> str:
    return (
        f"No MLflow runs behind {arn}. `python3 tools/setup.py mlflow` installs one in .venvs/mlflow (any `mlflow` that"
        " can serve, beside this Python or on PATH, will do); it starts with the server or app that is created next."
    )


def _keep(process: Running, path: Path) -> None:
    """Write what a program prints to a file."""
    with path.open("a") as file:
        for line in process.lines():
            file.write(f"{line}\n")
            file.flush()


def find_program(root: Path) -> list[str] | None:
    """How to run MLflow here; None when there is none."""
    beside = Path(sys.executable).parent / "mlflow"
    for path in (root / ".venvs" / "mlflow" / "bin" / "mlflow", beside):
        if path.is_file() and _can_serve(path):
            return [str(path)]
    found = shutil.which("mlflow")
    return [found] if found and _can_serve(Path(found)) else None


def _can_serve(program: Path) -> bool:
    """The slim client has the same program but not the server."""
    library = program.parent.parent / "lib"
    return any(library.glob("python*/site-packages/mlflow-[0-9]*.dist-info"))


def _answers(port: int, process: Running) -> bool:
    deadline = time.monotonic() + STARTUP
    while time.monotonic() < deadline and process.wait(0) is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    return False


def _check_store(uri: str) -> None:
    if not uri.startswith("s3://"):
        raise ValidationException(f"ArtifactStoreUri must be an S3 address (s3://bucket/prefix), not {uri!r}.")
