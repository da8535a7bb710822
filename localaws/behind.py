"""What stands behind the gateway for every service that is not ours: moto in this process, or another endpoint."""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol
from urllib.parse import urlsplit

from werkzeug.test import run_wsgi_app

from localaws import bucket_policies
from localaws.clock import Clock
from localaws.gateway import Application, Environ, StartResponse, read_body
from localaws.journal import Journal, in_turn, keep, replay

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "trailer", "upgrade", "content-length", "host"}


def moto() -> Application:
    """Moto's own dispatcher, in this process, with nothing in it: its state is the process's, not the application's."""
    os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # 2.5 s of the first EC2 call
    os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")  # roles attach AmazonSageMakerFullAccess and kin
    from moto.moto_api._internal import moto_api_backend
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    share_policies()
    moto_api_backend.reset()
    fill_gaps()
    return bucket_policies.install(DomainDispatcherApplication(create_backend_app))


def share_policies() -> None:
    """AWS's own policies are read once: moto would read all 1,600 for each partition of each account, for a second."""
    from moto.iam.models import IAMBackend

    name = "_init_aws_policies"
    read = getattr(IAMBackend, name)
    if read.__name__ != name:
        return  # it was done before
    known: list[Any] = []

    def shared(self: Any) -> list[Any]:
        if not known:
            known.extend(read(self))
        return [_owned(each, self) for each in known]

    setattr(IAMBackend, name, shared)


def _owned(policy: Any, backend: Any) -> Any:
    """The same policy in another account and partition; who attaches it is counted there alone."""
    own = _twin(policy)
    own.account_id, own.partition, own.tags = backend.account_id, backend.partition, dict[str, Any]()
    own.versions = [_twin(each) for each in policy.versions]
    for each in own.versions:
        each.policy_arn = own.arn
    return own


def _twin(known: Any) -> Any:
    made = object.__new__(type(known))
    made.__dict__.update(known.__dict__)
    return made


def fill_gaps() -> None:
    """What moto keeps and forgets to tell, so that providers would set it again; and trails named by their ARN."""
    from moto.cloudtrail.models import CloudTrailBackend
    from moto.s3.responses import S3Response

    _by_arn_too(CloudTrailBackend, "delete_trail")
    _complete(S3Response, "get_bucket_notification", _tell_eventbridge)
    _complete(S3Response, "get_bucket_replication", _tell_selection)


def _by_arn_too(kind: type[Any], name: str) -> None:
    """Let a method that looks a thing up by its name take its ARN as well."""
    by_name = getattr(kind, name)
    if by_name.__name__ != name:
        return  # it was done before

    def by_either(self: Any, given: str) -> Any:
        return by_name(self, given.rpartition("/")[2])

    setattr(kind, name, by_either)


def _tell_eventbridge(asked: Any, result: dict[str, Any]) -> None:
    kept = asked.backend.get_bucket_notification_configuration(asked.bucket_name)
    if kept and kept.event_bridge is not None:
        result["EventBridgeConfiguration"] = dict[str, str]()


def _tell_selection(asked: Any, result: dict[str, Any]) -> None:
    kept = asked.backend.get_bucket_replication(asked.bucket_name)
    for told, rule in zip(result["ReplicationConfiguration"]["Rules"], kept["Rule"], strict=True):
        if "SourceSelectionCriteria" in rule:
            told["SourceSelectionCriteria"] = rule["SourceSelectionCriteria"]


def _complete(kind: type[Any], name: str, add: Callable[[Any, dict[str, Any]], None]) -> None:
    """Let a method of moto's answer with what `add` puts into its result."""
    told = getattr(kind, name)
    if told.__name__ != name:
        return  # it was done before

    def complete(self: Any) -> Any:
        serialized = self.serialized

        def completed(answer: Any) -> Any:
            if isinstance(answer.result, dict):  # a refusal goes the same way
                add(self, answer.result)
            return serialized(answer)

        self.serialized = completed
        return told(self)

    setattr(kind, name, complete)


def moto_account(access_key: str) -> str | None:
    """The account of a key that moto handed out (IAM users, assumed roles)."""
    from moto.iam.models import get_account_id_from

    return get_account_id_from(access_key)


def remote(url: str) -> Application:
    """Another AWS at `url`, spoken to as the client spoke to us."""
    target = urlsplit(url)

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        connection = http.client.HTTPConnection(target.hostname or "127.0.0.1", target.port or 80, timeout=60)
        path = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ.get("PATH_INFO", "/")
        headers = {
            key[5:].replace("_", "-"): value
            for key, value in environ.items()
            if key.startswith("HTTP_") and key[5:].replace("_", "-").lower() not in HOP_BY_HOP
        }
        headers["Host"] = environ.get("HTTP_HOST", target.netloc)  # it is part of the signature
        if environ.get("CONTENT_TYPE"):
            headers["Content-Type"] = environ["CONTENT_TYPE"]
        connection.request(environ["REQUEST_METHOD"], path, body=read_body(environ), headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 500 and "html" in (answer.getheader("Content-Type") or ""):  # moto's word for what it lacks
            connection.close()
            raise NotImplementedError(environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2])
        kept = [(key, value) for key, value in answer.getheaders() if key.lower() not in HOP_BY_HOP]
        start_response(f"{answer.status} {answer.reason}", [*kept, ("Content-Length", str(len(body)))])
        connection.close()
        return [body]

    return application


def remembered(application: Application, folder: Path, clock: Clock) -> tuple[Application, Callable[[], None]]:
    """What stands behind with its past done again and its future written down; and how to close the journal."""
    journal = Journal(folder / "behind.sqlite")
    past = _Past()
    undo = follow(past)
    try:
        replay(application, journal, past.move)
    finally:
        undo()
    return keep(application, journal, clock.now), journal.close


def forgotten(application: Application) -> Application:
    """The same without a folder to remember in."""
    return in_turn(application, lambda environ, _: run_wsgi_app(application, environ, buffered=True))


class _Past:
    """The time of a replayed change."""

    def __init__(self) -> None:
        self._at = 0.0

    def move(self, at: float) -> None:
        self._at = at

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self._at, UTC)


class Telling(Protocol):
    """What tells the time."""

    def moment(self) -> datetime: ...


def follow(clock: Telling) -> Callable[[], None]:
    """Let moto's log groups and objects live in our clock's time; what comes back undoes it.

    Log events that seem too old or too new are dropped, so with a clock that is not the wall's none would be kept.
    """
    import moto.logs.models
    import moto.s3.models

    followed: tuple[ModuleType, ...] = (moto.logs.models, moto.s3.models)
    before = [(module, module.__dict__["utcnow"]) for module in followed]

    def now() -> datetime:
        return clock.moment().replace(tzinfo=None)

    for module in followed:
        module.__dict__["utcnow"] = now

    def undo() -> None:
        for module, original in before:
            module.__dict__["utcnow"] = original

    return undo
