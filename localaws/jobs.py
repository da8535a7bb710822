"""What every job is made of: hosts that run a container's program, and the record of how it went.

A job's verbs only write down what was asked; the job itself lives on a thread of the clock, owns a scratch folder per
host and ends in one of the final statuses. A job that was running when the server died is failed at the next start, as
SageMaker does after the loss of a host.
"""

from __future__ import annotations

import json
import logging
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localaws import resources
from localaws.board import Ended, Exited, Live
from localaws.errors import ValidationException
from localaws.gateway import Application, Request
from localaws.kinds import Kind
from localaws.logs import LogStream
from localaws.objects import NoObjectsError, Objects, shard
from localaws.pages import PageError, json_page
from localaws.plane import Plane
from localaws.ports import RunError, Running, RunSpec
from localaws.store import Body, Resource, Scope

log = logging.getLogger(__name__)

FINAL = {"Completed", "Failed", "Stopped"}
GRACE = 120.0  # real seconds between SIGTERM and SIGKILL
FLUSH = 0.5  # real seconds between two flushes of logs and metrics while a job runs
HOST_LOST = "InternalServerError: We encountered an internal error. Please try again."


class JobFailedError(Exception):
    """The job cannot go on; the text becomes its failure reason."""


@dataclass
class Host:
    """One machine of a job: its name and the folder that is its /opt/ml."""

    name: str
    folder: Path

    def put(self, path: str, content: Any) -> None:
        """Write a JSON file below /opt/ml."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))

    def text(self, path: str, limit: int = 1024) -> str:
        """The beginning of a file below /opt/ml; empty when the program did not write it."""
        file = self.folder / path
        return file.read_text(errors="replace")[:limit].strip() if file.is_file() else ""


@dataclass(frozen=True)
class Program:
    """What to run on every host."""

    image: str
    arguments: tuple[str, ...]
    entrypoint: tuple[str, ...]  # empty keeps the image's own
    environment: Mapping[str, str]
    isolated: bool


@dataclass
class Job:
    """One job at work: its record, its hosts, its logs."""

    plane: Plane
    kind: Kind
    scope: Scope
    name: str
    live: Live
    group: str  # its log group
    hosts: list[Host] = field(default_factory=list)
    acts_as: str | None = None  # a role that its record does not name
    on_line: Callable[[str], None] = lambda _line: None
    on_tick: Callable[[], None] = lambda: None

    @property
    def body(self) -> Body:
        return resources.find(self.kind, self.scope, self.name).body

    @property
    def role(self) -> str | None:
        """The role it acts as."""
        return self.acts_as or self.body.get("RoleArn")

    @property
    def objects(self) -> Objects:
        return Objects(self.plane.clients, self.scope.account, self.scope.region, self.role)

    @contextmanager
    def moving(self, what: str) -> Iterator[None]:
        """What S3 refuses while data is moved for the job fails it, with S3's reason."""
        try:
            yield
        except (ClientError, NoObjectsError) as error:
            raise JobFailedError(f"ClientError: {what} failed: {error}. It was tried as {self.role}.") from error

    def now(self) -> float:
        return self.plane.clock.now()

    def note(self, **members: Any) -> Body:
        """Write members of the job's record; None removes one."""
        return resources.change(self.kind, self.scope, self.name, members, now=self.now()).body

    def make_hosts(self, count: int) -> list[Host]:
        root = self.plane.settings.work / self.kind.kind / self.scope.account / self.scope.region / self.name
        self.hosts = [Host(f"algo-{index + 1}", root / f"algo-{index + 1}") for index in range(count)]
        for host in self.hosts:
            for folder in ("input/config", "input/data", "model", "output/data"):
                (host.folder / folder).mkdir(parents=True, exist_ok=True)
        return self.hosts

    def clean(self) -> None:
        if self.hosts:
            shutil.rmtree(self.hosts[0].folder.parent, ignore_errors=True)

    def run(self, program: Program, *, limit: float) -> Exited | Ended:
        """Run the program on all hosts and wait: for all to end, for one to fail, or for the outside to end it."""
        stamp = int(self.now() * 1000)
        streams = [self._stream(f"{self.name}/{host.name}-{stamp}") for host in self.hosts]
        started: list[Running] = []
        happenings = self.live.fresh()
        try:
            for host, stream in zip(self.hosts, streams, strict=True):
                started.append(self._start(program, host, stream, happenings.put))
            return self._wait(happenings, started, streams, limit)
        except RunError as error:
            raise JobFailedError(f"ClientError: Cannot start the container: {error}") from error
        finally:
            for container in started:
                container.terminate(0)
            self._flush(streams)

    def _stream(self, name: str) -> LogStream:
        scope = self.scope
        return LogStream(
            self.plane.clients, self.plane.clock, scope.account, scope.region, group=self.group, stream=name
        )

    def _start(self, program: Program, host: Host, stream: LogStream, ended: Callable[[int], None]) -> Running:
        spec = RunSpec(
            name=f"{self.name}-{host.name}-{time.monotonic_ns()}",
            image=program.image,
            folder=host.folder,
            arguments=program.arguments,
            entrypoint=program.entrypoint,
            environment=program.environment,
            isolated=program.isolated,
        )
        running = self.plane.runner.run(spec)

        def follow() -> None:
            for text in running.lines():
                stream.write(text)
                self.on_line(text)
            ended(running.wait() or 0)

        threading.Thread(target=follow, name=spec.name, daemon=True).start()
        return running

    def _wait(
        self, happenings: queue.Queue[Ended | int], containers: list[Running], streams: list[LogStream], limit: float
    ) -> Exited | Ended:
        deadline = time.monotonic() + limit
        codes: list[int] = []
        while len(codes) < len(containers):
            try:
                happened = happenings.get(timeout=max(0.0, min(FLUSH, deadline - time.monotonic())))
            except queue.Empty:
                self._flush(streams)
                if time.monotonic() >= deadline:
                    return self._end(containers, Ended("timeout"))
                continue
            if isinstance(happened, Ended):
                return self._end(containers, happened)
            if isinstance(happened, int):
                codes.append(happened)
                if happened:  # one failed host fails the job
                    self._end(containers, Ended("failure"))
                    break
        return Exited(tuple(codes))

    def _end(self, containers: list[Running], why: Ended) -> Ended:
        """SIGTERM to all at once, then wait for each."""
        threads = [threading.Thread(target=container.terminate, args=(GRACE,)) for container in containers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return why

    def _flush(self, streams: Iterable[LogStream]) -> None:
        for stream in streams:
            stream.flush()
        self.on_tick()


# --- starting, stopping, resuming -----------------------------------------------------------------------------------


def begin(plane: Plane, row: Resource, kind: Kind, group: str, work: Callable[[Job], None]) -> None:
    """Let a job that was just recorded run on a thread of the clock."""
    live = plane.board.open(row.arn)
    scope = plane.store.scope(row.account, row.region)
    job = Job(plane, kind, scope, row.name, live, group)

    def run() -> None:
        try:
            work(job)
        except Exception:
            log.exception("%s %s", kind.noun, row.name)
            raise
        finally:
            plane.board.close(row.arn)
            job.clean()

    plane.clock.spawn(run, f"{kind.kind} {row.name}")


def stop(plane: Plane, request: Request, kind: Kind, *, secondary: bool = False) -> dict[str, Any]:
    """Ask a running job to stop; a finished one refuses."""
    row = resources.find(kind, request.scope, request.params[kind.name])
    status = row.body[kind.status]
    if status in FINAL:
        raise ValidationException(f"The request was rejected because the {words(kind)} is in status {status}.")
    if status == "InProgress":
        new = {kind.status: "Stopping"} | ({"SecondaryStatus": "Stopping"} if secondary else {})
        resources.change(kind, request.scope, row.name, new, now=plane.clock.now())
    if live := plane.board.get(row.arn):
        live.ask("stop")
    return {}


def delete(request: Request, kind: Kind) -> dict[str, Any]:
    row = resources.find(kind, request.scope, request.params[kind.name])
    if row.body[kind.status] not in FINAL:
        raise ValidationException(
            f"The request was rejected because the {words(kind)} is in status {row.body[kind.status]},"
            " not in a terminal state."
        )
    request.scope.remove(kind.kind, row.name)
    return {}


def words(kind: Kind) -> str:
    return kind.kind.replace("-", " ")


def fail_orphans(plane: Plane, kind: Kind, **ended: Any) -> None:
    """After a restart: what was running has lost its host."""
    now = plane.clock.now()
    for scope in plane.store.scopes():
        for row in scope.all(kind.kind):
            if row.body.get(kind.status) not in FINAL:
                change = {kind.status: "Failed", "FailureReason": HOST_LOST, **ended}
                resources.change(kind, scope, row.name, change, now=now)


# --- shared parts of the contract -----------------------------------------------------------------------------------


def fetch_channel(job: Job, source: Mapping[str, Any], folder: str, *, what: str) -> None:
    """Put an S3 source into a folder of every host, whole or sharded by key."""
    with job.moving("Data download"):
        found = job.objects.find(source["S3Uri"], source.get("S3DataType", "S3Prefix"))
        if not found:
            raise JobFailedError(f"ClientError: Data download failed: no objects under {source['S3Uri']} ({what})")
        sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
        for index, host in enumerate(job.hosts):
            items = shard(found, index, len(job.hosts)) if sharded else found
            job.objects.fetch(items, host.folder / folder)


def environment(plane: Plane, scope: Scope, role: str, asked: Mapping[str, str], *, isolated: bool) -> dict[str, str]:
    """What the platform itself puts into a container's environment, and what the request adds."""
    base = {"AWS_REGION": scope.region, "AWS_DEFAULT_REGION": scope.region}
    if not isolated:
        ours = {"AWS_ENDPOINT_URL": plane.url, "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": plane.url}
        base |= {**ours, **credentials(plane, scope, role)}
    return {**base, **asked}


def credentials(plane: Plane, scope: Scope, role: str) -> dict[str, str]:
    """The keys of a role for a container's environment."""
    keys = plane.clients.keys(scope.account, scope.region, role)
    given = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret}
    return given | ({"AWS_SESSION_TOKEN": keys.token} if keys.token else {})


def interruptions(plane: Plane) -> Application:
    """The page that takes a job's machine away: `{"arn": "..."}` for what AWS does to a spot instance."""

    def answer(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
        running = plane.board.running()
        if method != "POST":
            return {"running": running}
        live = plane.board.get(str(given.get("arn")))
        if live is None:
            raise PageError(f"no job {given.get('arn')!r} runs; these do: {', '.join(running) or 'none'}")
        live.ask("interrupt")
        return {"interrupted": given["arn"]}

    return json_page(answer)
