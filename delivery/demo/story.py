"""The story, chapter by chapter: operators' own verbs, and each chapter ends when what it tells has happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from contract.records import Request
from contract.release import Release, Rollout
from delivery.demo.calendar import Calendar
from delivery.demo.customers import TOGETHER, Customers, Sample
from delivery.demo.telling import Telling
from delivery.demo.world import MODEL, World
from delivery.local import until
from delivery.platform import Platform
from delivery.registry import Version
from delivery.release import RefusedError
from delivery.runs import Pipeline, Step
from delivery.traffic import SETTLED
from monitoring.experiment.experiment import Experiment

MINUTE, TEN_MINUTES, HALF_AN_HOUR = timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=30)
TERMS = {
    "name": "spring",
    "metric": {"name": "accuracy", "kind": "rate", "base": 0.7, "minimum_effect": 0.02, "counts": "right"},
    "guardrails": [{"name": "errors", "kind": "errors", "tolerated": 1.5, "never": 3.0, "negligible": 0.05}],
    "look_hours": 24,
    "maturity_hours": 24,
    "minimum_looks": 3,
}
# How many customers, from which seed, how far from the first day's world.
SAMPLES: Mapping[str, tuple[int, int, float]] = {
    "winter": (4000, 7, 0.0),
    "today": (6000, 11, 0.0),
    "export": (4000, 8, 0.0),
    "spring": (8000, 9, 0.0),
    "later": (4000, 12, 1.0),
}
CANARY = Rollout("canary", percent=30, bake_seconds=2400)
LINEAR = Rollout("linear", percent=50, bake_seconds=600)
PATIENCE = 120.0  # real seconds until an update begins to bake


@dataclass
class Stage:
    """What the chapters play with: two people, a clock, customers and data."""

    world: World
    calendar: Calendar
    telling: Telling
    ana: Platform  # trains, and asks for what she trained to be released
    ben: Platform  # says yes or no
    drawn: dict[str, Future[Sample]] = field(default_factory=dict)

    # Data.

    def draw(self, pencil: Executor) -> None:
        """Have all data drawn, in the order they are asked for, while the platform comes up."""
        for name, (rows, seed, drift) in SAMPLES.items():
            place = self.world.root / "samples" / name / f"{name}.csv"
            self.drawn[name] = pencil.submit(Sample.draw, place, rows=rows, seed=seed, drift=drift)

    def sample(self, name: str) -> Sample:
        return self.drawn[name].result()

    # What people do, told as they do it.

    def train(self, data: Sample, family: str, reason: str) -> Version:
        told: dict[str, str] = {}

        def steps(seen: list[Step]) -> None:
            for step in seen:
                if step.status == "Succeeded" and step.name not in told:
                    told[step.name] = step.status

        version = self.ana.run(MODEL, data.path, family=family, reason=reason, steps=steps)
        self.telling.say(f"ana trains {family} on {len(data.rows):,} customers: {' → '.join(told)}")
        return version

    def approve(self, version: Version, note: str) -> None:
        bundle = self.ben.approve(MODEL, str(version.version), note=note)
        auc = bundle.evidence.metrics["auc"]
        self.telling.say(
            f"version {version.version} passes its gates (auc {auc.value:.3f}) and ben says yes: “{note}”; "
            f"evidence {bundle.hash[:12]} is sealed"
        )

    # Customers and time.

    def customers(self) -> Customers:
        """Those of today, whom no model has learned from."""
        return Customers(self.ana, MODEL, self.today)

    @cached_property
    def today(self) -> Sample:
        return self.sample("today")

    def asked(self, customers: Customers) -> str:
        return f"{TOGETHER * customers.asked:,}"

    @property
    def endpoint(self) -> Any:
        return self.ana.environment.endpoint(MODEL)

    def live(self, customers: Customers, until_: datetime, *, every: timedelta, requests: int) -> None:
        """Customers call, time passes."""
        self.calendar.play(until_, every, lambda _: customers.call(requests))

    def roll_out(self, ask: Callable[[], Release], customers: Customers, *, every: timedelta, requests: int) -> Release:
        """Ask for a release, and let customers call while it bakes; soon it is known how they turned out."""
        with ThreadPoolExecutor(1) as person:
            asked = person.submit(ask)
            until(lambda: asked.done() or self.baking(), PATIENCE)
            while not asked.done() and self.endpoint.live().status not in SETTLED:
                customers.call(requests)
                customers.turn_out()
                self.calendar.on(every)
            return asked.result()

    def baking(self) -> bool:
        return "Baking" in self.endpoint.live().stages

    # What the cloud says.

    def alarms(self) -> dict[str, str]:
        """What is wrong with the model now, with its reason; not what alarms remember for their own use."""
        here = self.ana.environment
        pages = (
            here.client("cloudwatch")
            .get_paginator("describe_alarms")
            .paginate(StateValue="ALARM", AlarmNamePrefix=f"{here.settings.names.of(MODEL)}-")
        )
        found = {each["AlarmName"]: each["StateReason"] for page in pages for each in page["MetricAlarms"]}
        found.pop(self.alarm("trained_lately"), None)
        return found

    def alarm(self, signal: str, variant: str | None = None) -> str:
        return self.ana.environment.settings.names.alarm(MODEL, signal, variant)

    def serving(self) -> int:
        return self.ana.release(MODEL).champion.package.version

    def judged(self) -> None:
        """The monitor's newest run must have succeeded."""
        newest = self.monitor.runs(most=1)[0]
        if newest.status != "Succeeded":
            steps = self.monitor.steps(newest)
            self.telling.expect(False, "the monitor judged the window", steps[-1].reason if steps else newest.reason)

    @property
    def monitor(self) -> Pipeline:
        here = self.ana.environment
        return Pipeline(here.sagemaker, here.settings.names.monitor_pipeline(MODEL), here.wait)

    def newest_run(self) -> str | None:
        runs = self.ana.pipeline(MODEL).runs(most=1)
        return runs[0].arn if runs else None

    def nightly_export(self, sample: Sample) -> None:
        """The newest customers, where the platform looks for data when nobody names any."""
        here = self.ana.environment
        here.s3.upload_file(str(sample.path), here.bucket("data"), f"{MODEL}/{sample.path.name}")


def comes_up(stage: Stage) -> None:
    stage.ana.up()
    told = stage.ana.environment.outputs
    stage.telling.say(
        f"buckets, keys, roles, registry, pipelines, schedules, topics and alarms of '{told.environment}' stand"
    )


def first_model(stage: Stage) -> None:
    winter = stage.sample("winter")
    winter = winter.mistold(stage.world.root / "samples" / "by-hand" / "winter.csv", 0.3)
    stage.telling.say("the first table was typed in by hand: three answers in ten are wrong")
    version = stage.train(winter, "logistic_regression", "a first model")
    with refusal(stage, "nobody approved it yet, so it is not deployed"):
        stage.ana.deploy(MODEL, str(version.version))
    with refusal(stage, "who trained it does not approve it"):
        stage.ana.approve(MODEL, str(version.version), note="looks good to me")
    stage.approve(version, "better than guessing")
    release = stage.ana.deploy(MODEL, str(version.version), rollout=Rollout("all-at-once"))
    stage.telling.expect(release.state == "steady", f"version {version.version} serves", release.state)
    answer = stage.ana.invoke(MODEL, Request(winter.asked(winter.rows[0]).encode(), "text/csv", "application/json"))
    stage.telling.quote(answer.answer.body.decode())


def quiet_evening(stage: Stage) -> None:
    customers = stage.customers()
    stage.calendar.to(stage.calendar.at(19))
    stage.live(customers, stage.calendar.at(20), every=TEN_MINUTES, requests=10)
    stage.telling.say(f"{stage.asked(customers)} customers were asked about; at eight the monitor judges the last hour")
    stage.calendar.on(MINUTE)
    stage.judged()
    stage.telling.expect(
        not stage.alarms(), "no alarm: today's customers are like those it learned from", stage.alarms()
    )


def bad_canary(stage: Stage) -> None:
    export = stage.sample("export")
    turned = export.mistold(stage.world.root / "samples" / "turned" / "export.csv", 1.0)
    stage.telling.say(
        "an upstream job now writes yes for no; training and test rows are wrong alike, so nobody notices"
    )
    version = stage.train(turned, "logistic_regression", "newer data")
    stage.approve(version, "the numbers look as good")
    good, customers = stage.serving(), stage.customers()
    stage.calendar.to(stage.calendar.at(19, days=1) + HALF_AN_HOUR)
    release = stage.roll_out(
        lambda: stage.ana.deploy(MODEL, str(version.version), rollout=CANARY), customers,
        every=timedelta(minutes=5), requests=10,
    )  # fmt: skip
    stage.telling.expect(release.state == "rolled_back", "an alarm took it back while it baked", release.state)
    stage.telling.quote(release.reason)
    stage.telling.expect(stage.serving() == good, f"version {good} serves again", stage.serving())


def week_of_two(stage: Stage) -> None:
    spring = stage.sample("spring")
    version = stage.train(spring, "hist_gradient_boosting", "another family, answers from the books")
    stage.approve(version, "promising: let customers decide")
    customers, terms = stage.customers(), Experiment.from_json(TERMS)
    stage.roll_out(
        lambda: stage.ana.start_experiment(MODEL, terms.name, str(version.version), 0.5, terms=terms), customers,
        every=TEN_MINUTES, requests=5,
    )  # fmt: skip
    for day in range(7):
        stage.calendar.to(stage.calendar.at(12, days=1))
        told = customers.turn_out()
        customers.call(100)
        stage.calendar.to(stage.calendar.at(20) + MINUTE)
        standing = stage.ana.experiment(MODEL)
        stage.telling.say(f"day {day + 1}: {told:,} customers turned out; the monitor's job says: {standing.decision}")
    stage.telling.quote(standing.reason)
    stage.telling.expect(standing.end == "promote", "the challenger is better, and it is certain", standing.decision)


def promoted(stage: Stage) -> None:
    def conclude() -> Release:
        ended = stage.ben.conclude_experiment(MODEL, CANARY)
        return ended if ended is not None else stage.ben.release(MODEL)

    release = stage.roll_out(conclude, stage.customers(), every=TEN_MINUTES, requests=5)
    stage.telling.expect(release.state == "steady", f"version {stage.serving()} is the champion", release.state)


def world_moves(stage: Stage) -> None:
    later = stage.sample("later")
    stage.nightly_export(later)
    before = stage.newest_run()
    customers = Customers(stage.ana, MODEL, later)
    stage.calendar.to(stage.calendar.at(19, days=2))  # a training of the week before has long cooled down
    stage.live(customers, stage.calendar.at(20), every=TEN_MINUTES, requests=10)
    stage.calendar.on(MINUTE)
    stage.judged()
    raised = stage.alarms()
    name = stage.alarm("drift", "champion")
    stage.telling.expect(name in raised, "the drift alarm is up", raised)
    stage.telling.quote(f"{name}: {raised.get(name, '')}")
    pipeline = stage.ana.pipeline(MODEL)
    run = stage.newest_run()
    stage.telling.expect(run is not None and run != before, "the alarm started a training by itself", run)
    if run is not None:
        pipeline.finish(pipeline.read(run))
    version = stage.ana.version(MODEL, "latest")
    stage.telling.say(f"version {version.version} is registered and waits for a person: {version.approval}")


def forward_and_back(stage: Stage) -> None:
    version = stage.ana.version(MODEL, "latest")
    stage.approve(version, "learned from this year's customers")
    before = stage.ana.release(MODEL).champion.package
    release = stage.roll_out(
        lambda: stage.ana.deploy(MODEL, str(version.version), rollout=LINEAR), stage.customers(),
        every=TEN_MINUTES, requests=5,
    )  # fmt: skip
    stage.telling.expect(release.state == "steady", f"version {version.version} serves", release.state)
    began = time.monotonic()
    release = stage.ben.rollback(MODEL, reason="the call centre asks for yesterday's lists")
    took = time.monotonic() - began
    stage.telling.expect(
        release.champion.package.artifact_hash == before.artifact_hash,
        f"one command took it back to version {before.version}, to the very same bytes",
        release.champion.package.artifact_hash,
    )
    stage.telling.say(f"{took:.1f} s, clearing up included")


def told_again(stage: Stage) -> None:
    events = stage.ben.why(MODEL)
    for event in events:
        decision = event.decision
        stage.telling.quote(f"{decision.at[:16]}  {decision.who:4} {decision.what}: {decision.why}")
    stage.telling.expect(events[0].decision.what == "rollback", "the ledger says why this version serves", events[:1])
    breaks = stage.ben.verify_ledger()
    stage.telling.expect(not breaks, "the ledger is whole: nobody changed a word of it", breaks)
    stage.telling.expect(stage.ben.preview().plan.is_empty, "a preview finds nothing to do")


CHAPTERS: tuple[tuple[str, str, Callable[[Stage], None]], ...] = (
    ("The platform comes up", "One program declares everything; the engine makes it so.", comes_up),
    ("A first model", "Trained, judged by gates, approved by a second person, deployed.", first_model),
    (
        "A quiet evening",
        "Customers call; every evening the monitor compares them with those it learned from.",
        quiet_evening,
    ),
    ("A bad model", "It passes every gate, and answers the wrong way round. The canary meets it first.", bad_canary),
    ("A week of two models", "Champion and challenger share the traffic until the difference is certain.", week_of_two),
    ("A new champion", "The winner takes over step by step.", promoted),
    ("The world moves", "Prices rise, devices are new: the monitor sees it before the complaints do.", world_moves),
    ("Forward, and back", "What was learned is released; one command undoes it.", forward_and_back),
    ("Why is it so?", "Every decision stands in a ledger that shows any edit.", told_again),
)


@contextmanager
def refusal(stage: Stage, what: str) -> Iterator[None]:
    """What is tried inside must be refused."""
    try:
        yield
    except RefusedError as problem:
        stage.telling.expect(True, what)
        stage.telling.quote(problem)
    else:
        stage.telling.expect(False, what, "it was done")


def play(stage: Stage) -> None:
    """The whole story."""
    with ThreadPoolExecutor(1) as pencil:
        stage.draw(pencil)
        for title, about, chapter in CHAPTERS:
            with stage.telling.chapter(title, about, stage.calendar.now()):
                chapter(stage)
