"""An environment as delivery works with it: settings, cloud, what it told when it was brought up, records."""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from contract.places import experiment_prefix
from contract.platform import ModelOutputs, PlatformOutputs
from contract.records import nearest
from contract.release import Release
from delivery.engine.cloud import Cloud, reach
from delivery.ledger import Decision, Ledger
from delivery.local import clock_of
from delivery.registry import Registry
from delivery.releases import ReleaseFile
from delivery.signing import KmsSigner
from delivery.traffic import Endpoint, Moved, read_moves
from infra.serving import Plan
from stacks.forms import plan_of
from stacks.settings import ROOT, ModelSettings, Settings, load

WHO = "SLIPWAY_WHO"
MOVE = "move"  # the input of a decision that names where a move of the monitor's job is written
LOOK_SECONDS = {"aws": 10.0, "embedded": 0.25}


class NotUpError(Exception):
    """An environment is not up, or lacks what was asked for; the text says what to run."""


@dataclass(frozen=True)
class Environment:
    """One environment, ready to be worked with."""

    name: str
    root: Path
    settings: Settings
    cloud: Cloud

    @classmethod
    def open(cls, name: str, root: Path = ROOT) -> Environment:
        settings = load(name, root)
        return cls(name, root, settings, reach(settings, root))

    # What it is made of.

    @cached_property
    def outputs(self) -> PlatformOutputs:
        """What the platform told when it was last brought up, read without any engine."""
        parameter = self.settings.names.parameter("platform")
        try:
            found = self.client("ssm").get_parameter(Name=parameter)
        except ClientError as problem:
            if problem.response["Error"]["Code"] != "ParameterNotFound":
                raise
            raise NotUpError(
                f"environment '{self.name}' is not up: it has no parameter {parameter}. Run `slipway up {self.name}`."
            ) from None
        return PlatformOutputs.from_json(json.loads(found["Parameter"]["Value"]))

    def forget_outputs(self) -> None:
        """It was brought up: what it tells may have changed."""
        self.__dict__.pop("outputs", None)

    def client(self, service: str) -> Any:
        """A client of the environment's cloud."""
        return self.cloud.client(service)

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    @cached_property
    def sagemaker(self) -> Any:
        return self.client("sagemaker")

    def model(self, name: str) -> ModelOutputs:
        """What was declared for a model, or an error with the nearest name there is."""
        models = self.outputs.models
        if name not in models:
            known = ", ".join(sorted(models)) or "none"
            raise NotUpError(
                f"environment '{self.name}' has no model '{name}'.{nearest(name, list(models))} Models: {known}. "
                f"docs/howto/add-a-model.md says how to add one."
            )
        return models[name]

    def model_settings(self, name: str) -> ModelSettings:
        self.model(name)
        return self.settings.models[name]

    def bucket(self, purpose: str) -> str:
        return self.outputs.buckets[purpose]

    # What it keeps.

    @property
    def releases(self) -> ReleaseFile:
        return ReleaseFile.of(self.name, self.root)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.s3, self.bucket("evidence"), self.name)

    @property
    def signer(self) -> KmsSigner:
        return KmsSigner(self.client("kms"), self.settings.names.evidence_key_alias)

    def registry(self, model: str) -> Registry:
        return Registry(self.sagemaker, self.model(model).package_group)

    def endpoint(self, model: str) -> Endpoint:
        return Endpoint(self.sagemaker, self.settings.names.endpoint(model), self.wait)

    def plan(self, model: str, release: Release) -> Plan:
        """The names behind an endpoint when it serves a release."""
        return plan_of(self.settings, model, release)

    # Who, when, and how long to wait between looks.

    @cached_property
    def who(self) -> str:
        """Who says that the decision is theirs: the name given, the caller of AWS, or the person at this machine."""
        return os.environ.get(WHO) or self.caller or getpass.getuser()

    @cached_property
    def caller(self) -> str:
        """Who AWS knows that it is, whatever name was given; empty on the embedded AWS, where everybody is one."""
        if not self.tells_callers_apart:
            return ""
        return self.client("sts").get_caller_identity()["Arn"]

    @property
    def tells_callers_apart(self) -> bool:
        """Whether different people come with credentials of their own."""
        return self.cloud.url is None

    def now(self) -> datetime:
        """The environment's own time: the embedded AWS may run fast."""
        if self.cloud.url is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(clock_of(self.cloud.url).json()["epoch"], UTC)

    @property
    def wait(self) -> Callable[[], None]:
        seconds = LOOK_SECONDS[self.settings.cloud]
        return lambda: time.sleep(seconds)

    def last_told(self, model: str) -> Mapping[str, Any]:
        """What the ledger last said of a model's release; nothing when its newest events do not."""
        newest = (each.decision for each in self.ledger.newest())
        return next((each.outputs for each in newest if each.model == model and "release" in each.outputs), {})

    def untold_moves(self, model: str, experiment: str) -> list[Moved]:
        """The moves of traffic that the monitor's job made for an experiment and the ledger does not tell yet."""
        prefix = experiment_prefix(self.settings.names.endpoint(model), experiment)
        told = {each.decision.inputs.get(MOVE) for each in self.ledger.events(model)}
        moves = read_moves(self.s3, self.bucket("artifacts"), prefix, experiment)
        return [each for each in moves if each.place not in told]

    def record(self, what: str, model: str, why: str, *, who: str | None = None, **facts: Any) -> None:
        """Write a decision into the ledger; it is the caller's own unless it says whose."""
        decision = Decision(
            at=self.now().isoformat(timespec="seconds"),
            who=who or self.who,
            what=what,
            why=why,
            model=model,
            inputs=facts.get("inputs", {}),
            outputs=facts.get("outputs", {}),
            caller=self.caller,
        )
        self.ledger.append(decision, self.signer)
