"""Run the embedded AWS: `python -m localaws --port 0 --containers . --state .localaws`."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

from localaws.app import start
from localaws.plane import Settings, SettingsError


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    given = parser.parse_args(arguments)
    logging.basicConfig(level=given.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    work = Path(given.work or tempfile.mkdtemp(prefix="localaws-"))
    try:
        settings = Settings(
            containers=Path(given.containers).resolve(),
            work=work,
            state=Path(given.state).resolve() if given.state else None,
            host=given.host,
            port=given.port,
            clock=given.clock,
            interpreter=given.interpreter,
            backend=given.backend,
            behind=given.behind,
            enforce_iam=given.enforce_iam,
        )
    except SettingsError as error:
        parser.error(str(error))
    app = start(settings)
    gc.freeze()  # what is loaded by now stays: the collector need not walk through it again and again
    asked_to_stop = _listen_for(signal.SIGTERM, signal.SIGINT)
    print(app.url, flush=True)  # noqa: T201  what the program is asked for
    if given.ready_file:
        _announce(Path(given.ready_file), app.url)
    os.read(asked_to_stop, 1)
    app.stop()
    return 0


def _listen_for(*signals: signal.Signals) -> int:
    """A descriptor with a byte to read once one of them came.

    The kernel gives a signal to any thread. A main thread that waits for a lock would sleep on; a pipe wakes it.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for one in signals:
        signal.signal(one, lambda *_: None)
    return read


def _announce(path: Path, url: str) -> None:
    """Whole or absent: a reader never sees half of it."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
    part.rename(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m localaws", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one and prints it")
    parser.add_argument("--containers", default=".", help="folder that image names are found below")
    parser.add_argument("--state", help="folder to keep resources in; without it they live in memory")
    parser.add_argument("--work", help="scratch folder for jobs and models")
    parser.add_argument("--clock", default="real", help="real, scaled:FACTOR or stepped")
    parser.add_argument("--interpreter", help="Python to run containers with, instead of their own environments")
    parser.add_argument(
        "--backend", choices=["docker", "namespace", "process"], help="how containers run; without it the best there is"
    )
    parser.add_argument("--behind", help="URL of another AWS for what is not ours, instead of moto in this process")
    parser.add_argument("--enforce-iam", action="store_true", help="decide every call by the caller's policies")
    parser.add_argument("--ready-file", help="written with url and pid once it listens")
    parser.add_argument("--log-level", default="warning")
    return parser


if __name__ == "__main__":
    gc.set_threshold(20_000, 20, 20)  # resources are many small objects that stay
    sys.exit(main())
