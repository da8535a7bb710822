"""One virtual environment per lock, keyed by the lock's content, made once for all servers of this machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from localaws.ports import RunError


class Environments(Protocol):
    """Gives the interpreter for a lock."""

    def python(self, lock: Path | None) -> Path: ...


class GivenInterpreter:
    """One interpreter for every container; it must have what their locks name."""

    def __init__(self, interpreter: Path) -> None:
        self._interpreter = interpreter

    def python(self, lock: Path | None) -> Path:
        del lock
        return self._interpreter


class LockedEnvironments:
    """Makes `<folder>/<hash>` from a lock the first time it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def python(self, lock: Path | None) -> Path:
        if lock is None:
            return Path(sys.executable)
        if not lock.exists():
            raise RunError(f"The Dockerfile installs from {lock.name}, but {lock} does not exist.")
        place = self._folder / environment_key(lock)
        python, stamp = place / "bin" / "python", place / ".complete"
        if not stamp.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            with place.with_suffix(".lock").open("w") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX)
                if not stamp.exists():
                    _make(place, lock)
                    stamp.touch()
        return python


def environment_key(lock: Path) -> str:
    digest = hashlib.sha256(f"{sys.version_info[:3]} {sys.platform}".encode())
    digest.update(lock.read_bytes())
    return f"{lock.stem}-{digest.hexdigest()[:16]}"


def _make(place: Path, lock: Path) -> None:
    uv = shutil.which("uv")
    python = str(place / "bin" / "python")
    if uv:
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)], lock)
        sync = [uv, "pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes"]  # else each start compiles anew
        _run([*sync, "--python", python, str(lock)], lock)
    else:
        _run([sys.executable, "-m", "venv", "--clear", str(place)], lock)
        _run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)], lock)


def _run(command: list[str], lock: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    # uv does not read pip's settings: pass on where pip was told to look for wheels.
    for ours, pips in (("UV_FIND_LINKS", "PIP_FIND_LINKS"), ("UV_DEFAULT_INDEX", "PIP_INDEX_URL")):
        if pips in environment:
            environment.setdefault(ours, environment[pips])
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RunError(
            f"The environment for {lock} could not be made: '{' '.join(command)}' ended with {result.returncode}: "
            f"{(result.stderr or result.stdout).strip()[-2000:]}\n"
            "Check the network or PIP_INDEX_URL, or start with --interpreter and a Python that has these packages."
        )
