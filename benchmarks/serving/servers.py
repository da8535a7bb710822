"""The servers of the benchmark: how each is installed, started and asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = ROOT / ".venvs" / "peers"
PIPELINE = ("scikit-learn==1.9.1", "pandas==3.1.1", "joblib==1.6.0")


class UnavailableError(Exception):
    """A server cannot be measured here; the text says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server: its environment, the command that starts it on a port, and its paths."""

    name: str
    command: Callable[[Path, Path, int], list[str]]
    packages: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    ping: str = "/ping"
    content_type: str = "text/csv"
    header: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        return not self.packages

    def install(self) -> Path:
        """The folder of programs of this server's own environment, made if it is not there."""
        for program in self.needs:
            if shutil.which(program) is None:
                raise UnavailableError(f"{program} is not installed")
        if self.is_ours:
            return Path(sys.executable).parent
        environment = ENVIRONMENTS / self.name.split()[0].lower()
        wanted = "\n".join((*PIPELINE, *self.packages))
        stamp = environment / "installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            _run(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)])
            python = str(environment / "bin" / "python")
            _run(["uv", "pip", "install", "--quiet", "--python", python, *PIPELINE, *self.packages])
            stamp.write_text(wanted)
        return environment / "bin"


def _run(command: list[str], **environment: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    if done.returncode:
        raise UnavailableError(f"it cannot be installed: {done.stderr.strip()[-300:]}")


def _ours(programs: Path, folder: Path, port: int) -> list[str]:
    del folder, port
    return [str(programs / "python"), "-m", "inference", "serve"]


def _empty(programs: Path, folder: Path, port: int) -> list[str]:
    del folder
    return [str(programs / "python"), str(Path(__file__).parent / "empty.py"), str(port)]


def _plain(programs: Path, folder: Path, port: int) -> list[str]:
    del folder
    return [str(programs / "uvicorn"), "plain:app", "--port", str(port), "--no-access-log", "--log-level", "warning"]


def _aws(programs: Path, folder: Path, port: int) -> list[str]:
    """Nginx in front of gunicorn with gevent workers over a Unix socket, as the container's own start script does."""
    socket = folder / "gunicorn.sock"
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(port=port, socket=socket, folder=folder))
    script = folder / "aws.sh"
    gunicorn = f"{programs}/gunicorn --timeout 60 -k gevent -b unix:{socket} -w 1 flask_app:app"
    script.write_text(f"#!/bin/sh\nnginx -c {settings} &\nexec {gunicorn}\n")
    script.chmod(0o755)
    return [str(script)]


def _mlflow(programs: Path, folder: Path, port: int) -> list[str]:
    if not (folder / "mlflow").exists():
        _run([str(programs / "python"), str(PEERS / "train.py"), "mlflow"], BENCHMARK_FOLDER=str(folder))
    command = [str(programs / "mlflow"), "models", "serve", "-m", str(folder / "mlflow"), "-p", str(port)]
    return [*command, "--env-manager", "local", "--workers", "1"]


def _mlserver(programs: Path, folder: Path, port: int) -> list[str]:
    place = folder / "mlserver"
    place.mkdir(exist_ok=True)
    ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    (place / "settings.json").write_text(json.dumps(ports | {"host": "127.0.0.1", "parallel_workers": 0}))
    (place / "model-settings.json").write_text(json.dumps({"name": "churn", "implementation": "runtime.Churn"}))
    return [str(programs / "mlserver"), "start", str(place)]


def _bento(programs: Path, folder: Path, port: int) -> list[str]:
    del folder
    return [str(programs / "bentoml"), "serve", "bento:Churn", "--port", str(port), "--host", "127.0.0.1"]


def _lit(programs: Path, folder: Path, port: int) -> list[str]:
    del folder
    return [str(programs / "python"), str(PEERS / "lit.py"), str(port)]


NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null crit;
events {{ worker_connections 2048; }}
http {{
  access_log off; client_max_body_size 20m;
  client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-f; uwsgi_temp_path {folder}/nginx-u; scgi_temp_path {folder}/nginx-s;
  upstream gunicorn {{ server unix:{socket}; }}
  server {{
    listen 127.0.0.1:{port}; keepalive_timeout 3;
    location / {{ proxy_set_header Host $http_host; proxy_read_timeout 60s; proxy_pass http://gunicorn; }}
  }}
}}
"""

OURS = Server("Slipway", _ours)
EMPTY = Server("an empty answer on Slipway's HTTP", _empty)
PEER_SERVERS = (
    Server(
        "AWS scikit-learn stack",
        _aws,
        ("flask==3.1.3", "gunicorn==27.0.1", "gevent==26.9.0", "packaging==26.3"),
        ("nginx",),
    ),
    Server("MLflow models serve", _mlflow, ("mlflow==3.17.2",), header=True),
    Server("MLServer", _mlserver, ("mlserver==1.7.1",), ping="/v2/health/ready"),
    Server("BentoML", _bento, ("bentoml==1.4.39",), ping="/readyz", content_type="text/plain"),
    Server("LitServe", _lit, ("litserve==0.2.19",), ping="/health"),
    Server(
        "FastAPI with pandas", _plain, ("fastapi==0.165.0", "uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0")
    ),
)
