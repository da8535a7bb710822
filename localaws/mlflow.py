"""MLflow tracking servers and apps: the resources, and a real MLflow behind them when one is installed.

A program `mlflow` is looked for in the containers' root (`.venvs/mlflow/bin`), in this Python's environment and on
PATH. Without one the resources are kept and answered, and a presigned URL says that there is nothing to open.
"""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localaws import resources
from localaws.errors import AwsError, ValidationException
from localaws.gateway import Operation, Request
from localaws.kinds import MLFLOW_APP, MLFLOW_TRACKING_SERVER
from localaws.plane import Plane
from localaws.resources import Kind
from localaws.store import Body, Resource, Scope

VERSION = "3.0"
MAINTENANCE = "Tue:03:30"
STARTUP = 60.0  # real seconds an MLflow may take until it answers


def operations(plane: Plane) -> Mapping[str, Operation]:
    servers, apps = Servers(plane), Apps(plane)
    plane.closers.append(servers.processes.close)
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
    }


class Servers:
    """Tracking servers."""

    kind: Kind = MLFLOW_TRACKING_SERVER

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self.processes = Processes(plane)

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
            "TrackingServerStatus": "Created",
            "IsActive": "Active",
        }
        row = resources.add(self.kind, request.scope, name, body, now=now, tags=params.get("Tags", ()))
        self._open(row)
        return {"TrackingServerArn": row.arn}

    def update(self, request: Request) -> dict[str, Any]:
        row = self._find(request)
        new = {**resources.without(request.params, "TrackingServerName"), "TrackingServerStatus": "Updated"}
        resources.change(self.kind, request.scope, row.name, new, now=self._plane.clock.now())
        return {"TrackingServerArn": row.arn}

    def delete(self, request: Request) -> dict[str, Any]:
        row = self._find(request)
        self.processes.end(row.arn)
        request.scope.remove(self.kind.kind, row.name)
        return {"TrackingServerArn": row.arn}

    def start(self, request: Request) -> dict[str, Any]:
        row = self._find(request)
        if row.body["IsActive"] == "Active":
            raise AwsError(f"MLflow tracking server {row.name} is running.", code="ConflictException")
        self._set(request.scope, row, "Started", "Active")
        self._open(row)
        return {"TrackingServerArn": row.arn}

    def stop(self, request: Request) -> dict[str, Any]:
        row = self._find(request)
        if row.body["IsActive"] != "Active":
            raise AwsError(f"MLflow tracking server {row.name} is not running.", code="ConflictException")
        self.processes.end(row.arn)
        self._set(request.scope, row, "Stopped", "Inactive")
        return {"TrackingServerArn": row.arn}

    def presign(self, request: Request) -> dict[str, Any]:
        row = self._find(request)
        url = row.body.get("TrackingServerUrl")
        if not url or row.body["IsActive"] != "Active":
            raise ValidationException(
                f"No MLflow runs behind tracking server {row.name}: install one (an `mlflow` program in"
                " .venvs/mlflow, this environment or on PATH) before it is created, or start it."
            )
        return {"AuthorizedUrl": url}

    def _find(self, request: Request) -> Resource:
        return resources.find(self.kind, request.scope, request.params["TrackingServerName"])

    def _set(self, scope: Scope, row: Resource, status: str, active: str) -> None:
        new = {"TrackingServerStatus": status, "IsActive": active}
        resources.change(self.kind, scope, row.name, new, now=self._plane.clock.now())

    def _open(self, row: Resource) -> None:
        url = self.processes.begin(row.arn, row.body["ArtifactStoreUri"], row)
        scope = self._plane.store.scope(row.account, row.region)
        if url:
            resources.change(self.kind, scope, row.name, {"TrackingServerUrl": url}, now=self._plane.clock.now())


class Apps:
    """MLflow apps: known by an id, not by their name."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def create(self, request: Request) -> dict[str, Any]:
        params, scope, now = request.params, request.scope, self._plane.clock.now()
        _check_store(params["ArtifactStoreUri"])
        body: Body = {
            "MlflowVersion": VERSION,
            "ModelRegistrationMode": "AutoModelRegistrationDisabled",
            "WeeklyMaintenanceWindowStart": MAINTENANCE,
            "AccountDefaultStatus": "DISABLED",
            **resources.without(params, "Tags"),
            "Status": "Created",
        }
        arn = scope.arn(f"mlflow-app/app-{secrets.token_hex(6).upper()}")
        row = resources.add(MLFLOW_APP, scope, params["Name"], body, now=now, tags=params.get("Tags", ()), arn=arn)
        return {"Arn": row.arn}

    def update(self, request: Request) -> dict[str, Any]:
        row = resources.find(MLFLOW_APP, request.scope, request.params["Arn"])
        new = {**resources.without(request.params, "Arn", "Name"), "Status": "Updated"}
        resources.change(MLFLOW_APP, request.scope, row.name, new, now=self._plane.clock.now())
        return {"Arn": row.arn}

    def delete(self, request: Request) -> dict[str, Any]:
        row = resources.find(MLFLOW_APP, request.scope, request.params["Arn"])
        request.scope.remove(MLFLOW_APP.kind, row.name)
        return {"Arn": row.arn}


class Processes:
    """The MLflow servers that run here, by ARN; they end with this process."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def begin(self, arn: str, artifacts: str, row: Resource) -> str | None:
        """Start a server and tell its URL once it answers; None without an MLflow program."""
        program = find_program(self._plane.settings.containers)
        if program is None:
            return None
        folder = (
            (self._plane.settings.state or self._plane.settings.work) / "mlflow" / row.account / row.region / row.name
        )
        folder.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = os.environ | {
            "AWS_ENDPOINT_URL": self._plane.url,
            "MLFLOW_S3_ENDPOINT_URL": self._plane.url,
            "AWS_ACCESS_KEY_ID": row.account,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": row.region,
        }
        command = [
            *program,
            *("server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", artifacts),
        ]
        with (folder / "mlflow.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        with self._lock:
            self._running[arn] = process
        if not _answers(port, process):
            self.end(arn)
            raise ValidationException(f"MLflow did not start; {folder / 'mlflow.log'} has the reason.")
        return f"http://127.0.0.1:{port}"

    def end(self, arn: str) -> None:
        with self._lock:
            process = self._running.pop(arn, None)
        if process:
            os.killpg(process.pid, 15)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()

    def close(self) -> None:
        for arn in list(self._running):
            self.end(arn)


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


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + STARTUP
    while time.monotonic() < deadline and process.poll() is None:
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
