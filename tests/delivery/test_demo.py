"""The demo's parts; the story itself is played by `make demo` and by the story tests."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from delivery.demo import sealed
from delivery.demo.sealed import SealError

ROOT = Path(__file__).resolve().parents[2]
NEEDS_SEAL = pytest.mark.skipif(not sealed.can_seal(), reason="this machine allows no private network namespace")


def sealed_off(program: str) -> subprocess.CompletedProcess[str]:
    begin = "from delivery.demo import sealed; sealed.raise_loopback()\n"
    command = sealed.within([sys.executable, "-c", begin + program])
    return subprocess.run(command, capture_output=True, text=True, check=False)


@NEEDS_SEAL
def test_what_is_sealed_off_reaches_itself_and_nobody_else_and_every_attempt_is_counted() -> None:
    ran = sealed_off("""
import socket
print(sealed.evidence(sealed=True).attempts, sealed.interfaces())
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
print(sealed.attempts())
for address in (("192.0.2.1", 443), ("198.51.100.7", 53)):
    try:
        socket.create_connection(address, timeout=1)
    except OSError as problem:
        print(problem.errno)
print(sealed.attempts())
try:
    sealed.evidence(sealed=True)
except sealed.SealError as problem:
    print(problem)
""")
    assert ran.stdout.splitlines()[:5] == ["0 ['lo']", "0", "101", "101", "2"], ran.stderr
    assert "2 attempts to reach another machine" in ran.stdout


@NEEDS_SEAL
def test_a_datagram_that_wants_out_is_counted_too_in_either_protocol() -> None:
    ran = sealed_off("""
import socket
for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
    try:
        socket.socket(family, socket.SOCK_DGRAM).connect((address, 53))
    except OSError:
        pass
print(sealed.attempts())
""")
    assert ran.stdout.split() == ["2"], ran.stderr


@NEEDS_SEAL
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_ends_the_command_ends_what_plays_sealed_off(how: signal.Signals) -> None:
    plays = "import time; print('plays', flush=True); time.sleep(600)"
    starts = f"import sys; from delivery.demo import sealed; sealed.run([sys.executable, '-c', {plays!r}])"
    with subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "plays\n"
        started.send_signal(how)
        started.wait(60)
        assert started.stdout.read() == "", "it ends when the last process that could write to it has ended"


def test_a_machine_with_other_interfaces_is_not_called_sealed() -> None:
    if sealed.interfaces() == ["lo"]:
        pytest.skip("this machine has only a loopback")
    with pytest.raises(SealError, match="not sealed off"):
        sealed.evidence(sealed=True)
    assert "nothing is claimed" in sealed.evidence(sealed=False).says
