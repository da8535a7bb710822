"""Play the demo many times in a row; print how long each took and what failed; optionally kill some on the way.

    python benchmarks/delivery/demos.py [--times 20] [--kills 0] [--seed 0] [--write]

`--kills N` ends N further plays with SIGKILL at random moments before the counted ones, and looks for processes that
outlived them. `--write` puts the figures into docs/benchmarks.md. Wall clock on this machine, with its load said.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from stacks.settings import ROOT

SLIPWAY = [sys.executable, "-m", "delivery.cli", "demo", "--json"]
FOLDER = ROOT / ".slipway" / "demo"
PAGE = ROOT / "docs" / "benchmarks.md"
PLACE = re.compile(r"(<!-- demo: begin -->\n).*(<!-- demo: end -->)", re.DOTALL)


@dataclass(frozen=True)
class Play:
    """One demo: whether it ended green, how long it took, what it said of sockets or of its failure."""

    green: bool
    seconds: float
    said: str


def play() -> Play:
    began = time.monotonic()
    ran = subprocess.run(SLIPWAY, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if ran.returncode != 0:
        kept = Path(tempfile.mkdtemp(prefix="slipway-demo-"))
        shutil.copytree(FOLDER, kept, dirs_exist_ok=True, symlinks=True, ignore_dangling_symlinks=True)
        (kept / "said.txt").write_text(ran.stderr)
        return Play(False, seconds, f"what it said and left: {kept}")
    return Play(True, seconds, json.loads(ran.stdout)["sockets"]["says"])


def kill(after: float) -> list[str]:
    """A play ended with SIGKILL; the command lines of what outlived it."""
    process = subprocess.Popen(SLIPWAY, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 10
    while (left := processes_of(FOLDER)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


def processes_of(folder: Path) -> list[str]:
    """Every process that works in the demo's folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in command or str(folder) in str((place / "cwd").readlink()):
                found.append(command)
        except OSError:
            continue
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    given = parser.parse_args()
    moments = random.Random(given.seed)
    outlived = 0
    for number in range(given.kills):
        after = moments.uniform(1, 150)
        left = kill(after)
        outlived += bool(left)
        print(f"kill {number + 1}: after {after:.0f} s; left: {', '.join(left) or 'nothing'}", flush=True)
    plays = []
    for number in range(given.times):
        plays.append(play())
        last = plays[-1]
        word = "green" if last.green else "FAILED"
        print(
            f"play {number + 1}: {word}, {last.seconds:.0f} s, load {os.getloadavg()[0]:.1f}; {last.said}", flush=True
        )
    text = summary(plays, given.kills, outlived)
    print(text)
    if given.write:
        PAGE.write_text(PLACE.sub(lambda found: f"{found[1]}{text}\n{found[2]}", PAGE.read_text()))
    return 0 if all(each.green for each in plays) and not outlived else 1


def summary(plays: list[Play], kills: int, outlived: int) -> str:
    times = [each.seconds for each in plays]
    row = [len(plays), sum(each.green for each in plays), f"{min(times):.0f}", f"{statistics.median(times):.0f}",
           f"{max(times):.0f}", kills, outlived, plays[-1].said]  # fmt: skip
    heads = ["plays", "green", "fastest s", "median s", "slowest s", "killed before", "outlived a kill", "sockets"]
    lines = [heads, ["---"] * len(heads), row]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
