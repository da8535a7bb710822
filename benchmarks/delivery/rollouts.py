"""Rollouts of bad and of healthy versions, many at a time, each on an endpoint of its own under traffic.

    python -m benchmarks.delivery.rollouts [--bad 200] [--healthy 200] [--at-once 10] [--seed 7] [--write]

Every rollout is a real `Deployment.deploy` under the guards of a release: a canary of ten percent, alarms on errors,
latency, prediction drift and known outcomes. The serving processes, the router, the metrics and the alarms are real;
the clock stands, and is moved on a minute whenever a minute's requests have been answered. What callers were exposed to
is counted on the answers they got.
"""

from __future__ import annotations

import argparse
import http.client
import math
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.delivery.ground import FAULTS, MODEL, Cloud, Ground, cloud, machine, rollout, rows
from benchmarks.delivery.tables import write
from contract.release import Release, Rollout
from delivery.release import Deploy
from delivery.traffic import SETTLED
from monitoring.cli import Outside
from monitoring.cli import main as monitor
from monitoring.commands.canary import under_way

MINUTE = 60.0
REQUESTS = 60  # to each endpoint in each minute
ROWS = 5  # in each request
SIGNED = "AWS4-HMAC-SHA256 Credential=123456789012/20260101/eu-west-1/sagemaker/aws4_request, Signature=0"
LONGEST = 40  # minutes that a rollout may take before it counts as stuck
SURELY = 4.0  # standard deviations: what chance alone does not do once in 30,000 rollouts


class Pulse:
    """Lets those who wait for the standing clock look again whenever it was moved."""

    def __init__(self) -> None:
        self.moved = threading.Condition()

    def wait(self) -> None:
        with self.moved:
            self.moved.wait(timeout=0.5)

    def beat(self) -> None:
        with self.moved:
            self.moved.notify_all()


@dataclass
class Callers:
    """Applications that ask one endpoint, and note which version answered."""

    ground: Ground
    dice: np.random.Generator
    seen: Counter[str] = field(default_factory=Counter)
    moved: float = 0.0
    """How far what they ask is from what the baseline knows."""

    def ask(self, count: int) -> None:
        host, _, port = self.ground.cloud.url.rpartition("//")[2].partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=120)
        path = f"/endpoints/{self.ground.endpoint}/invocations"
        for _ in range(count):
            body = "".join(f"{a},{b}\n" for a, b in rows(self.dice, ROWS) + self.moved)
            connection.request("POST", path, body.encode(), {"Content-Type": "text/csv", "Authorization": SIGNED})
            answer = connection.getresponse()
            answer.read()
            said = answer.headers.get("X-Amzn-SageMaker-Custom-Attributes", "")
            self.seen[said.removeprefix("version=") if answer.status == 200 else "failed"] += 1
        connection.close()


@dataclass
class Trial:
    """One rollout under way, and what came of it."""

    ground: Ground
    number: int
    fault: str
    policy: Rollout
    callers: Callers
    minutes: int = 0
    release: Release | None = None
    problem: Exception | None = None
    true: bool = False
    """Whether the release file says what serves, in the end."""
    told: list[str] = field(default_factory=list)
    thread: threading.Thread | None = None

    def begin(self) -> None:
        package = self.ground.version(self.number, self.fault)

        def deploy() -> None:
            try:
                self.release = self.ground.deployment(self.told.append).deploy(Deploy(package, self.policy))
            except Exception as problem:  # noqa: BLE001 - it is reported with the trial
                self.problem = problem

        self.thread = threading.Thread(target=deploy, name=f"deploy {self.ground.environment.name}", daemon=True)
        self.thread.start()

    def traffic(self, requests: int) -> None:
        """A minute of it."""
        self.callers.ask(requests)
        self.minutes += 1

    @property
    def over(self) -> bool:
        return self.thread is not None and not self.thread.is_alive()

    @property
    def under_way(self) -> bool:
        return "PendingDeploymentSummary" in self.ground.seen()

    @property
    def began(self) -> bool:
        """Whether the endpoint has been told, or the attempt is over already."""
        return self.over or self.ground.seen().get("EndpointStatus", "InService") != "InService"

    @property
    def at_rest(self) -> bool:
        """Whether the endpoint waits for nothing: the clock need not go on until the command has seen it."""
        seen = self.ground.seen()
        return not seen or seen["EndpointStatus"] in SETTLED

    @property
    def rolled_back(self) -> bool:
        return self.release is not None and self.release.state == "rolled_back"

    @property
    def as_expected(self) -> bool:
        return self.true and self.problem is None and self.rolled_back == (self.fault != "none")

    @property
    def exposed(self) -> int:
        """Answers of the new version, and failures: the old version has none."""
        return self.callers.seen[str(self.number)] + self.callers.seen["failed"]

    @property
    def asked(self) -> int:
        return sum(self.callers.seen.values())


def judge(ground: Ground) -> None:
    """What the monitor's job does while a rollout is under way, in this process."""
    environment = {
        "SLIPWAY_MODEL": MODEL,
        "sagemaker_endpoint_name": ground.endpoint,
        "SLIPWAY_CAPTURE_URI": f"s3://{ground.bucket('capture')}/capture/{ground.endpoint}/",
        "SLIPWAY_OUTCOMES_URI": f"s3://{ground.bucket('outcomes')}/outcomes/{ground.endpoint}/",
        "SLIPWAY_BASELINES_URI": f"s3://{ground.bucket('artifacts')}/baselines/{MODEL}/",
    }
    outside = Outside(
        environment=environment,
        now=ground.environment.now,
        s3=lambda: ground.client("s3"),
        cloudwatch=lambda: ground.client("cloudwatch"),
        sagemaker=lambda: ground.client("sagemaker"),
        say=lambda _: None,
    )
    output = f"s3://{ground.bucket('artifacts')}/windows/{ground.endpoint}"
    for command in under_way(environment, output, outside):
        code = monitor(command, outside)
        if code:
            raise RuntimeError(f"the monitor ended with {code}: {' '.join(command)}")


@dataclass
class Field:
    """Endpoints side by side on one embedded AWS, and the clock they share."""

    cloud: Cloud
    grounds: list[Ground]
    pulse: Pulse
    dice: np.random.Generator
    numbers: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, where: Cloud, count: int, root: Path, seed: int) -> Field:
        pulse = Pulse()
        grounds = [Ground.open(where, f"e{number:02d}", root, pulse.wait).prepare() for number in range(count)]
        made = cls(where, grounds, pulse, np.random.default_rng(seed))
        first = [made.trial(ground, "none", Rollout("all-at-once")) for ground in grounds]
        made.play(first, requests=0)
        for each in first:
            assert each.release is not None, each.problem
        return made

    def trial(self, ground: Ground, fault: str, policy: Rollout) -> Trial:
        self.numbers[ground.endpoint] += 1
        number = self.numbers[ground.endpoint]
        callers = Callers(ground, np.random.default_rng(self.dice.integers(2**32)))
        return Trial(ground, number, fault, policy, callers)

    def move(self, seconds: float) -> None:
        self.cloud.advance(seconds)
        self.pulse.beat()

    def play(self, trials: Sequence[Trial], requests: int = REQUESTS) -> None:
        """All of them together, minute by minute, until each has ended."""
        with ThreadPoolExecutor(max(1, len(trials))) as hands:
            list(hands.map(Trial.begin, trials))
            wait_until(lambda: all(each.began for each in trials))
            self.cloud.clock(settle=True, patience=240)
            for minute in range(LONGEST):
                running = [each for each in trials if not each.over]
                if not running:
                    break
                self.minute(running, requests, hands, judging=bool(requests and minute % 2))
        stuck = [each.ground.environment.name for each in trials if not each.over]
        if stuck:
            raise RuntimeError(f"rollouts that did not end within {LONGEST} minutes of the clock: {', '.join(stuck)}")
        for each in trials:
            each.true = each.ground.environment.plan(MODEL, each.ground.release()).config_name == each.ground.serving()

    def minute(self, running: Sequence[Trial], requests: int, hands: ThreadPoolExecutor, *, judging: bool) -> None:
        """A minute's requests, a minute of the clock, and now and then the monitor."""
        serving = [each for each in running if each.under_way]
        if requests:
            list(hands.map(Trial.traffic, serving, [requests] * len(serving)))
        self.move(MINUTE / 2)  # capture is written meanwhile
        if judging:
            list(hands.map(judge, [each.ground for each in serving if each.under_way]))
        self.move(MINUTE / 2)
        wait_until(lambda: all(each.over or not each.at_rest for each in running))


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """A bounded look at what other threads are about to have done."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)


def campaign(faults: Iterable[str], at_once: int, seed: int, tell: Callable[[str], None]) -> list[Trial]:
    """One rollout per fault, as many at once as there are endpoints."""
    asked, done = list(faults), list[Trial]()
    with tempfile.TemporaryDirectory() as work, cloud(Path(work)) as where:
        ground = Field.of(where, at_once, Path(work), seed)
        for start in range(0, len(asked), at_once):
            some = asked[start : start + at_once]
            trials = [ground.trial(each, fault, rollout()) for each, fault in zip(ground.grounds, some, strict=False)]
            ground.play(trials)
            done += trials
            tell(f"{len(done)} of {len(asked)}")
    return done


def spread(bad: int, healthy: int) -> list[str]:
    """Kinds one after the other, slow starts together: each of those waits a real minute."""
    kinds = [each for each in FAULTS if each not in ("none", "slow start")]
    slow = bad // 5
    return ["slow start"] * slow + [kinds[number % 4] for number in range(bad - slow)] + ["none"] * healthy


def beyond(trials: Sequence[Trial], share: float) -> int:
    """Rollouts in which callers met the new version more often than the canary's share and chance explain."""
    return sum(
        each.exposed > share * each.asked + SURELY * math.sqrt(share * (1 - share) * each.asked) + 1
        for each in trials
        if each.asked
    )


def summary(trials: Sequence[Trial], seed: int, took: float) -> str:
    """The table of docs/benchmarks.md."""
    share = rollout().percent / 100
    heads = ("version", "rollouts", "rolled back", "release file true", "requests", "met the new version before",
             "rollouts beyond the canary's share", "failed requests", "minutes until back")  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for fault in FAULTS:
        some = [each for each in trials if each.fault == fault]
        if not some:
            continue
        asked, exposed = sum(each.asked for each in some), sum(each.exposed for each in some)
        back = [each.minutes for each in some if each.rolled_back]
        healthy = fault == "none"
        lines.append(
            f"| {'healthy' if healthy else fault} | {len(some)} | {sum(each.rolled_back for each in some)} "
            f"| {sum(each.true for each in some)} | {asked:,} "
            f"| {'' if healthy else f'{100 * exposed / max(asked, 1):.1f} %'} "
            f"| {'' if healthy else beyond(some, share)} | {sum(each.callers.seen['failed'] for each in some):,} "
            f"| {f'{np.mean(back):.1f}' if back else ''} |"
        )
    return "\n".join(lines) + f"\n\nSeed {seed}; {took:.0f} s, {machine()}."


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bad", type=int, default=200, help="rollouts of versions that must be rolled back")
    parser.add_argument("--healthy", type=int, default=200, help="rollouts of versions that must not")
    parser.add_argument("--at-once", type=int, default=10, help="endpoints side by side")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    args = parser.parse_args(given)
    began = time.monotonic()
    trials = campaign(spread(args.bad, args.healthy), args.at_once, args.seed, lambda text: print(text, flush=True))
    text = summary(trials, args.seed, time.monotonic() - began)
    print(text)
    for each in trials:
        if not each.as_expected:
            why = each.release.reason if each.release else repr(each.problem)
            print(f"{each.ground.environment.name} {each.number} {each.fault}: {why}")
    if args.write:
        write("rollouts", text)
    return (
        0
        if all(each.as_expected for each in trials)
        and not beyond([each for each in trials if each.fault != "none"], rollout().percent / 100)
        else 1
    )


if __name__ == "__main__":
    sys.exit(main())
