"""Carry out what a release decides: the file first, then the cloud, then the truth back into the file.

The release file is the intent. Whatever happens between writing it and reaching the endpoint (a kill, a lost answer, a
rollback by alarm), `settle` compares the two, finishes what was begun, and says what it found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from botocore.exceptions import ClientError

from contract.release import Release
from delivery.environment import Environment
from delivery.guards import aim, deployment_config
from delivery.release import (
    Command,
    Deploy,
    FailRollout,
    FinishRollout,
    MoveTraffic,
    Promote,
    RefusedError,
    Rollback,
    Scale,
    StartExperiment,
    StartShadow,
    StopExperiment,
    StopShadow,
    decide,
    verb,
)
from delivery.traffic import Live, with_live
from infra.names import content_hash
from infra.serving import guard_names

Up = Callable[[], None]
Tell = Callable[[str], None]


class DeploymentError(Exception):
    """A release could not be carried out; the text says what serves now and what to do."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The release of one model in one environment, and the engine's `up` that makes it so."""

    environment: Environment
    model: str
    up: Up
    tell: Tell

    # What people ask for. Each returns the release that serves afterwards.

    def deploy(self, command: Deploy) -> Release:
        return self.carry_out(command, {"evidence": command.package.evidence})

    def start_experiment(self, command: StartExperiment) -> Release:
        return self.carry_out(command, {"evidence": command.package.evidence})

    def promote(self, command: Promote) -> Release:
        return self.carry_out(command, {})

    def stop_experiment(self, command: StopExperiment) -> Release:
        return self.carry_out(command, {})

    def start_shadow(self, command: StartShadow) -> Release:
        return self.carry_out(command, {"evidence": command.package.evidence})

    def stop_shadow(self) -> Release:
        return self.carry_out(StopShadow(), {})

    def move(self, weights: Mapping[str, float]) -> Release:
        """Shift live traffic; no new configuration."""
        with self.changing() as before:
            after = decide(before, MoveTraffic(weights))
            self.endpoint.move(weights)
            return self.keep(after, MoveTraffic(weights), {})

    def scale(self, variant: str, instances: int) -> Release:
        """Change a live variant's instances; no new configuration."""
        with self.changing() as before:
            after = decide(before, Scale(variant, instances))
            self.endpoint.scale(variant, instances)
            return self.keep(after, Scale(variant, instances), {})

    def rollback(self, reason: str) -> Release:
        """Go back at once, to a configuration that is kept for this; the registry is not asked."""
        with self.environment.releases.changing():
            after = self.go_back(decide(self.release(), Rollback(reason)))
            self.keep(after, Rollback(reason), {})
        return self.tidy(after)

    # How it is carried out.

    @property
    def endpoint(self):  # noqa: ANN201 - the edge to SageMaker, typed where it is defined
        return self.environment.endpoint(self.model)

    def release(self) -> Release | None:
        return self.environment.releases.read().models.get(self.model)

    @contextmanager
    def changing(self) -> Iterator[Release | None]:
        """The settled release, its live weights and counts in it, held against other commands."""
        with self.environment.releases.changing():
            release = self.release()
            if release is not None:
                release = self.settle(release)
            yield release

    def carry_out(self, command: Command, inputs: Mapping[str, str]) -> Release:
        with self.changing() as before:
            return self.settle(self.keep(decide(before, command), command, inputs))

    def keep(self, release: Release, command: Command, inputs: Mapping[str, str]) -> Release:
        """Write the decision: into the ledger, then into the file."""
        why = getattr(command, "reason", "") or release.reason
        before = self.release()
        came_from = {"before": identity(before)} if before else {}
        self.environment.record(
            verb(command), self.model, why, inputs={**inputs, **came_from}, outputs={"release": identity(release)}
        )
        self.environment.releases.put(self.model, release)
        return release

    def settle(self, release: Release) -> Release:
        """Bring file and endpoint together, whatever happened in between."""
        wanted = self.environment.plan(self.model, release).config_name
        live = self.reach(release, wanted)
        if live.config != wanted:
            return self.fallen_back(release, live, wanted)
        release = with_live(release, live)
        if release.state == "rolling":
            return self.keep(decide(release, FinishRollout()), FinishRollout(), {})
        self.environment.releases.put(self.model, release)
        return release

    def reach(self, release: Release, wanted: str) -> Live:
        """Wait for a change that is under way; where none leads to the release, bring the environment up once."""
        live = self.live()
        if live is not None and not live.settled:
            self.tell(f"a change to {live.pending_config or live.config} is under way; waiting for it")
            live = self.endpoint.settle()
        if live is None or live.config != wanted:
            self.tell(f"{self.model} is to be {release.state} with {wanted}: bringing it up")
            self.up()
            live = self.endpoint.settle()
        return live

    def fallen_back(self, release: Release, live: Live, wanted: str) -> Release:
        """The endpoint went back by itself: the file follows it, and the operator is told."""
        if release.state != "rolling" or release.previous is None:
            raise DeploymentError(
                f"endpoint of {self.model} serves {live.config} ({live.status}), the release wants {wanted}: "
                f"{live.reason or 'no reason was given'}. Look at its logs, then run the command again."
            )
        reason = live.reason or "the endpoint went back by itself"
        self.tell(f"rolled back by itself: {reason}")
        after = self.keep(decide(with_live(release, live), FailRollout(reason)), FailRollout(reason), {})
        return self.tidy(after)

    def go_back(self, after: Release) -> Release:
        """Serve the kept configuration of a release; during a rollout, raise the rollout's own alarm instead."""
        live = self.live()
        if live is None:
            raise RefusedError(f"{self.model} has no endpoint to roll back: `slipway up`. Nothing was changed.")
        wanted = self.environment.plan(self.model, after).config_name
        if not live.settled:
            self.raise_guard(after)
            live = self.endpoint.settle()
        if live.config == wanted:
            return after
        if not self.config_exists(wanted):
            raise DeploymentError(f"configuration {wanted} is not there any more: deploy the earlier version again.")
        after = dataclasses.replace(after, rollout=dataclasses.replace(after.rollout, strategy="all-at-once"))
        names = self.guards(after)
        aim(self.environment.client("cloudwatch"), names, wanted)
        self.endpoint.serve_config(wanted, deployment_config(after.rollout, names))
        return after

    def guards(self, release: Release) -> list[str]:
        return guard_names(self.environment.settings.names, self.model, release.rollout)

    def raise_guard(self, release: Release) -> None:
        """SageMaker rolls a deployment back when one of its alarms fires: an operator's word is as good as a metric."""
        self.environment.client("cloudwatch").set_alarm_state(
            AlarmName=self.guards(release)[0], StateValue="ALARM", StateReason=f"rolled back by {self.environment.who}"
        )

    def tidy(self, release: Release) -> Release:
        """Take away what the old release needed; serving does not wait for this, nor fail with it."""
        try:
            self.up()
        except Exception as problem:  # noqa: BLE001 - what serves is already right; whatever broke is told
            self.tell(
                f"serving is right; clearing up failed ({problem}). Run `slipway up {self.environment.name}` later."
            )
        return release

    def live(self) -> Live | None:
        try:
            return self.endpoint.live()
        except ClientError as problem:
            if "Could not find endpoint" in problem.response["Error"].get("Message", ""):
                return None
            raise

    def config_exists(self, name: str) -> bool:
        try:
            self.environment.sagemaker.describe_endpoint_config(EndpointConfigName=name)
        except ClientError as problem:
            if "Could not find endpoint configuration" in problem.response["Error"].get("Message", ""):
                return False
            raise
        return True


def identity(release: Release) -> str:
    """What a release is called in the ledger: its content without what moves while it serves."""
    document = release.to_json()
    for variant in document["variants"]:
        del variant["weight"], variant["instances"]
    return content_hash(document)
