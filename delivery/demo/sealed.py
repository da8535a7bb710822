"""Proof that nothing left this machine: the demo plays in a network namespace that has the loopback and nothing else.

What tries to leave finds no route, and the kernel counts it, whatever language it is written in: a play whose count
moved has failed. The same namespace ends every process of a play that is killed.
"""

from __future__ import annotations

import fcntl
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# `unshare` heeds no SIGTERM while it waits; it ends with whoever started it, and what it started ends with it.
UNSHARE = (
    "setpriv", "--pdeathsig", "KILL",
    "unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip
SET_FLAGS, UP = 0x8914, 0x1  # SIOCSIFFLAGS, IFF_UP
COUNTERS = Path("/proc/net")


class SealError(Exception):
    """Something tried to leave this machine, or the seal is not whole."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of sockets that lead out of this machine."""

    sealed: bool
    attempts: int = 0

    @property
    def says(self) -> str:
        if not self.sealed:
            return "not sealed: this machine allows no private network namespace, so nothing is claimed about sockets"
        return f"sealed off: no interface but the loopback, and the kernel counted {self.attempts} attempts to leave"


def can_seal() -> bool:
    """Try it: whether a user may depends on the machine, whatever is installed."""
    if sys.platform != "linux" or not (shutil.which("unshare") and shutil.which("setpriv")):
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


def within(command: Sequence[str]) -> list[str]:
    """The command, sealed off."""
    return [*UNSHARE, *command]


def run(command: Sequence[str]) -> int:
    """Run it sealed off, until it ends or this process does; Ctrl-C is left to the command, which tidies up."""
    with subprocess.Popen(within(command)) as running:
        signal.signal(signal.SIGINT, lambda *_: None)
        code = running.wait()
    return code if code >= 0 else 128 - code


def raise_loopback() -> None:
    """A new namespace has a loopback that is down."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sH22x", b"lo", UP))


def interfaces() -> list[str]:
    return sorted(name for _, name in socket.if_nameindex())


def attempts(counters: Path = COUNTERS) -> int:
    """How often anything in this namespace wanted to go where no route leads, since the namespace was made."""
    lines = (counters / "snmp").read_text().splitlines()
    heads, values = ([line.split() for line in lines if line.startswith("Ip:")])[:2]
    found = int(values[heads.index("OutNoRoutes")])
    newer = counters / "snmp6"
    if newer.exists():
        named = dict(line.split() for line in newer.read_text().splitlines())
        found += int(named.get("Ip6OutNoRoutes", 0))
    return found


def evidence(*, sealed: bool) -> Evidence:
    """Look; a seal that is not whole, or that somebody knocked at, is an error."""
    if not sealed:
        return Evidence(sealed=False)
    if interfaces() != ["lo"]:
        raise SealError(f"expected the loopback alone, found {', '.join(interfaces())}: the play was not sealed off")
    tried = attempts()
    if tried:
        raise SealError(f"{tried} attempts to reach another machine; the demo must not need any. Look at its log.")
    return Evidence(sealed=True, attempts=tried)
