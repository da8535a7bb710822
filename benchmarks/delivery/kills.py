"""Kill the command line at random moments of a release; the next command explains and finishes or undoes it.

    python -m benchmarks.delivery.kills [--kills 50] [--seed 7] [--write]

The command is the real one, on a ground without an engine; it deploys, rolls back, starts and stops an experiment in
turn. After each SIGKILL `slipway status` must end well, the release file must say what serves, no release may be left
under way, the ledger must be whole and its newest word must be the release that serves.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.delivery.ground import MODEL, ROOT, Cloud, Ground, cloud, machine
from benchmarks.delivery.tables import write
from contract.release import Release, Rollout
from delivery.deployment import identity

AT_ONCE = Rollout("all-at-once", bake_seconds=0)


@dataclass(frozen=True)
class Kill:
    """One command that was killed, when, and what the next one made of it."""

    words: str
    after: float
    ended_before: bool
    state: str
    said: str
    problems: tuple[str, ...]


def spawn(ground: Ground, *words: str) -> subprocess.Popen[str]:
    """The command line as a process group of its own."""
    command = [sys.executable, "-m", "benchmarks.delivery.slipway", ground.cloud.url, ground.environment.name]
    return subprocess.Popen(
        [*command, str(ground.environment.root), *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "SLIPWAY_WHO": "rehearsal"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finished(ground: Ground, *words: str) -> tuple[int, str]:
    process = spawn(ground, *words)
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


def next_words(release: Release, dice: random.Random) -> tuple[str, ...]:
    """A command that fits the state."""
    other = "2" if release.champion.package.version == 1 else "1"
    if release.state == "experiment":
        return dice.choice([("experiment", "stop", MODEL, "--reason", "enough"), ("rollback", MODEL)])
    deploy = ("deploy", MODEL, other, "--strategy", "all-at-once")
    choices: list[tuple[str, ...]] = [
        deploy,
        ("experiment", "start", MODEL, other, "--name", f"e{dice.randrange(10**6)}"),
    ]
    if release.previous is not None:
        choices.append(("rollback", MODEL))
    return dice.choice(choices)


def kill(ground: Ground, dice: random.Random, moments: tuple[float, float]) -> Kill:
    """Kill one command at a random moment, and look what the next makes of it."""
    words = next_words(ground.release(), dice)
    process, after = spawn(ground, *words), dice.uniform(*moments)
    try:
        process.wait(timeout=after)
        ended = True
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        ended = False
    process.communicate(timeout=60)
    code, said = finished(ground, "status", MODEL)
    found = () if code == 0 else (f"status ended with {code}: {said}",)
    return Kill(" ".join(words), after, ended, ground.release().state, said, (*found, *problems(ground)))


def problems(ground: Ground) -> list[str]:
    """What must hold after the next command, and does not."""
    release, environment = ground.release(), ground.environment
    found = []
    if release.state == "rolling":
        found.append("a release was left under way")
    wanted = environment.plan(MODEL, release).config_name
    if ground.serving() != wanted:
        found.append(f"the release file says {wanted}, the endpoint serves {ground.serving()}")
    if environment.last_told(MODEL).get("release") != identity(release):
        found.append("the ledger's newest word is another release")
    found += [each.says for each in environment.ledger.verify(environment.signer.public_key())]
    return found


def campaign(where: Cloud, root: Path, kills: int, seed: int) -> list[Kill]:
    ground = Ground.open(where, "kills", root).prepare()
    for number in (1, 2):
        ground.version(number)
    ground.platform().deploy(MODEL, "1", rollout=AT_ONCE)
    # Before half of what it takes to look at a release, a command has not begun to change one.
    moments = took(ground, "status", MODEL) / 2, took(ground, "deploy", MODEL, "2", "--strategy", "all-at-once")
    dice, done = random.Random(seed), list[Kill]()
    while sum(not each.ended_before for each in done) < kills:
        done.append(kill(ground, dice, moments))
    return done


def took(ground: Ground, *words: str) -> float:
    began = time.monotonic()
    finished(ground, *words)
    return time.monotonic() - began


def summary(kills: list[Kill], seed: int) -> str:
    ended = Counter(each.state for each in kills)
    explained = sum("resume" in each.said or "recorded now" in each.said or "bringing it up" in each.said or
                    "serving it" in each.said or "waiting for it" in each.said for each in kills)  # fmt: skip
    early = sum(each.ended_before for each in kills)
    lines = [
        "| kills | commands that ended before | next command explained what it found | problems | state afterwards |",
        "|---|---|---|---|---|",
        f"| {len(kills) - early} | {early} | {explained} "
        f"| {sum(bool(each.problems) for each in kills)} | "
        + ", ".join(f"{state} {count}" for state, count in sorted(ended.items()))
        + " |",
    ]
    return "\n".join(lines) + f"\n\nSeed {seed}; {machine()}."


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work, cloud(Path(work), clock="real") as where:
        kills = campaign(where, Path(work), args.kills, args.seed)
    text = summary(kills, args.seed)
    print(text)
    for each in kills:
        for problem in each.problems:
            print(f"{each.words} killed after {each.after:.2f} s: {problem}")
    if args.write:
        write("kills", text)
    return 1 if any(each.problems for each in kills) else 0


if __name__ == "__main__":
    sys.exit(main())
