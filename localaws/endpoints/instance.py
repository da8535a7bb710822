"""One instance behind a variant: the real server processes of its model's containers, their health and their end."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from localaws import jobs
from localaws.endpoints.connections import HOST, Answer, BrokenError, Connections, TimedOutError
from localaws.endpoints.model import ModelFiles, ServedContainer, ServedModel
from localaws.logs import LogStream
from localaws.plane import Plane
from localaws.ports import RunError, Running, RunSpec
from localaws.store import Scope

log = logging.getLogger(__name__)

PING_TIMEOUT = 2.0  # real seconds, as are all below
PING_EVERY = 0.02
STARTUP_LIMIT = 240.0
GRACE = 30.0
RESTART_PAUSES = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)  # before each new attempt after a crash; the last one repeats


class NotHealthyError(Exception):
    """A container did not come up; the text becomes the endpoint's failure reason."""


@dataclass(frozen=True)
class Site:
    """Where an instance stands: whose endpoint, which configuration, which variant."""

    plane: Plane
    scope: Scope
    endpoint: str
    config: str
    variant: str

    @property
    def log_group(self) -> str:
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"

    def log_stream(self, instance: str, container: str = "") -> LogStream:
        name = f"{self.variant}/{instance}" + (f"/{container}" if container else "")
        scope = self.scope
        return LogStream(
            self.plane.clients, self.plane.clock, scope.account, scope.region, group=self.log_group, stream=name
        )


class ServerProcess:
    """One container of one instance."""

    def __init__(
        self,
        site: Site,
        model: ServedModel,
        container: ServedContainer,
        folder: Path,
        stream: LogStream,
        *,
        crashed: Callable[[], None],
    ) -> None:
        self.container = container
        self.folder = folder
        self.port = _free_port()
        self.connections = Connections(self.port)
        self._site, self._model, self._stream, self._crashed = site, model, stream, crashed
        self._running: Running | None = None
        self._stopping = False
        self._healthy = False
        self.last_lines: deque[str] = deque(maxlen=3)

    @property
    def pid(self) -> int:
        return self._running.pid if self._running else 0

    @property
    def base(self) -> str:
        """What the container calls its /opt/ml."""
        return self._running.base if self._running else ""

    def start(self) -> None:
        site, container = self._site, self.container
        self._stopping = self._healthy = False
        self.connections = Connections(self.port)
        spec = RunSpec(
            name=f"{site.endpoint}/{site.variant}/{self.folder.parent.name}/{container.hostname}",
            image=container.image,
            folder=self.folder,
            arguments=("serve",),
            environment={
                **jobs.environment(site.plane, site.scope, self._model.role, {}, isolated=self._model.isolated),
                **({"SAGEMAKER_MULTI_MODEL": "true"} if container.multi_model else {}),
                **container.environment,
            },
            isolated=self._model.isolated,
            port=self.port,
        )
        try:
            running = self._running = site.plane.runner.run(spec)
        except RunError as error:
            raise NotHealthyError(f"The image of container {container.hostname} cannot run: {error}") from error
        threading.Thread(target=self._follow, args=(running,), name=f"log {spec.name}", daemon=True).start()

    def wait_healthy(self, deadline: float) -> None:
        running = self._running
        while True:
            if self.ping():
                self._healthy = True
                return
            code = running.wait(PING_EVERY) if running else 1
            if code is not None:
                raise NotHealthyError(self._reason(f"it exited with code {code}"))
            if time.monotonic() > deadline:
                raise NotHealthyError(self._reason("it did not answer in time"))

    def _reason(self, what: str) -> str:
        self.flush()
        said = f'; it last said "{" | ".join(self.last_lines)}"' if self.last_lines else ""
        return (
            f"The {self.container.hostname} container for production variant {self._site.variant} did not pass the "
            f"ping health check. Please check CloudWatch logs for this endpoint. ({what}{said})"
        )

    def ping(self) -> bool:
        with contextlib.suppress(BrokenError, TimedOutError):
            return self.connections.ask("GET", "/ping", b"", {}, PING_TIMEOUT).status == 200
        return False

    def stop(self, grace: float = GRACE) -> None:
        self._stopping = True
        self.connections.close()  # a server that waits for its kept-alive connections could not end in time
        if self._running:
            self._running.terminate(grace)
        self.flush()

    def kill(self) -> None:
        """As if the container crashed."""
        if self._running:
            self._running.terminate(0)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except Exception:  # logs never break serving
            log.warning("the log of %s could not be written", self._site.endpoint, exc_info=True)

    def _follow(self, running: Running) -> None:
        for line in running.lines():
            self.last_lines.append(line)
            self._stream.write(line)
        code = running.wait()
        if self._healthy and not self._stopping:
            self._stream.write(f"The container exited with code {code} and is started again.")
            self.flush()
            self._crashed()


class Instance:
    """One copy of a variant's model."""

    def __init__(self, site: Site, model: ServedModel, files: ModelFiles, root: Path, startup: float) -> None:
        self.id = f"i-{uuid.uuid4().hex[:17]}"
        self.born = time.monotonic()
        self.outstanding = 0
        self.ready = False  # takes requests
        self.leaving = False  # takes no new ones and ends when the last is answered
        self.missed_pings = 0
        self.loaded: dict[str, float] = {}  # target models by when they were used last
        self.loading = threading.Lock()
        self.model = model
        self._files = files
        self._root = root / self.id
        self._startup = startup
        self._site = site
        self._restarting = threading.Lock()
        self._stopped = threading.Event()
        several = len(model.containers) > 1
        self.servers = [
            ServerProcess(
                site,
                model,
                container,
                self._root / f"{index}",
                site.log_stream(self.id, container.hostname if several else ""),
                crashed=self.crashed,
            )
            for index, container in enumerate(model.containers)
        ]

    def start(self) -> None:
        """Bring all containers up, or raise with none left running."""
        deadline = time.monotonic() + self._startup
        try:
            for index, server in enumerate(self.servers):
                self._files.place(index, server.folder)
                server.start()
            for server in self.servers:
                server.wait_healthy(deadline)
        except BaseException:
            self.stop(0)
            raise
        self.ready = True

    def stop(self, grace: float = GRACE) -> None:
        self.ready = False
        self._stopped.set()
        threads = [threading.Thread(target=server.stop, args=(grace,)) for server in self.servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        shutil.rmtree(self._root, ignore_errors=True)

    def crashed(self) -> None:
        """A container ended by itself: out of rotation, and up again as soon as it can be."""
        self.ready = False
        threading.Thread(target=self._restart, name=f"restart {self.id}", daemon=True).start()

    def _restart(self) -> None:
        if not self._restarting.acquire(blocking=False):
            return None
        try:
            attempt = 0
            while not self._stopped.wait(RESTART_PAUSES[min(attempt, len(RESTART_PAUSES) - 1)]):
                attempt += 1
                try:
                    return self._revive()
                except NotHealthyError as error:
                    log.warning("instance %s of %s: %s", self.id, self._site.endpoint, error)
            for server in self.servers:  # it was ended meanwhile: leave nothing
                server.stop(0)
        finally:
            self._restarting.release()

    def _revive(self) -> None:
        deadline = time.monotonic() + self._startup
        self.loaded.clear()
        for server in self.servers:
            server.stop(GRACE)
            if self._stopped.is_set():
                return
            server.start()
        for server in self.servers:
            server.wait_healthy(deadline)
        if self._stopped.is_set():  # it was ended meanwhile: leave nothing
            for server in self.servers:
                server.stop(0)
            return
        self.missed_pings = 0
        self.ready = True

    def flush(self) -> None:
        for server in self.servers:
            server.flush()

    def check(self) -> None:
        """One health check; three missed in a row mean a restart."""
        if not self.ready:
            return
        self.missed_pings = 0 if all(server.ping() for server in self.servers) else self.missed_pings + 1
        if self.missed_pings >= 3:
            self.crashed()

    def ask(
        self,
        body: bytes,
        headers: Mapping[str, str],
        *,
        path: str = "/invocations",
        only: int | None = None,
        timeout: float,
    ) -> Answer:
        """Through the one container a request names, else through all of them in order."""
        answer: Answer | None = None
        for server in [self.servers[only]] if only is not None else self.servers:
            if answer is not None:
                headers = {**headers, "Content-Type": answer.headers.get("content-type", "application/octet-stream")}
                body = answer.body
            answer = server.connections.ask("POST", path, body, headers, timeout)
            if not answer.ok:
                break
        if answer is None:
            raise BrokenError("the model has no container")
        return answer

    def stream(
        self, body: bytes, headers: Mapping[str, str], *, only: int | None = None, timeout: float
    ) -> tuple[Answer, Iterator[bytes]]:
        """As `ask`, with the last container's body as it comes."""
        chain = [self.servers[only]] if only is not None else self.servers
        for server in chain[:-1]:
            answer = server.connections.ask("POST", "/invocations", body, headers, timeout)
            if not answer.ok:
                return answer, iter([answer.body])
            headers = {**headers, "Content-Type": answer.headers.get("content-type", "application/octet-stream")}
            body = answer.body
        return chain[-1].connections.stream("POST", "/invocations", body, headers, timeout)


_given_lately: deque[int] = deque(maxlen=500)
_ports = threading.Lock()


def _free_port() -> int:
    """A port nobody listens on, and that was not given to another container a moment ago."""
    with _ports:
        while True:
            with socket.create_server((HOST, 0)) as probe:
                port: int = probe.getsockname()[1]
            if port not in _given_lately:
                _given_lately.append(port)
                return port
