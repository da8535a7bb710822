"""Turns a container into a command line: with docker, in a private mount namespace, or as a plain process."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from localaws.ports import RunError, RunSpec
from localaws.runner.environments import Environments
from localaws.runner.images import Image

# Binds the work folder on the real /opt/ml inside a mount namespace. Where this machine has no /opt/ml, /opt is rebuilt
# from its own entries plus `ml`. The death signal is set again last:
# entering a user namespace clears it.
NAMESPACE = """
set -e
work=$1; shift
if [ -d /opt/ml ]; then mount --bind "$work" /opt/ml
else
  stage=$(mktemp -d)
  mount -t tmpfs localaws "$stage"
  for entry in /opt/* /opt/.[!.]*; do
    name=${entry#/opt/}
    if [ -L "$entry" ]; then cp -P "$entry" "$stage/$name"
    elif [ -d "$entry" ]; then mkdir "$stage/$name"; mount --rbind "$entry" "$stage/$name"
    elif [ -e "$entry" ]; then : > "$stage/$name"; mount --bind "$entry" "$stage/$name"
    fi
  done
  mkdir "$stage/ml"
  mount --bind "$work" "$stage/ml"
  mount --rbind "$stage" /opt
  umount -l "$stage"
  rmdir "$stage"
fi
if [ "$LOCALAWS_NETWORK" = none ]; then ip link set lo up 2>/dev/null || true; fi
cd "$PWD"
exec setpriv --pdeathsig KILL "$@"
"""


# How many threads libraries may take is this machine's to say, whatever runs on it; an image or a request may say more.
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


@dataclass(frozen=True)
class Command:
    """What the guardian starts, and what it runs once the program is gone."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path
    cleanup: tuple[str, ...] = ()
    base: str = "/opt/ml"


class Backend(Protocol):
    """One way to run an image."""

    @property
    def name(self) -> str: ...

    def command(self, spec: RunSpec, image: Image) -> Command: ...


class PlainProcess:
    """The program as an ordinary process; it finds its folder through SAGEMAKER_BASE_DIR."""

    name = "process"

    def __init__(self, environments: Environments) -> None:
        self._environments = environments

    def command(self, spec: RunSpec, image: Image) -> Command:
        python = self._environments.python(image.lock)
        environment = {
            "PATH": f"{python.parent}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(spec.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(image.context),
            **{name: os.environ[name] for name in POOLS if name in os.environ},
            **image.environment(),
            **spec.environment,
            "SAGEMAKER_BASE_DIR": str(spec.folder),
        }
        if spec.port is not None:
            environment["SAGEMAKER_BIND_TO_PORT"] = str(spec.port)
        words = _with_python(_words(spec, image), python)
        return Command(words, environment, image.context, base=str(spec.folder))


class MountNamespace:
    """The program in a mount namespace of its own, where its work folder is the real /opt/ml."""

    name = "namespace"

    def __init__(self, environments: Environments) -> None:
        self._plain = PlainProcess(environments)

    def command(self, spec: RunSpec, image: Image) -> Command:
        plain = self._plain.command(spec, image)
        environment = {**plain.environment, "HOME": "/opt/ml"}
        del environment["SAGEMAKER_BASE_DIR"]
        # A serving container must stay reachable from the router, so only jobs can lose their network.
        alone = spec.isolated and spec.port is None
        if alone:
            environment["LOCALAWS_NETWORK"] = "none"
        flags = "-Urmn" if alone else "-Urm"
        argv = ("unshare", flags, "/bin/sh", "-c", NAMESPACE, "localaws", str(spec.folder), *plain.argv)
        return Command(argv, environment, plain.cwd)


class Docker:
    """The real image in a container engine; built from its folder when the engine does not have it."""

    name = "docker"

    def __init__(self, program: str = "docker") -> None:
        self._docker = program

    def command(self, spec: RunSpec, image: Image) -> Command:
        self._build(spec.image, image)
        name = f"localaws-{uuid.uuid4().hex[:12]}"
        argv = [self._docker, "run", "--rm", "--name", name, "--volume", f"{spec.folder}:/opt/ml"]
        for key, value in spec.environment.items():
            argv += ["--env", f"{key}={value}"]
        if spec.port is not None:
            argv += ["--publish", f"127.0.0.1:{spec.port}:8080"]
        else:
            argv += ["--network", "none" if spec.isolated else "host"]
        arguments = spec.arguments
        if spec.entrypoint:
            argv += ["--entrypoint", spec.entrypoint[0]]
            arguments = (*spec.entrypoint[1:], *arguments)
        argv += [spec.image, *arguments]
        environment = {key: os.environ[key] for key in ("PATH", "HOME", "DOCKER_HOST") if key in os.environ}
        return Command(tuple(argv), environment, image.context, (self._docker, "rm", "--force", name))

    def _build(self, uri: str, image: Image) -> None:
        if _succeeds([self._docker, "image", "inspect", uri]):
            return
        command = [self._docker, "build", "--quiet", "--tag", uri, "--file", str(image.dockerfile), str(image.context)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise RunError(f"The image '{uri}' could not be built: '{' '.join(command)}': {result.stderr[-2000:]}")


def choose_backend(environments: Environments, wanted: str | None, scratch: Path) -> Backend:
    """The backend asked for, else the best one this machine can run."""
    backends: dict[str, Backend] = {
        "docker": Docker(),
        "namespace": MountNamespace(environments),
        "process": PlainProcess(environments),
    }
    if wanted is not None and wanted not in backends:
        raise RunError(f"There is no runner backend '{wanted}'. Known: {', '.join(backends)}.")
    works = {"docker": docker_answers, "namespace": lambda: namespaces_work(scratch), "process": lambda: True}
    if wanted is None:
        return next(backends[name] for name in backends if works[name]())
    if not works[wanted]():
        raise RunError(
            f"The runner backend '{wanted}' does not work here: "
            + ("no container engine answers." if wanted == "docker" else "private mount namespaces are not allowed.")
            + " Start without --backend to take the best one that does."
        )
    return backends[wanted]


def docker_answers() -> bool:
    return shutil.which("docker") is not None and _succeeds(["docker", "version", "--format", "{{.Server.Version}}"])


def namespaces_work(scratch: Path) -> bool:
    """Try it once: an unprivileged user may or may not be allowed to, whatever is installed."""
    if not all(shutil.which(program) for program in ("unshare", "setpriv", "mount")):
        return False
    probe = ["unshare", "-Urm", "/bin/sh", "-c", NAMESPACE, "localaws", str(scratch), "test", "-d", "/opt/ml"]
    return _succeeds(probe)


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _words(spec: RunSpec, image: Image) -> tuple[str, ...]:
    if spec.entrypoint:
        words = (*spec.entrypoint, *spec.arguments)
    else:
        words = (*image.entrypoint(), *(spec.arguments or image.command()))
    if not words:
        raise RunError(f"{image.dockerfile} has neither ENTRYPOINT nor CMD, and no arguments were given.")
    return words


def _with_python(words: tuple[str, ...], python: Path) -> tuple[str, ...]:
    return (str(python), *words[1:]) if words[0] in {"python", "python3"} else words
