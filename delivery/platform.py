"""The verbs, as Python: what the command line offers, for notebooks, programs and CI.

>>> from slipway import Platform  # doctest: +SKIP
>>> platform = Platform("local")  # doctest: +SKIP
>>> platform.deploy("churn", version="latest")  # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from contract.records import Answer, Outcome, Request
from contract.release import CHALLENGER, Release, Rollout
from delivery import approval
from delivery.bundle import Bundle
from delivery.data import DataStore, version_of
from delivery.deployment import Deployment
from delivery.engine.engine import Preview
from delivery.environment import Environment
from delivery.ledger import Break, Event, explain
from delivery.registry import Version
from delivery.release import Deploy, Promote, StartExperiment, StartShadow, StopExperiment
from delivery.runs import Pipeline, Run, Step
from stacks.settings import ROOT

Tell = Callable[[str], None]
Steps = Callable[[list[Step]], None]


def silent(_: object) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Invoked:
    """An answer, and how long it took on the way."""

    answer: Answer
    milliseconds: float


class Platform:
    """One environment and everything that can be done with it."""

    def __init__(
        self, environment: str = "local", *, root: Path = ROOT, engine: str | None = None, tell: Tell = silent
    ) -> None:
        self.environment = Environment.open(environment, root)
        self.engine = engine
        self.tell = tell

    # The environment.

    def up(self) -> None:
        """Bring it to what its files say."""
        from delivery.engine.choose import engine

        console = Console(stderr=True, quiet=True)
        brought = engine(self.engine).up(self.environment.name, self.environment.root, console)
        self.environment.forget_outputs()
        for warning in brought.warnings:
            self.tell(warning)

    def preview(self) -> Preview:
        """What `up` would change and what that would cost; changes nothing."""
        from delivery.engine.choose import engine

        console = Console(stderr=True, quiet=True)
        return engine(self.engine).preview(self.environment.name, self.environment.root, console)

    # Data and runs.

    def data(self, model: str) -> DataStore:
        return DataStore(self.environment.s3, self.environment.bucket("data"), model)

    def pipeline(self, model: str) -> Pipeline:
        return Pipeline(
            self.environment.sagemaker, self.environment.model(model).training_pipeline, self.environment.wait
        )

    def run(
        self,
        model: str,
        data: Path | str,
        *,
        family: str | None = None,
        reason: str = "asked for",
        again: str = "",
        steps: Steps = silent,
        progress: Callable[[int], None] = silent,
    ) -> Version:
        """Train, judge on unseen rows and register; the same data and settings again is the same run."""
        uri, named = self.hand_over(model, data, progress)
        parameters = {"Data": uri, "Author": self.environment.who, "Reason": reason}
        if family is not None:
            parameters["Family"] = family
        pipeline = self.pipeline(model)
        run = pipeline.start(parameters, token_of(pipeline.name, parameters, again))
        pipeline.finish(run, steps)
        version = self.registered_by(model, run)
        self.environment.record(
            "run", model, reason, inputs={"data": named}, outputs={"package": version.arn, "run": run.arn}
        )
        return version

    def hand_over(self, model: str, data: Path | str, progress: Callable[[int], None]) -> tuple[str, str]:
        """Where the pipeline finds the data, and what they are called for ever after."""
        if isinstance(data, str) and data.startswith("s3://"):
            return data, data
        place = Path(data)
        version = version_of(place)
        return self.data(model).put(place, version, progress), version.hash

    def registered_by(self, model: str, run: Run) -> Version:
        """The version a run registered."""
        return next(each for each in self.versions(model) if each.metadata.get("execution") == run.id)

    def runs(self, model: str) -> list[Run]:
        return self.pipeline(model).runs()

    # Versions and their evidence.

    def versions(self, model: str) -> list[Version]:
        return self.environment.registry(model).versions()

    def version(self, model: str, wanted: str = "latest") -> Version:
        return self.environment.registry(model).pick(wanted)

    def gates(self, model: str, version: str = "latest") -> Bundle:
        """Judge a version and seal what came out."""
        return approval.judge_version(self.environment, model, self.version(model, version))

    def approve(self, model: str, version: str = "latest", *, note: str) -> Bundle:
        return approval.approve(self.environment, model, self.version(model, version), note)

    def reject(self, model: str, version: str, *, note: str) -> None:
        approval.reject(self.environment, model, self.version(model, version), note)

    # Releases.

    def deployment(self, model: str) -> Deployment:
        self.environment.model(model)
        return Deployment(self.environment, model, self.up, self.tell)

    def release(self, model: str) -> Release:
        return self.environment.releases.release(model)

    def deploy(self, model: str, version: str = "approved", *, rollout: Rollout | None = None) -> Release:
        package = approval.vouched(self.environment, model, self.version(model, version))
        return self.deployment(model).deploy(Deploy(package, rollout or Rollout(), self.least_instances(model)))

    def least_instances(self, model: str) -> int:
        scaling = self.environment.model_settings(model).serving.scaling
        return max(1, scaling.least) if scaling else 1

    def rollback(self, model: str, *, reason: str) -> Release:
        return self.deployment(model).rollback(reason)

    def scale(self, model: str, variant: str, instances: int) -> Release:
        return self.deployment(model).scale(variant, instances)

    def settle(self, model: str) -> Release | None:
        """Finish or explain whatever a command left half done."""
        with self.deployment(model).changing() as release:
            return release

    def shadow(self, model: str, version: str, share: float = 1.0) -> Release:
        package = approval.vouched(self.environment, model, self.version(model, version))
        return self.deployment(model).start_shadow(StartShadow(package, share))

    def stop_shadow(self, model: str) -> Release:
        return self.deployment(model).stop_shadow()

    # Experiments.

    def start_experiment(self, model: str, name: str, version: str, share: float) -> Release:
        package = approval.vouched(self.environment, model, self.version(model, version))
        return self.deployment(model).start_experiment(StartExperiment(name, package, share))

    def move(self, model: str, challenger_share: float) -> Release:
        """Give the challenger its share of the traffic, the champion the rest."""
        champion = self.release(model).champion.name
        return self.deployment(model).move({champion: round(1 - challenger_share, 6), CHALLENGER: challenger_share})

    def promote_challenger(self, model: str, rollout: Rollout | None = None) -> Release:
        return self.deployment(model).promote(Promote(rollout or Rollout()))

    def stop_experiment(self, model: str, *, reason: str) -> Release:
        return self.deployment(model).stop_experiment(StopExperiment(reason))

    # Asking it, and telling it the truth later.

    def invoke(self, model: str, request: Request) -> Invoked:
        from delivery.invocation import invoke

        answer, milliseconds = invoke(self.environment, model, request)
        return Invoked(answer, milliseconds)

    def put_outcomes(self, model: str, outcomes: list[Outcome]) -> str:
        from delivery.invocation import put_outcomes

        return put_outcomes(self.environment, model, outcomes)

    # Why it is as it is.

    def why(self, model: str) -> list[Event]:
        """What led to what serves now, newest first."""
        return explain(self.environment.ledger.events(), model)

    def verify_ledger(self) -> list[Break]:
        return self.environment.ledger.verify(self.environment.signer.public_key())


def token_of(pipeline: str, parameters: Mapping[str, str], again: str) -> str:
    """The same request has the same token, so that asking twice after a lost answer starts one run."""
    text = "\n".join([pipeline, again, *(f"{name}={value}" for name, value in sorted(parameters.items()))])
    return hashlib.sha256(text.encode()).hexdigest()
