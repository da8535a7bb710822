"""What may happen to a release, and what it becomes: a pure state machine.

`decide(release, command)` gives the next release or refuses with the reason. Nothing here talks to AWS: callers carry
out what was decided and write the file. `TRANSITIONS` is the whole machine as a table; docs draw it from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from contract.records import nearest
from contract.release import CHALLENGER, CHAMPION, SHADOW, Package, Release, Rollout, State, Variant


class RefusedError(Exception):
    """The command does not fit the state; the text says the state, the reason and what to do instead."""


@dataclass(frozen=True, slots=True)
class Deploy:
    """Make a package the champion, under a rollout policy."""

    package: Package
    rollout: Rollout
    instances: int = 1


@dataclass(frozen=True, slots=True)
class FinishRollout:
    """The endpoint serves the new champion with all its traffic."""


@dataclass(frozen=True, slots=True)
class FailRollout:
    """The endpoint went back by itself: to the old champion, or to the champion without what was put beside it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """Go back to the last good champion."""

    reason: str


@dataclass(frozen=True, slots=True)
class StartExperiment:
    """Put a challenger beside the champion with a share of the traffic."""

    experiment: str
    package: Package
    share: float
    instances: int = 1


@dataclass(frozen=True, slots=True)
class MoveTraffic:
    """New live weights, one for every variant."""

    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Promote:
    """The challenger becomes the champion, under a rollout policy, vouched for by what its experiment found too."""

    rollout: Rollout
    evidence: str = ""
    """The bundle that its experiment's result is part of; none where the challenger's own is all there is."""


@dataclass(frozen=True, slots=True)
class StopExperiment:
    """The champion serves alone again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Change how many instances a variant has."""

    variant: str
    instances: int


@dataclass(frozen=True, slots=True)
class StartShadow:
    """Copy a share of the requests to a package whose answers nobody sees."""

    package: Package
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class StopShadow:
    """End the copying."""


Command = (
    Deploy
    | FinishRollout
    | FailRollout
    | Rollback
    | StartExperiment
    | MoveTraffic
    | Promote
    | StopExperiment
    | Scale
    | StartShadow
    | StopShadow
)
Start = State | Literal["none"]

# command -> state it is allowed in -> state that follows. What is not here is refused.
TRANSITIONS: Mapping[type[Command], Mapping[Start, State]] = {
    Deploy: {"none": "rolling", "steady": "rolling", "rolling": "rolling", "rolled_back": "rolling"},
    FinishRollout: {"rolling": "steady"},
    FailRollout: {
        "rolling": "rolled_back",
        "experiment": "steady",
        "steady": "steady",
        "rolled_back": "rolled_back",
    },
    Rollback: {"steady": "rolled_back", "rolling": "rolled_back", "experiment": "steady"},
    StartExperiment: {"steady": "experiment", "rolled_back": "experiment"},
    MoveTraffic: {"experiment": "experiment"},
    Promote: {"experiment": "rolling"},
    StopExperiment: {"experiment": "steady"},
    Scale: {"steady": "steady", "experiment": "experiment", "rolled_back": "rolled_back"},
    StartShadow: {"steady": "steady", "rolled_back": "rolled_back"},
    StopShadow: {"steady": "steady", "rolled_back": "rolled_back"},
}

WHAT_NOW: Mapping[Start, str] = {
    "none": "nothing serves yet: deploy a version first",
    "rolling": "a rollout is under way: wait for it, or roll back",
    "experiment": "an experiment runs: promote the challenger or stop the experiment first",
    "steady": "the champion serves alone",
    "rolled_back": "the last rollout was rolled back: deploy another version",
}


def decide(release: Release | None, command: Command) -> Release:
    """The release that follows from a command, or a refusal with its reason."""
    state: Start = "none" if release is None else release.state
    allowed = TRANSITIONS[type(command)]
    if state not in allowed:
        fits = ", ".join(allowed)
        raise RefusedError(
            f"'{verb(command)}' does not fit state '{state}' (it fits: {fits}); {WHAT_NOW[state]}. Nothing was changed."
        )
    if release is None:
        if not isinstance(command, Deploy):  # the table allows nothing else here
            raise AssertionError(command)
        return first(command)
    return follow(release, command, allowed[state])


def follow(release: Release, command: Command, state: State) -> Release:  # noqa: C901, PLR0911 - a line per command
    """What an allowed command makes of a release."""
    match command:
        case Deploy():
            return instead(release, command) if release.state == "rolling" else deployed(release, command)
        case FinishRollout():
            return dataclasses.replace(release, state=state, reason="")
        case FailRollout() if release.state in ("steady", "rolled_back"):
            return unshadowed(release, command.reason)
        case FailRollout() | Rollback():
            return rolled_back(release, command.reason)
        case StartExperiment():
            return on_trial(release, command)
        case MoveTraffic():
            return moved(release, command.weights)
        case Promote():
            return promoted(release, command)
        case StopExperiment():
            return alone(release, command.reason)
        case Scale():
            return scaled(release, command)
        case StartShadow():
            refuse_unless(0 < command.share <= 1, f"a shadow share of {command.share}", "more than 0, at most 1")
            return dataclasses.replace(release, shadow=Variant(SHADOW, command.package, weight=command.share))
        case StopShadow():
            return dataclasses.replace(release, shadow=None)


def first(command: Deploy) -> Release:
    """The first release of a model: nothing is behind it to go back to."""
    champion = Variant(CHAMPION, command.package, instances=command.instances)
    return Release("rolling", (champion,), command.rollout, reason="first deployment")


def instead(release: Release, command: Deploy) -> Release:
    """A first deployment gives way to another; a rollout with something to go back to is ended first."""
    if release.previous is not None:
        raise RefusedError(
            f"'deploy' fits state 'rolling' only while nothing served before, and version {release.previous.version} "
            f"did; {WHAT_NOW['rolling']}. Nothing was changed."
        )
    return first(command)


def deployed(release: Release, command: Deploy) -> Release:
    champion = release.champion
    same_guards(release, command.rollout)
    if command.package == champion.package:
        raise RefusedError(f"version {command.package.version} serves already. Nothing was changed.")
    return dataclasses.replace(
        release,
        state="rolling",
        variants=(dataclasses.replace(champion, package=command.package),),
        rollout=command.rollout,
        previous=champion.package,
        rejected=None,
        shadow=None,  # a rollout moves the fleet a shadow copies from
        reason=f"version {champion.package.version} -> {command.package.version}",
    )


def same_guards(release: Release, rollout: Rollout) -> None:
    if rollout.alarms != release.rollout.alarms:
        raise RefusedError(
            f"given rollback alarms {', '.join(rollout.alarms)}; this endpoint was made with "
            f"{', '.join(release.rollout.alarms)}, and AWS's provider replaces an endpoint, with an outage, when they "
            "change. Give the same. Nothing was changed."
        )


def rolled_back(release: Release, reason: str) -> Release:
    if release.state == "experiment":
        return alone(release, reason)
    if release.previous is None:
        raise RefusedError(
            f"there is nothing to go back to before version {release.champion.package.version}. "
            "Deploy another version instead. Nothing was changed."
        )
    champion = dataclasses.replace(release.champion, package=release.previous)
    return dataclasses.replace(
        release,
        state="rolled_back",
        variants=(champion,),
        previous=None,
        rejected=release.champion.package,
        shadow=None,
        reason=reason,
    )


def unshadowed(release: Release, reason: str) -> Release:
    if release.shadow is None:
        raise RefusedError("neither a rollout nor a shadow is there to fail. Nothing was changed.")
    return dataclasses.replace(release, shadow=None, reason=reason)


def on_trial(release: Release, command: StartExperiment) -> Release:
    refuse_unless(0 < command.share < 1, f"a challenger share of {command.share}", "more than 0 and less than 1")
    if command.package == release.champion.package:
        raise RefusedError(f"version {command.package.version} is the champion itself. Nothing was changed.")
    if release.shadow is not None:
        raise RefusedError("a shadow runs: AWS allows it beside one variant only. Stop it first. Nothing was changed.")
    champion = dataclasses.replace(release.champion, weight=round(1 - command.share, 6))
    challenger = Variant(CHALLENGER, command.package, weight=command.share, instances=command.instances)
    return dataclasses.replace(
        release,
        state="experiment",
        variants=(champion, challenger),
        experiment=command.experiment,
        reason=f"experiment {command.experiment}",
    )


def moved(release: Release, weights: Mapping[str, float]) -> Release:
    names = [each.name for each in release.variants]
    for name in weights:
        if name not in names:
            raise RefusedError(f"there is no variant '{name}'.{nearest(name, names)} Variants: {', '.join(names)}.")
    missing = [name for name in names if name not in weights]
    if missing:
        raise RefusedError(
            f"no weight given for {', '.join(missing)}; a move names every variant. Nothing was changed."
        )
    refuse_unless(all(0 <= each < float("inf") for each in weights.values()), f"weights {dict(weights)}", "0 or more")
    refuse_unless(sum(weights.values()) > 0, "weights that are all 0", "at least one above 0")
    variants = tuple(dataclasses.replace(each, weight=weights[each.name]) for each in release.variants)
    return dataclasses.replace(release, variants=variants)


def promoted(release: Release, command: Promote) -> Release:
    same_guards(release, command.rollout)
    champion, challenger = release.variants
    package = dataclasses.replace(challenger.package, evidence=command.evidence or challenger.package.evidence)
    winner = dataclasses.replace(champion, package=package, weight=1.0)
    return dataclasses.replace(
        release,
        state="rolling",
        variants=(winner,),
        rollout=command.rollout,
        previous=champion.package,
        rejected=None,
        experiment=None,
        reason=f"promoted by experiment {release.experiment}",
    )


def alone(release: Release, reason: str) -> Release:
    champion = dataclasses.replace(release.champion, weight=1.0)
    return dataclasses.replace(release, state="steady", variants=(champion,), experiment=None, reason=reason)


def scaled(release: Release, command: Scale) -> Release:
    names = [each.name for each in release.variants]
    if command.variant not in names:
        near = nearest(command.variant, names)
        raise RefusedError(f"there is no variant '{command.variant}'.{near} Variants: {', '.join(names)}.")
    refuse_unless(command.instances >= 1, f"{command.instances} instances", "1 or more")
    variants = tuple(
        dataclasses.replace(each, instances=command.instances) if each.name == command.variant else each
        for each in release.variants
    )
    return dataclasses.replace(release, variants=variants)


def refuse_unless(holds: bool, given: str, expected: str) -> None:
    if not holds:
        raise RefusedError(f"given {given}; expected {expected}. Nothing was changed.")


def verb(command: Command | type[Command]) -> str:
    """The words of a command as people type them."""
    name = command.__name__ if isinstance(command, type) else type(command).__name__
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


def diagram() -> str:
    """The machine as a Mermaid state diagram, for the docs: an arrow carries every command that leads along it."""
    arrows: dict[str, list[str]] = {}
    for command, moves in TRANSITIONS.items():
        for before, after in moves.items():
            arrows.setdefault(f"{'[*]' if before == 'none' else before} --> {after}", []).append(verb(command))
    return "\n".join(["stateDiagram-v2", *(f"    {arrow}: {', '.join(verbs)}" for arrow, verbs in arrows.items())])
