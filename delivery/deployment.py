"""Carry out what a release decides: the file first, then the cloud, then the truth back into the file.

The release file is the intent. Whatever happens between writing it and reaching the endpoint (a kill, a lost answer, a
rollback by alarm), `settle` compares the two, finishes what was begun, and says what it found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contract.release import Release
from delivery.engine.errors import EngineError
from delivery.environment import MOVE, Environment
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
from delivery.traffic import Live, leading_to, shares, with_live
from infra.names import content_hash
from infra.serving import guard_names

if TYPE_CHECKING:
    from delivery.engine.engine import Preview  # with an engine's libraries behind it: too slow for every verb

SERVES = "serves"  # the output of a decision that says which variants serve by it
GOING_BACK = "RollingBack"  # an endpoint's status; engines wait for others only
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

    def promote(self, command: Promote, inputs: Mapping[str, str] | None = None) -> Release:
        return self.carry_out(command, inputs or {})

    def stop_experiment(self, command: StopExperiment, inputs: Mapping[str, str] | None = None) -> Release:
        return self.carry_out(command, inputs or {})

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
        """Go back at once, to a configuration that is kept for this; neither registry nor engine is asked.

        The intent stands in the file before the endpoint moves, the evidence follows it: a kill in between is finished
        and recorded by the next command.
        """
        with self.environment.releases.changing():
            before = self.release()
            after = decide(before, Rollback(reason))
            live = self.must_live()
            self.environment.releases.put(self.model, after)
            after = self.go_back(after, live)
            self.environment.releases.put(self.model, after)
            if before is not None:
                self.account(before, with_live(before, live))
            self.record(after, verb(Rollback), reason, {"before": identity(before)} if before else {})
        return self.tidy(after) if before is not None and before.state == "experiment" else after

    def ahead(self, command: Command, engine: str | None) -> Preview:
        """What carrying a command out would change, and what that would cost; nothing is written."""
        from rich.console import Console

        from delivery.engine.choose import engine as chosen
        from delivery.foresight import as_if

        here = self.environment
        intended = decide(self.release(), command)
        with as_if(here.name, here.root, self.model, intended) as checkout:
            return chosen(engine).preview(here.name, checkout, Console(stderr=True, quiet=True))

    # How it is carried out.

    @property
    def endpoint(self):  # noqa: ANN201 - the edge to SageMaker, typed where it is defined
        return self.environment.endpoint(self.model)

    def release(self) -> Release | None:
        return self.environment.releases.read().models.get(self.model)

    @contextmanager
    def changing(self, command: Command | None = None) -> Iterator[Release | None]:
        """The settled release, its live weights and counts in it, held against other commands.

        A first deployment that never served is not tried once more before another takes its place.
        """
        with self.environment.releases.changing():
            release = self.release()
            if release is not None:
                self.resume(release)
                if not isinstance(command, Deploy) or not self.never_served(release):
                    release = self.settle(release)
            yield release

    def carry_out(self, command: Command, inputs: Mapping[str, str]) -> Release:
        with self.changing(command) as before:
            return self.settle(self.keep(decide(before, command), command, inputs))

    def keep(self, release: Release, command: Command, inputs: Mapping[str, str]) -> Release:
        """Write the decision: into the ledger, then into the file."""
        before = self.release()
        came_from = {"before": identity(before)} if before else {}
        why = getattr(command, "reason", "") or release.reason
        self.record(release, verb(command), why, {**inputs, **came_from})
        self.environment.releases.put(self.model, release)
        return release

    def record(self, release: Release, what: str, why: str, inputs: Mapping[str, str], who: str | None = None) -> None:
        outputs = {"release": identity(release), SERVES: serving(release)}
        self.environment.record(what, self.model, why, who=who, inputs=inputs, outputs=outputs)

    def account(self, before: Release, after: Release) -> None:
        """Say in the ledger what moved live traffic without a command: an experiment's own job, or nobody known."""
        if after.experiment is None:
            return
        told = told_shares(self.environment.last_told(self.model)) or shares(weights(before))
        if told == shares(weights(after)):
            return
        for each in leading_to(self.environment.untold_moves(self.model, after.experiment), weights(after)):
            written = {MOVE: each.place} if each.place else {}
            moved = with_weights(after, each.weights)
            self.record(moved, verb(MoveTraffic), each.reason, {"before": identity(after), **written}, each.who)

    def resume(self, release: Release) -> None:
        """Say in the ledger what a killed command left unsaid: a decision not carried out, or one not recorded."""
        said = self.environment.last_told(self.model).get("release")
        if said is not None and said != identity(release):
            why = f"a command ended before its time; the release is {release.state}: {release.reason or 'as before'}"
            self.tell(f"{why}; this is recorded now")
            self.record(release, "resume", why, {"before": said})

    def settle(self, release: Release) -> Release:
        """Bring file and endpoint together, whatever happened in between."""
        wanted = self.environment.plan(self.model, release).config_name
        if release.state == "rolled_back":
            release = self.returned(release, wanted)
        try:
            live = self.reach(release, wanted)
        except EngineError as problem:
            return self.cut_short(release, wanted, problem)
        if went_back(release, live, wanted):
            after = self.fallen_back(release, live)
            # What a rollout rejected stays declared; what was to be beside the champion does not.
            return after if release.state == "rolling" else self.tidy(after)
        if live.config != wanted or not live.serves:
            raise DeploymentError(unreached(self.model, release, live, wanted))
        before, release = release, with_live(release, live)
        self.account(before, release)
        if release.state == "rolling":
            return self.keep(decide(release, FinishRollout()), FinishRollout(), {})
        self.environment.releases.put(self.model, release)
        return release

    def returned(self, release: Release, wanted: str) -> Release:
        """A rollback that was begun is finished without any engine, as it would have been."""
        live = self.live()
        if live is None or live.failed or live.config == wanted or not self.config_exists(wanted):
            return release
        self.tell(f"{self.model} is to be rolled back to {wanted}: serving it")
        return self.go_back(release, live)

    def reach(self, release: Release, wanted: str) -> Live:
        """Wait for a change that is under way; where none leads to the release, bring the environment up once."""
        live = self.cleared(self.quiet())
        if live is None or live.config != wanted:
            self.tell(f"{self.model} is to be {release.state} with {wanted}: bringing it up")
            self.up()
            live = self.endpoint.settle()
        return live

    def quiet(self) -> Live | None:
        """What is live once nothing is under way."""
        live = self.live()
        if live is not None and not live.settled:
            self.tell(f"a change to {live.pending_config or live.config} is under way; waiting for it")
            live = self.endpoint.rest()
        return live

    def cleared(self, live: Live | None) -> Live | None:
        """A failed endpoint answers nobody, and AWS allows nothing but to remove it: the next `up` makes it anew."""
        if live is None or not live.failed:
            return live
        self.tell(f"the endpoint of {self.model} failed ({live.reason or 'no reason was given'}): removing it")
        self.endpoint.remove()
        return None

    def cut_short(self, release: Release, wanted: str, problem: EngineError) -> Release:
        """An engine gives up at an endpoint that it sees going back: what it left undone is done once that is over."""
        live = self.live()
        if live is None or GOING_BACK not in f"{live.status}: {problem}":
            raise problem
        self.tell(f"the engine gave up, since the endpoint of {self.model} goes back by itself; waiting for it")
        live = self.endpoint.settle()
        if not went_back(release, live, wanted):
            raise problem
        return self.tidy(self.fallen_back(release, live))

    def never_served(self, release: Release) -> bool:
        """Whether it is a first deployment whose endpoint failed, or was never made."""
        if release.state != "rolling" or release.previous is not None:
            return False
        live = self.quiet()
        return live is None or not live.serves

    def clear(self) -> None:
        """Take away what a first deployment left when it failed, or it would be in the way of every `up`."""
        release = self.release()
        if release is not None and self.never_served(release):
            self.cleared(self.live())

    def fallen_back(self, release: Release, live: Live) -> Release:
        """The endpoint went back by itself: the file follows it, and the operator is told.

        A shadow that it took along is none of the release any more, and ends.
        """
        reason = live.reason or "the endpoint went back by itself"
        self.tell(f"rolled back by itself: {reason}")
        after = decide(with_live(release, live), FailRollout(reason))
        aim(self.environment.client("cloudwatch"), self.guards(after), live.config)
        after = self.keep(after, FailRollout(reason), {})
        return self.returned(after, self.environment.plan(self.model, after).config_name)

    def must_live(self) -> Live:
        live = self.live()
        if live is None:
            raise RefusedError(f"{self.model} has no endpoint to roll back: `slipway up`. Nothing was changed.")
        return live

    def go_back(self, after: Release, live: Live) -> Release:
        """Serve the kept configuration of a release; during a rollout, raise the rollout's own alarm instead."""
        wanted = self.environment.plan(self.model, after).config_name
        if not live.settled:
            self.raise_guard(after)
            live = self.endpoint.settle()
        if live.failed:
            return self.made_anew(after, wanted)
        if live.config == wanted and live.serves:
            aim(self.environment.client("cloudwatch"), self.guards(after), wanted)
            return with_live(after, live)
        if not self.config_exists(wanted):
            raise DeploymentError(f"configuration {wanted} is not there any more: deploy the earlier version again.")
        after = dataclasses.replace(after, rollout=dataclasses.replace(after.rollout, strategy="all-at-once"))
        self.environment.releases.put(self.model, after)  # the next preview finds the policy that was used
        names = self.guards(after)
        aim(self.environment.client("cloudwatch"), names, wanted)
        return with_live(after, self.endpoint.serve_config(wanted, deployment_config(after.rollout, names)))

    def made_anew(self, after: Release, wanted: str) -> Release:
        """Go back from an endpoint that failed: it has to be removed and made again, which only an engine can."""
        live = self.reach(after, wanted)
        if live.config != wanted or not live.serves:
            raise DeploymentError(unreached(self.model, after, live, wanted))
        return with_live(after, live)

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
        return self.endpoint.found()

    def config_exists(self, name: str) -> bool:
        try:
            self.environment.sagemaker.describe_endpoint_config(EndpointConfigName=name)
        except ClientError as problem:
            if "Could not find endpoint configuration" in problem.response["Error"].get("Message", ""):
                return False
            raise
        return True


def went_back(release: Release, live: Live, wanted: str) -> bool:
    """Whether what was tried ended with the endpoint well, but not where it should be."""
    tried = release.previous is not None if release.state == "rolling" else release.experiment or release.shadow
    return bool(tried) and live.config != wanted and live.serves


def unreached(model: str, release: Release, live: Live, wanted: str) -> str:
    """What serves instead of a release, why, and what to do."""
    first = release.state == "rolling" and release.previous is None
    return (
        f"endpoint of {model} serves {live.config} ({live.status}), the release wants {wanted} (InService): "
        f"{live.reason or 'no reason was given'}. Look at its logs, then run the command again"
        f"{', or deploy another version' if first else ''}."
    )


def identity(release: Release) -> str:
    """What a release is called in the ledger: its content without what moves while it serves."""
    document = release.to_json()
    for variant in document["variants"]:
        del variant["weight"], variant["instances"]
    return content_hash(document)


def serving(release: Release) -> list[dict[str, Any]]:
    """What serves by a release, as the ledger tells it: of each variant the version, its bytes and how much it gets."""
    share = shares(weights(release))
    return [
        {
            "variant": each.name,
            "version": each.package.version,
            "artifact": each.package.artifact_hash,
            "share": share[each.name],
            "weight": each.weight,
            "instances": each.instances,
        }
        for each in release.variants
    ]


def told_shares(outputs: Mapping[str, Any]) -> dict[str, float]:
    """The shares of traffic that a decision told; none where it was written before decisions told them."""
    return {each["variant"]: each["share"] for each in outputs.get(SERVES, ())}


def weights(release: Release) -> dict[str, float]:
    return {each.name: each.weight for each in release.variants}


def with_weights(release: Release, given: Mapping[str, float]) -> Release:
    """The release with other weights; a variant that is not named keeps its own."""
    variants = tuple(dataclasses.replace(each, weight=given.get(each.name, each.weight)) for each in release.variants)
    return dataclasses.replace(release, variants=variants)
