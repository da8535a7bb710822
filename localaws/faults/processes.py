"""The containers' processes by name, so that one can be killed on purpose."""

import fnmatch
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from localaws.ports import Runner, Running, RunSpec


class Processes:
    """A runner that remembers what it started, around the one that starts it."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._running: dict[str, Running] = {}
        self._lock = threading.Lock()

    def run(self, spec: RunSpec) -> Running:
        return self._remembered(spec.name, self._runner.run(spec))

    def program(self, name: str, argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> Running:
        return self._remembered(name, self._runner.program(name, argv, environment, folder))

    def _remembered(self, name: str, running: Running) -> Running:
        with self._lock:
            self._forget_ended()
            self._running[name] = running
        return running

    def names(self) -> list[str]:
        """What runs now."""
        with self._lock:
            self._forget_ended()
            return sorted(self._running)

    def kill(self, pattern: str, count: int = 1) -> list[str]:
        """Kill the first processes whose names are like `pattern`, as a lost machine would; tell which."""
        with self._lock:
            self._forget_ended()
            chosen = [name for name in sorted(self._running) if fnmatch.fnmatchcase(name, pattern)][:count]
            for name in chosen:
                os.kill(self._running[name].pid, signal.SIGKILL)
            return chosen

    def _forget_ended(self) -> None:
        for name in [name for name, running in self._running.items() if running.wait(0) is not None]:
            del self._running[name]
