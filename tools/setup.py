"""Make the virtual environments this repository runs in, from the hash-locked requirements.

    python3 tools/setup.py            the development environment (.venv)
    python3 tools/setup.py NAME ...   an environment of its own for one lock (.venvs/NAME), for example `train`
    python3 tools/setup.py --with torch    add an optional lock to the development environment

Repeating it costs nothing: an environment is stamped with the hash of what it was made from.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
OLDEST_PYTHON = (3, 11)
UV = "uv==0.13.8"


class SetupError(Exception):
    """Setting up cannot go on; the text says why and what to do."""


def check_python(version: tuple[int, int] = (sys.version_info[0], sys.version_info[1])) -> None:
    if version < OLDEST_PYTHON:
        given, wanted = (".".join(map(str, v)) for v in (version, OLDEST_PYTHON))
        raise SetupError(
            f"Python {given} is too old: Slipway needs {wanted} or newer, because its locks were made for it.\n"
            f"Install Python {wanted} (your system's packages, pyenv or uv), then: make setup PYTHON=python{wanted}"
        )


def stamp_of(locks: list[Path]) -> str:
    digest = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    for lock in locks:
        digest.update(lock.read_bytes())
    return digest.hexdigest()


def run(step: str, command: list[str]) -> None:
    """Run one step, its progress on the terminal; a failure names the step and the usual causes."""
    print(f"  {step} ...", flush=True)
    started = time.monotonic()
    environment = os.environ.copy()
    # uv does not read pip's settings: pass on where pip was told to look for more wheels.
    for ours, pips in (("UV_FIND_LINKS", "PIP_FIND_LINKS"), ("UV_DEFAULT_INDEX", "PIP_INDEX_URL")):
        if pips in environment:
            environment.setdefault(ours, environment[pips])
    environment.pop("VIRTUAL_ENV", None)
    result = subprocess.run(command, env=environment, check=False)
    if result.returncode != 0:
        raise SetupError(
            f"The step '{step}' failed (exit {result.returncode}); what it printed is above.\n"
            "If it could not connect: check the network, or point PIP_INDEX_URL at a package index you can reach.\n"
            "If a hash did not match: the index served another file than the one locked; do not go on, ask why.\n"
            "Nothing is half done: run `make setup` again and it continues."
        )
    print(f"  {step}: {time.monotonic() - started:.0f} s", flush=True)


def find_uv() -> list[str]:
    """The installer: uv on PATH in the pinned version, else a private copy made with pip."""
    found = shutil.which("uv")
    if found is not None:
        answer = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        if answer.split()[1:2] == [UV.partition("==")[2]]:
            return [found]
    private = ROOT / ".venvs" / "uv"
    if not (private / "bin" / "uv").exists():
        private.parent.mkdir(exist_ok=True)
        run("making a place for the installer", [sys.executable, "-m", "venv", str(private)])
        run("fetching the installer", [str(private / "bin" / "pip"), "install", "--quiet", "--progress-bar=on", UV])
    return [str(private / "bin" / "uv")]


def make(environment: Path, locks: list[Path], *, editable: bool) -> None:
    """Bring one environment to exactly what its locks say, unless its stamp says it is there already."""
    stamp = environment / ".slipway-stamp"
    wanted = stamp_of([*locks, ROOT / "pyproject.toml", *sorted(ROOT.glob("*/_*.c"))] if editable else locks)
    if stamp.exists() and stamp.read_text() == wanted:
        print(f"  {environment.relative_to(ROOT)} is up to date")
        return
    uv = find_uv()
    python = str(environment / "bin" / "python")
    if not Path(python).exists():
        run(
            f"making {environment.relative_to(ROOT)}",
            [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)],
        )
    names = [str(lock) for lock in locks]
    run(
        f"installing {len(locks)} lock(s), hashes checked",
        [*uv, "pip", "sync", "--compile-bytecode", "--require-hashes", "--python", python, *names],
    )
    if editable:
        command = [
            *uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            python,
            "--no-deps",
            "--no-build-isolation",
            "--editable",
            str(ROOT),
        ]
        run("installing slipway itself", command)
    stamp.write_text(wanted)


def compile_ours(environment: Path) -> None:
    """Containers and commands are short programs that may write no bytecode: what is compiled now, all of them read."""
    packages = sorted(str(path.parent) for path in ROOT.glob("*/__init__.py"))
    if packages:
        subprocess.run([str(environment / "bin" / "python"), "-m", "compileall", "-q", *packages], check=False)


def lock_named(name: str) -> Path:
    lock = LOCKS / f"{name}.txt"
    if not lock.exists():
        known = ", ".join(sorted(path.stem for path in LOCKS.glob("*.txt")))
        raise SetupError(f"There is no lock named '{name}'. Known: {known}.")
    return lock


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", help="locks to give an environment of their own; none: the development environment"
    )
    parser.add_argument(
        "--with", dest="extras", action="append", default=[], metavar="NAME", help="an optional lock to add"
    )
    options = parser.parse_args()
    try:
        check_python()
        if options.names:
            for name in options.names:
                make(ROOT / ".venvs" / name, [lock_named(name)], editable=False)
        else:
            make(ROOT / ".venv", [lock_named(name) for name in ["dev", *options.extras]], editable=True)
            compile_ours(ROOT / ".venv")
    except SetupError as error:
        print(f"\nsetup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: stopped; run it again and it continues", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
