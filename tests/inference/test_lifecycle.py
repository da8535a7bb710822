"""Starting, losing a worker, draining: nothing a caller was promised is lost."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from contract.records import Manifest, Schema
from families.artifact import seal
from inference.settings import SettingsError, from_environment

if TYPE_CHECKING:
    from tests.inference.conftest import Server, Start

ROOT = Path(__file__).resolve().parents[2]
GOOD = b"33.5,2,1,basic,city-7"
HEADERS = {"Content-Type": "text/csv"}


@dataclass
class Caller:
    """Asks again and again until the port is closed, on one connection or on new ones; keeps what went wrong."""

    port: int
    keep: bool
    answered: int = 0
    lost: list[str] = field(default_factory=list)

    def run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while True:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                try:
                    connection.connect()
                except OSError:
                    return  # nobody listens any more: this request was never sent
            try:
                connection.request("POST", "/invocations", GOOD, HEADERS)
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as problem:
                self.lost.append(repr(problem))
                return
            if response.status == 200 and body:
                self.answered += 1
            else:
                self.lost.append(f"{response.status} {body!r}")
            if response.headers["Connection"] == "close" or not self.keep:
                connection.close()
                connection = None


@pytest.mark.parametrize("keep", [True, False], ids=["kept connections", "new connections"])
def test_a_server_stopped_under_load_loses_no_request(start: Start, artifact: Path, keep: bool) -> None:
    server = start(artifact, SAGEMAKER_MODEL_SERVER_WORKERS="2")
    callers = [Caller(server.port, keep) for _ in range(8)]
    threads = [threading.Thread(target=caller.run) for caller in callers]
    for thread in threads:
        thread.start()
    while sum(caller.answered for caller in callers) < 200:
        assert not any(caller.lost for caller in callers)
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(timeout=40)
    assert server.process.wait(timeout=40) == 0
    assert [problem for caller in callers for problem in caller.lost] == []
    assert server.events("stopped")[0]["failed"] is False


def test_a_request_half_sent_when_draining_begins_is_still_answered(start: Start, artifact: Path) -> None:
    server = start(artifact)
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: %d\r\n\r\n" % len(GOOD)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head + GOOD[:5])
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        connection.sendall(GOOD[5:])
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert server.process.wait(timeout=40) == 0


def test_a_worker_that_dies_is_replaced_and_goes_on_counting(start: Start, artifact: Path) -> None:
    server = start(artifact, SAGEMAKER_MODEL_SERVER_WORKERS="2")
    for _ in range(4):
        server.invoke(GOOD)
    before = {child.pid for child in psutil.Process(server.process.pid).children()}
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    died = server.wait_for("worker_died")
    assert (died["pid"], died["exit_code"], died["served"]) == (victim, -signal.SIGKILL, True)
    from_two(server)
    after = {child.pid for child in psutil.Process(server.process.pid).children()}
    assert len(after) == 2
    assert victim not in after
    assert server.ask("GET", "/ping?detail").json["predictions"] == 4


def from_two(server: Server) -> None:
    while server.ask("GET", "/ping?detail").json["workers_well"] < 2:
        assert server.process.poll() is None


def test_a_ping_fails_while_a_worker_cannot_predict(start: Start, artifact: Path) -> None:
    server = start(artifact, SAGEMAKER_MODEL_SERVER_WORKERS="2")
    os.kill(min(child.pid for child in psutil.Process(server.process.pid).children()), signal.SIGKILL)
    statuses = set()
    while statuses != {503, 200}:
        statuses.add(server.ask("GET", "/ping").status) if statuses or server.events("worker_died") else None
        assert server.process.poll() is None


def test_workers_do_not_outlive_a_supervisor_that_is_killed(start: Start, artifact: Path) -> None:
    server = start(artifact, SAGEMAKER_MODEL_SERVER_WORKERS="2")
    workers = psutil.Process(server.process.pid).children()
    server.process.kill()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


def test_a_model_that_cannot_be_trusted_ends_the_program_with_the_reason(
    start: Start, artifact: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for file in artifact.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    (model / "model.onnx").write_bytes(b"other")
    server = start(model, ready=False)
    assert server.process.wait(timeout=40) == 1
    assert "'model.onnx' is not what the manifest vouches for" in server.events("cannot_start")[0]["reason"]


def test_a_model_whose_class_is_not_in_the_image_ends_the_program_with_its_import_path(
    start: Start, schema: Schema, tmp_path: Path
) -> None:
    (tmp_path / "custom.json").write_text('{"class_path": "no_such_module:Rules"}')
    seal(tmp_path, Manifest("custom", schema, {}, {"numpy": np.__version__}, "data", "code", 0, "a test"))
    server = start(tmp_path, ready=False)
    assert server.process.wait(timeout=40) == 1
    assert "'no_such_module' cannot be imported" in server.events("cannot_start")[0]["reason"]
    many = start(None, SAGEMAKER_MULTI_MODEL="true")
    refused = many.ask("POST", "/models", json.dumps({"model_name": "a", "url": str(tmp_path)}).encode())
    assert (refused.status, refused.json["error"]["code"]) == (400, "bad_model")
    assert "'no_such_module' cannot be imported" in refused.json["error"]["message"]


def test_a_misspelt_setting_ends_the_program_with_the_nearest_real_one(start: Start, artifact: Path) -> None:
    server = start(artifact, ready=False, SLIPWAY_SERVE_REDAKT="age", SAGEMAKER_BATCH="perhaps")
    assert server.process.wait(timeout=40) == 1
    reason = server.events("cannot_start")[0]["reason"]
    assert "Did you mean 'SLIPWAY_SERVE_REDACT'?" in reason
    assert "SAGEMAKER_BATCH='perhaps': expected true or false" in reason


def test_a_hook_that_is_not_there_ends_the_program_with_its_name(start: Start, artifact: Path) -> None:
    server = start(artifact, ready=False, SLIPWAY_SERVE_AFTER="json:nothing")
    assert server.process.wait(timeout=40) == 1
    assert "module 'json' has no function named 'nothing'" in server.events("cannot_start")[0]["reason"]


def test_settings_follow_the_environment_sagemaker_gives() -> None:
    settings = from_environment({"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "0"})
    assert (settings.port, str(settings.model)) == (8080, "/opt/ml/model")
    assert settings.workers == len(os.sched_getaffinity(0))
    assert settings.max_body == 100 * 1024 * 1024
    local = from_environment({"SAGEMAKER_BASE_DIR": "/tmp/x", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "2"})
    assert (local.host, str(local.models), local.max_body) == ("127.0.0.1", "/tmp/x/models", 2 * 1024 * 1024)
    with pytest.raises(SettingsError, match="expected a number of processes, at least 1"):
        from_environment({"SAGEMAKER_MODEL_SERVER_WORKERS": "0"})


def test_the_image_starts_this_very_program(start: Start, artifact: Path) -> None:
    text = (ROOT / "inference" / "Dockerfile").read_text()
    entry = json.loads(re.findall(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)[0])
    server = start(artifact, command=[*entry, "serve"])
    assert server.invoke(GOOD).status == 200
