"""A small real model, and the real serving program around it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.places import FAST_FORM, TREE_FORM
from contract.records import Column, Manifest, Schema
from families.artifact import seal
from families.discovery import find
from families.family import Table, TreeEnsemble

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = Schema(
    (
        Column("age", "number", minimum=18, maximum=90, missing=True),
        Column("calls", "integer", minimum=0, maximum=9),
        Column("active", "boolean"),
        Column("plan", "category", levels=("basic", "gold, with extras", "pro")),
        Column("city", "category", levels=tuple(f"city-{at}" for at in range(50)), missing=True),
    ),
    "churned",
    "classification",
    ("no", "yes"),
)
Row = tuple[Any, ...]
ROWS: list[Row] = [
    (33.5, 2, True, "gold, with extras", "city-7"),
    (61.25, 0, False, "basic", "city-49"),
    (None, 9, True, "never seen", None),
    (18.0, 1, False, "pro", "city-0"),
]


def fit(folder: Path, schema: Schema, seed: int = 3) -> Manifest:
    """Fit histogram gradient boosting on a small made-up table and write its artifact."""
    rng = np.random.default_rng(seed)
    rows = np.column_stack(
        [
            rng.uniform(18, 90, 400),
            rng.integers(0, 10, 400),
            rng.integers(0, 2, 400),
            rng.integers(0, 3, 400),
            rng.integers(0, 50, 400),
        ]
    ).astype(np.float64)
    rows[rng.random(400) < 0.1, 0] = np.nan
    score = rows[:, 1] - 4 + 2 * rows[:, 2] - rows[:, 3] + rng.normal(0, 1, 400)
    target = (score > 0).astype(np.float64) if schema.task == "classification" else score
    family = find("hist_gradient_boosting")
    model = family.fit(Table(schema, rows, target), {**defaults(family), **family.quick}, seed=seed)
    folder.mkdir(parents=True)
    model.save(folder)
    form = model.fast_form()
    assert form is not None
    (folder / FAST_FORM).write_bytes(form)
    assert isinstance(model, TreeEnsemble)
    (folder / TREE_FORM).write_bytes(model.tree_form())
    return seal(folder, Manifest(family.name, schema, {}, {}, "data", "code", seed, "a test"))


def defaults(family: Any) -> dict[str, Any]:
    return {each.name: each.default for each in family.hyperparameters}


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact") / "model"
    fit(folder, SCHEMA)
    return folder


@pytest.fixture(scope="session")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regression") / "model"
    fit(folder, Schema(SCHEMA.columns, "score", "regression"))
    return folder


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """The serving program, running."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    base: Path
    workers: int = 1
    sent: list[bytes] = field(default_factory=list)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, {key.lower(): value for key, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def invoke(self, body: bytes | str, content_type: str = "text/csv", accept: str = "", **headers: str) -> Reply:
        given = {"Content-Type": content_type} | ({"Accept": accept} if accept else {})
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", "/invocations", body.encode() if isinstance(body, str) else body, given)

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def wait_for(self, name: str, fits: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The first event of that name that fits, as soon as the log has it."""
        found = wait_until(lambda: next(filter(fits, self.events(name)), None), f"event '{name}'")
        assert isinstance(found, dict)
        return found

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """The first true answer of the condition, asked again and again for a bounded time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.01)
    pytest.fail(f"{what} did not come within {seconds} s")


Start = Callable[..., Server]


def launch(base: Path, log: Path, command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("SLIPWAY_", "SAGEMAKER_"))}
    variables |= {
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # `python` of an entry point
        "SAGEMAKER_BASE_DIR": str(base),
        "SAGEMAKER_BIND_TO_PORT": "0",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        "SLIPWAY_SERVE_QUIET_SECONDS": "0.2",
    }
    with log.open("wb") as out:
        return subprocess.Popen(
            command, cwd=ROOT, env=variables | dict(environment), stdout=out, stderr=subprocess.STDOUT
        )


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start the serving program on a model's folder with more environment; ended with the module's tests."""
    running: list[Server] = []

    def begin(model: Path | None, ready: bool = True, command: list[str] | None = None, **environment: str) -> Server:
        base = tmp_path_factory.mktemp("base")
        if model is not None:
            (base / "model").symlink_to(model)
        log = base / "log"
        command = command or [sys.executable, "-m", "inference", "serve"]
        process = launch(base, log, command, environment)
        server = Server(process, 0, log, base, int(environment.get("SAGEMAKER_MODEL_SERVER_WORKERS", "1")))
        running.append(server)
        if ready:
            server.port = server.wait_for("listening")["port"]
            wait_until(lambda: _is_healthy(server), "a healthy ping")
        return server

    yield begin
    for server in running:
        server.stop()


def _is_healthy(server: Server) -> bool:
    assert server.process.poll() is None, server.log.read_text()
    try:
        return server.ask("GET", "/ping").status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def server(start: Start, artifact: Path) -> Server:
    return start(artifact)


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    return ROWS


@pytest.fixture(scope="session")
def schema() -> Schema:
    return SCHEMA
