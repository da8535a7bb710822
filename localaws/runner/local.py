"""The runner of this machine: an image's program through the best backend there is."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from localaws.ports import RunError, Running, RunSpec
from localaws.runner.backends import Backend, Command, choose_backend
from localaws.runner.environments import Environments, GivenInterpreter, LockedEnvironments
from localaws.runner.images import find_image
from localaws.runner.warden import Warden


class LocalRunner:
    """Starts containers on this machine; every one of them ends with this process.

    `interpreter` is one Python for all containers; without it each lock gets an environment of its own below
    `environments`. `backend` forces `docker`, `namespace` or `process`. Nothing is tried before it is needed.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        *,
        interpreter: Path | None = None,
        environments: Path | None = None,
        backend: str | None = None,
    ) -> None:
        self._roots = tuple(root.resolve() for root in roots)
        self._environments: Environments = (
            GivenInterpreter(interpreter)
            if interpreter is not None
            else LockedEnvironments(environments or Path.home() / ".cache" / "localaws" / "environments")
        )
        self._wanted = backend
        self._chosen: Backend | None = None
        self._warden: Warden | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def backend(self) -> Backend:
        with self._lock:
            if self._chosen is None:
                with tempfile.TemporaryDirectory() as scratch:
                    self._chosen = choose_backend(self._environments, self._wanted, Path(scratch))
            return self._chosen

    @property
    def warden(self) -> Warden:
        with self._lock:
            if self._closed:
                raise RunError("Nothing is started any more: the runner is closed.")
            if self._warden is not None and self._warden.lost:
                self._warden.close()
                self._warden = None
            if self._warden is None:
                self._warden = Warden()
            return self._warden

    def run(self, spec: RunSpec) -> Running:
        command = self.backend.command(spec, find_image(spec.image, self._roots))
        return self.warden.start(spec.name, command)

    def program(self, name: str, argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> Running:
        return self.warden.start(name, Command(tuple(argv), environment, folder))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._warden is not None:
                self._warden.close()
