"""A release is carried out, or explained and finished by the next command, whatever happens in between."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.release import CHALLENGER, CHAMPION, Package, Release, Rollout, Variant
from delivery.deployment import Deployment, DeploymentError
from delivery.engine.errors import EngineError
from delivery.release import Deploy, Promote, RefusedError, StartExperiment, StartShadow, StopExperiment
from delivery.releases import ReleaseFile
from delivery.traffic import Live, LiveVariant, Moved


class Killed(BaseException):
    """The process ends here."""


def package(version: int) -> Package:
    return Package(version, f"arn:{version}", f"image@{version}", f"s3://b/{version}", f"hash{version}", f"ev{version}")


def config_of(release: Release) -> str:
    return "+".join(f"{each.name}{each.package.version}" for each in beside_each_other(release))


def beside_each_other(release: Release) -> list[Variant]:
    return [*release.variants, *([release.shadow] if release.shadow else [])]


def missing(message: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "Describe")


class World:
    """An account with one endpoint, which can be killed before any of its steps.

    It goes back from bad versions; broken ones do not even start.
    """

    def __init__(self, folder: Path, bad: frozenset[int] = frozenset(), broken: frozenset[int] = frozenset()) -> None:
        self.releases = ReleaseFile.of("test", folder)
        self.bad = bad
        self.broken = broken
        self.configs: set[str] = set()
        self.serving: Live | None = None
        self.told: list[str] = []
        self.recorded: list[str] = []
        self.decisions: list[dict[str, Any]] = []
        self.moves: list[Moved] = []
        self.steps_left = 10**9
        self.registry_asked = False
        self.name = "test"
        self.who = "ana"
        self.settings = SimpleNamespace(names=SimpleNamespace(alarm=lambda *_: "guard"))
        self.sagemaker = SimpleNamespace(describe_endpoint_config=self.describe_config)

    def step(self) -> None:
        self.steps_left -= 1
        if self.steps_left < 0:
            raise Killed

    # What a deployment asks of its environment.

    def plan(self, _: str, release: Release) -> Any:
        return SimpleNamespace(config_name=config_of(release))

    def record(self, what: str, _: str, why: str, **facts: Any) -> None:
        self.step()
        self.recorded.append(what)
        self.decisions.append({"what": what, "why": why, **facts})

    def last_told(self, _: str) -> Any:
        return self.decisions[-1]["outputs"] if self.decisions else {}

    def untold_moves(self, *_: str) -> list[Moved]:
        told = {each["inputs"].get("move") for each in self.decisions}
        return [each for each in self.moves if each.place not in told]

    def describe_config(self, EndpointConfigName: str) -> None:  # noqa: N803 - AWS's own name
        if EndpointConfigName not in self.configs:
            raise missing("Could not find endpoint configuration")

    def endpoint(self, _: str) -> Any:
        return self

    def live(self) -> Live:
        if self.serving is None:
            raise missing('Could not find endpoint "churn".')
        return self.serving

    def found(self) -> Live | None:
        return self.serving

    def rest(self) -> Live | None:
        return self.serving

    def remove(self) -> None:
        self.step()
        self.serving = None

    def settle(self) -> Live:
        return self.live()

    def move(self, weights: dict[str, float]) -> None:
        self.step()
        variants = {name: dataclasses.replace(self.live().variants[name], weight=w) for name, w in weights.items()}
        self.serving = dataclasses.replace(self.live(), variants=variants)

    def scale(self, variant: str, instances: int) -> None:
        self.step()
        changed = dataclasses.replace(self.live().variants[variant], instances=instances)
        self.serving = dataclasses.replace(self.live(), variants={**self.live().variants, variant: changed})

    def client(self, _: str) -> Any:
        return self

    def describe_alarms(self, **_: Any) -> Any:
        return {"MetricAlarms": []}

    def serve_config(self, config: str, _: Any) -> Live:
        self.step()
        self.serving = dataclasses.replace(
            self.live(), config=config, variants={CHAMPION: LiveVariant(1.0, 2)}, reason=""
        )
        return self.serving

    # The engine.

    def up(self) -> None:
        release = self.releases.read().models["churn"]
        kept = [release] + [
            dataclasses.replace(
                release,
                state="steady",
                experiment=None,
                shadow=None,
                variants=(dataclasses.replace(release.champion, package=each),),
            )
            for each in (release.champion.package, release.previous, release.rejected)
            if each is not None
        ]
        self.step()
        self.configs |= {config_of(each) for each in kept}
        self.step()
        if self.serving is None or self.serving.config != config_of(release):
            self.shift(release)
        self.step()
        self.configs = {config_of(each) for each in kept} | {self.live().config}

    def shift(self, release: Release) -> None:
        if self.serving is not None and self.serving.failed:
            raise missing("Cannot update endpoint in status Failed")
        if self.serving is None and self.broken & {each.package.version for each in beside_each_other(release)}:
            self.serving = Live("Failed", config_of(release), {}, None, (), "it does not answer /ping")
            return
        if self.serving is not None and self.bad & {each.package.version for each in beside_each_other(release)}:
            self.serving = dataclasses.replace(self.serving, reason="alarm guard fired")
            return
        variants = {each.name: LiveVariant(each.weight, each.instances) for each in release.variants}
        self.serving = Live("InService", config_of(release), variants, None, (), "")


class Impatient:
    """The same account, whose engine waits for an endpoint that updates, but not for one that goes back."""

    def __init__(self, world: World, status: str, said: str) -> None:
        self.world = world
        self.status = status
        self.said = said

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world, name)

    def up(self) -> None:
        if not self.said:
            return self.world.up()
        self.world.serving = dataclasses.replace(self.live(), status=self.status, reason="alarm guard fired")
        said, self.said = self.said, ""
        raise EngineError(said)

    def endpoint(self, _: str) -> Any:
        return self

    def settle(self) -> Live:
        self.world.serving = dataclasses.replace(self.live(), status="InService")
        return self.live()


def deployment(world: World) -> Deployment:
    environment: Any = world
    return Deployment(environment, "churn", world.up, world.told.append)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, bad=frozenset({9}))
    deployment(world).deploy(Deploy(package(1), Rollout("all-at-once")))
    return world


def served(world: World) -> tuple[str, str]:
    release = world.releases.release("churn")
    assert world.serving is not None
    return release.state, world.serving.config


def test_a_deployment_ends_steady_with_the_new_version_serving(world: World) -> None:
    deployment(world).deploy(Deploy(package(2), Rollout()))
    assert served(world) == ("steady", "champion2")
    assert world.recorded == ["deploy", "finish rollout", "deploy", "finish rollout"]


def test_a_version_that_alarms_is_reported_recorded_and_leaves_the_file_true(world: World) -> None:
    after = deployment(world).deploy(Deploy(package(9), Rollout()))
    assert (after.state, after.champion.package, after.reason) == ("rolled_back", package(1), "alarm guard fired")
    assert served(world) == ("rolled_back", "champion1")
    assert any("rolled back by itself" in each for each in world.told)
    assert world.recorded[-1] == "fail rollout"


SEEN = "unexpected state 'RollingBack', wanted target 'InService'"


@pytest.mark.parametrize(("status", "said"), [("RollingBack", "exit 255"), ("InService", SEEN)])
def test_an_engine_that_gives_up_at_an_endpoint_going_back_is_no_failure(world: World, status: str, said: str) -> None:
    impatient: Any = Impatient(world, status, said)
    after = dataclasses.replace(deployment(world), environment=impatient, up=impatient.up).deploy(
        Deploy(package(9), Rollout())
    )
    assert (after.state, after.champion.package, after.reason) == ("rolled_back", package(1), "alarm guard fired")
    assert served(world) == ("rolled_back", "champion1")
    assert world.configs == {"champion1", "champion9"}


BESIDE: list[Callable[[Deployment], Release]] = [
    lambda it: it.start_experiment(StartExperiment("e1", package(9), 0.2)),
    lambda it: it.start_shadow(StartShadow(package(9))),
]


@pytest.mark.parametrize("begin", BESIDE)
def test_what_alarms_beside_the_champion_is_gone_and_the_champion_serves_as_before(
    world: World, begin: Callable[[Deployment], Release]
) -> None:
    after = begin(deployment(world))
    assert (after.state, after.experiment, after.shadow, after.reason) == ("steady", None, None, "alarm guard fired")
    assert served(world) == ("steady", "champion1")
    assert world.recorded[-1] == "fail rollout"
    assert world.configs == {"champion1"}
    assert deployment(world).deploy(Deploy(package(3), Rollout())).champion.package == package(3)


def test_a_shadow_that_a_failed_rollout_went_back_to_ends_as_the_file_says(world: World) -> None:
    deployment(world).start_shadow(StartShadow(package(3), 0.5))
    deployment(world).deploy(Deploy(package(9), Rollout()))
    assert served(world) == ("rolled_back", "champion1")
    assert world.releases.release("churn").shadow is None


@pytest.mark.parametrize("begin", BESIDE)
def test_an_engine_that_gives_up_on_what_goes_back_beside_the_champion_is_no_failure(
    world: World, begin: Callable[[Deployment], Release]
) -> None:
    impatient: Any = Impatient(world, "RollingBack", "unexpected state 'RollingBack'")
    begin(dataclasses.replace(deployment(world), environment=impatient, up=impatient.up))
    assert served(world) == ("steady", "champion1")
    assert world.configs == {"champion1"}


@pytest.mark.parametrize("begin", BESIDE)
def test_what_somebody_else_took_away_from_beside_the_champion_is_brought_back_or_ends(
    world: World, begin: Callable[[Deployment], Release]
) -> None:
    world.bad = frozenset()
    wanted = config_of(begin(deployment(world)))
    for bad, config in ((frozenset[int](), wanted), (frozenset({9}), "champion1")):
        world.serving, world.bad = dataclasses.replace(world.live(), config="by-hand"), bad
        with deployment(world).changing():
            assert world.live().config == config


@pytest.mark.parametrize("status", ["InService", "UpdateRollbackFailed"])
def test_an_engine_that_fails_for_another_reason_is_told_and_nothing_is_decided(world: World, status: str) -> None:
    def fails() -> None:
        world.serving = dataclasses.replace(world.live(), status=status)
        raise EngineError(f"no credentials; the endpoint is {'well' if status == 'InService' else 'RollingBack'}")

    with pytest.raises(EngineError, match="no credentials"):
        dataclasses.replace(deployment(world), up=fails).deploy(Deploy(package(9), Rollout()))
    assert world.releases.release("churn").state == "rolling"
    assert world.recorded[-1] == "deploy"


def test_after_a_failed_rollout_another_version_can_be_deployed(world: World) -> None:
    deployment(world).deploy(Deploy(package(9), Rollout()))
    deployment(world).deploy(Deploy(package(3), Rollout()))
    assert served(world) == ("steady", "champion3")


def test_rolling_back_serves_the_kept_configuration_even_when_nothing_else_works(world: World) -> None:
    deployment(world).deploy(Deploy(package(2), Rollout()))

    def broken() -> None:
        raise OSError("no engine, no registry, no network")

    after = dataclasses.replace(deployment(world), up=broken).rollback("errors")
    assert (after.state, after.champion.package, after.rejected) == ("rolled_back", package(1), package(2))
    assert served(world) == ("rolled_back", "champion1")
    assert world.recorded[-1] == "rollback"


def test_what_was_rolled_back_stays_declared_until_the_next_release(world: World) -> None:
    """So that nothing is left to clear away, and the next preview is empty."""
    deployment(world).deploy(Deploy(package(2), Rollout()))
    deployment(world).rollback("errors")
    assert world.configs == {"champion1", "champion2"}
    deployment(world).deploy(Deploy(package(3), Rollout()))
    assert "champion2" not in world.configs


@pytest.mark.parametrize("steps", [0, 1])
def test_a_rollback_that_was_killed_is_finished_and_recorded_by_the_next_command(world: World, steps: int) -> None:
    """Killed before the endpoint moved, and before the ledger knew."""
    deployment(world).deploy(Deploy(package(2), Rollout()))
    world.steps_left = steps
    with pytest.raises(Killed):
        deployment(world).rollback("errors")
    world.steps_left = 10**9
    with deployment(world).changing() as release:
        assert release is not None
    assert served(world) == ("rolled_back", "champion1")
    assert world.recorded[-1] == "resume"
    assert "recorded now" in " ".join(world.told)


def test_a_decision_that_was_recorded_but_never_written_is_explained(world: World) -> None:
    """Killed between ledger and file: nothing was changed, and the ledger must not leave it open."""

    def killed(*_: object) -> None:
        raise Killed

    releases: Any = SimpleNamespace(read=world.releases.read, changing=world.releases.changing, put=killed)
    kept, world.releases = world.releases, releases
    with pytest.raises(Killed):
        deployment(world).keep(dataclasses.replace(kept.release("churn"), reason="x"), StopExperiment("why"), {})
    world.releases = kept
    with deployment(world).changing():
        pass
    assert world.recorded[-1] == "resume"
    assert served(world) == ("steady", "champion1")


def test_a_rollback_during_an_experiment_leaves_the_champion_alone(world: World) -> None:
    deployment(world).start_experiment(StartExperiment("e1", package(2), 0.1))
    assert served(world) == ("experiment", "champion1+challenger2")
    deployment(world).rollback("harm")
    assert served(world) == ("steady", "champion1")


def test_live_weights_come_back_into_the_release_before_it_changes(world: World) -> None:
    deployment(world).start_experiment(StartExperiment("e1", package(2), 0.1))
    world.move({CHAMPION: 0.6, CHALLENGER: 0.4})  # the controller moved them
    release = deployment(world).scale(CHALLENGER, 3)
    assert [each.weight for each in release.variants] == [0.6, 0.4]


def shares_told(world: World) -> list[tuple[str, str | None, dict[str, float]]]:
    """Of each decision what it was, whose it was when not the caller's own, and the shares it told."""
    return [
        (each["what"], each["who"], {one["variant"]: one["share"] for one in each["outputs"]["serves"]})
        for each in world.decisions
    ]


def moved_by_the_monitor(world: World, share: float) -> None:
    """What the monitor's job does: it moves the endpoint and writes down why."""
    shift = {CHAMPION: round(1 - share, 6), CHALLENGER: share}
    world.move(shift)
    world.moves.append(Moved(shift, "experiment e1", f"climb to {share}", f"s3://b/moves/{len(world.moves):06d}.json"))


def test_every_decision_tells_versions_artifacts_shares_weights_and_counts(world: World) -> None:
    deployment(world).start_experiment(StartExperiment("e1", package(2), 0.25, 2))
    deployment(world).move({CHAMPION: 3, CHALLENGER: 1.5})
    deployment(world).scale(CHALLENGER, 4)
    champion = {"variant": CHAMPION, "version": 1, "artifact": "hash1", "share": 0.666667, "weight": 3, "instances": 1}
    challenger = {"variant": CHALLENGER, "version": 2, "artifact": "hash2", "share": 0.333333, "weight": 1.5}
    move, scale = (each["outputs"]["serves"] for each in world.decisions[-2:])
    assert move == [champion, {**challenger, "instances": 2}]
    assert scale == [champion, {**challenger, "instances": 4}]


def test_what_an_experiment_moved_by_itself_is_told_once_each_with_its_reason(world: World) -> None:
    deployment(world).start_experiment(StartExperiment("e1", package(2), 0.1))
    moved_by_the_monitor(world, 0.2)
    moved_by_the_monitor(world, 0.4)
    for _ in range(2):
        with deployment(world).changing():
            pass
    assert shares_told(world)[-3:] == [
        ("start experiment", None, {CHAMPION: 0.9, CHALLENGER: 0.1}),
        ("move traffic", "experiment e1", {CHAMPION: 0.8, CHALLENGER: 0.2}),
        ("move traffic", "experiment e1", {CHAMPION: 0.6, CHALLENGER: 0.4}),
    ]
    assert [each["why"] for each in world.decisions[-2:]] == ["climb to 0.2", "climb to 0.4"]
    assert world.decisions[-1]["inputs"]["move"] == "s3://b/moves/000001.json"


@pytest.mark.parametrize("steps", [0, 1])
def test_a_kill_while_moves_are_told_loses_none_and_doubles_none(world: World, steps: int) -> None:
    deployment(world).start_experiment(StartExperiment("e1", package(2), 0.1))
    moved_by_the_monitor(world, 0.2)
    moved_by_the_monitor(world, 0.4)
    world.steps_left = steps
    with pytest.raises(Killed), deployment(world).changing():
        pass
    world.steps_left = 10**9
    with deployment(world).changing():
        pass
    assert world.recorded.count("move traffic") == 2


def test_a_move_that_nobody_accounts_for_is_told_as_such(world: World) -> None:
    deployment(world).start_experiment(StartExperiment("e1", package(2), 0.1))
    moved_by_the_monitor(world, 0.2)
    world.move({CHAMPION: 0.5, CHALLENGER: 0.5})
    with deployment(world).changing():
        pass
    assert shares_told(world)[-2:] == [
        ("move traffic", "experiment e1", {CHAMPION: 0.8, CHALLENGER: 0.2}),
        ("move traffic", "unknown", {CHAMPION: 0.5, CHALLENGER: 0.5}),
    ]
    assert "without a word to the ledger" in world.decisions[-1]["why"]


def test_going_back_from_an_experiment_tells_first_what_it_had_moved(world: World) -> None:
    deployment(world).start_experiment(StartExperiment("e1", package(2), 0.1))
    moved_by_the_monitor(world, 0.4)
    deployment(world).rollback("harm")
    assert shares_told(world)[-2:] == [
        ("move traffic", "experiment e1", {CHAMPION: 0.6, CHALLENGER: 0.4}),
        ("rollback", None, {CHAMPION: 1.0}),
    ]


def test_a_ledger_from_before_decisions_told_shares_is_gone_on_with(world: World) -> None:
    deployment(world).start_experiment(StartExperiment("e1", package(2), 0.1))
    for each in world.decisions:
        del each["outputs"]["serves"]
    with deployment(world).changing():
        pass
    assert world.recorded[-1] == "start experiment"  # nothing moved: nothing is told
    moved_by_the_monitor(world, 0.2)
    with deployment(world).changing():
        pass
    assert world.recorded[-1] == "move traffic"


def test_a_promoted_challenger_is_the_champion_and_the_old_one_is_what_to_go_back_to(world: World) -> None:
    deployment(world).start_experiment(StartExperiment("e1", package(2), 0.5))
    deployment(world).promote(Promote(Rollout("all-at-once")))
    release = world.releases.release("churn")
    assert (release.state, release.champion.package, release.previous) == ("steady", package(2), package(1))


def test_a_refused_command_changes_neither_file_nor_cloud(world: World) -> None:
    before = (world.releases.read(), world.serving, list(world.recorded))
    with pytest.raises(RefusedError):
        deployment(world).stop_experiment(StopExperiment("why not"))
    assert (world.releases.read(), world.serving, world.recorded) == before


def test_an_endpoint_that_somebody_else_moved_is_brought_back_to_the_release(world: World) -> None:
    assert world.serving is not None
    world.serving = dataclasses.replace(world.serving, config="by-hand")
    with deployment(world).changing() as release:
        assert release is not None
    assert served(world) == ("steady", "champion1")


def test_an_endpoint_that_cannot_reach_the_release_is_an_error_that_says_what_serves(world: World) -> None:
    world.bad = frozenset({1})
    assert world.serving is not None
    world.serving = dataclasses.replace(world.serving, config="by-hand")
    with pytest.raises(DeploymentError, match=r"serves by-hand .* wants champion1"), deployment(world).changing():
        pass


def test_a_first_deployment_that_fails_is_never_steady_however_often_it_is_settled(tmp_path: Path) -> None:
    world = World(tmp_path, broken=frozenset({1}))
    failed = pytest.raises(DeploymentError, match=r"champion1 \(Failed\).*does not answer /ping.*another version")
    with failed:
        deployment(world).deploy(Deploy(package(1), Rollout()))
    with failed, deployment(world).changing():
        pass
    assert world.releases.release("churn").state == "rolling"
    assert world.recorded == ["deploy"]


def test_a_failed_first_deployment_gives_way_to_another_version_without_being_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path, broken=frozenset({1}))
    with pytest.raises(DeploymentError):
        deployment(world).deploy(Deploy(package(1), Rollout()))
    after = deployment(world).deploy(Deploy(package(2), Rollout()))
    assert (after.state, after.champion.package, after.previous) == ("steady", package(2), None)
    assert served(world) == ("steady", "champion2")
    assert world.recorded == ["deploy", "deploy", "finish rollout"]
    assert "the endpoint of churn failed (it does not answer /ping): removing it" in world.told
    assert not any("champion1: bringing" in each for each in world.told[1:])


def test_a_first_deployment_that_was_mended_serves_when_the_command_is_repeated(tmp_path: Path) -> None:
    world = World(tmp_path, broken=frozenset({1}))
    with pytest.raises(DeploymentError):
        deployment(world).deploy(Deploy(package(1), Rollout()))
    world.broken = frozenset()
    deployment(world).deploy(Deploy(package(1), Rollout()))
    assert served(world) == ("steady", "champion1")


@pytest.mark.parametrize("steps", range(6))
def test_a_first_deployment_that_was_killed_leaves_the_way_open_for_another_version(tmp_path: Path, steps: int) -> None:
    world = World(tmp_path)
    world.steps_left = steps
    with contextlib.suppress(Killed):
        deployment(world).deploy(Deploy(package(1), Rollout()))
    world.steps_left = 10**9
    deployment(world).deploy(Deploy(package(2), Rollout()))
    assert served(world) == ("steady", "champion2")


def test_what_a_failed_first_deployment_left_is_taken_out_of_the_way_of_an_engine(tmp_path: Path) -> None:
    world = World(tmp_path, broken=frozenset({1}))
    with pytest.raises(DeploymentError):
        deployment(world).deploy(Deploy(package(1), Rollout()))
    deployment(world).clear()
    assert world.serving is None


def test_an_endpoint_that_serves_is_never_taken_away(world: World) -> None:
    deployment(world).clear()
    assert served(world) == ("steady", "champion1")


@pytest.mark.parametrize("status", ["OutOfService", "UpdateRollbackFailed"])
def test_only_an_endpoint_in_service_makes_a_release_steady(world: World, status: str) -> None:
    assert world.serving is not None
    world.serving = dataclasses.replace(world.serving, status=status)
    with pytest.raises(DeploymentError, match=rf"\({status}\).*run the command again\."), deployment(world).changing():
        pass


def test_going_back_from_an_endpoint_that_failed_makes_it_anew(world: World) -> None:
    deployment(world).deploy(Deploy(package(2), Rollout()))
    assert world.serving is not None
    world.serving = dataclasses.replace(world.serving, status="Failed")
    deployment(world).rollback("it is dead")
    assert served(world) == ("rolled_back", "champion1")
    assert world.live().serves


COMMANDS: list[Callable[[Deployment], Release]] = [
    lambda it: it.deploy(Deploy(package(2), Rollout())),
    lambda it: it.deploy(Deploy(package(9), Rollout())),
    lambda it: it.start_experiment(StartExperiment("e1", package(3), 0.2)),
    lambda it: it.promote(Promote(Rollout())),
    lambda it: it.stop_experiment(StopExperiment("over")),
    lambda it: it.move({CHAMPION: 0.7, CHALLENGER: 0.3}),
    lambda it: it.scale(CHAMPION, 3),
    lambda it: it.rollback("on call"),
    *BESIDE,
    lambda it: it.start_shadow(StartShadow(package(3), 0.5)),
    lambda it: it.stop_shadow(),
]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, len(COMMANDS) - 1), st.integers(0, 14)), min_size=1, max_size=6))
def test_killed_at_any_step_of_any_command_the_next_one_finishes_or_explains(
    tmp_path_factory: pytest.TempPathFactory, script: list[tuple[int, int]]
) -> None:
    world = World(tmp_path_factory.mktemp("world"), bad=frozenset({9}))
    deployment(world).deploy(Deploy(package(1), Rollout("all-at-once")))
    for which, killed_after in script:
        world.steps_left = killed_after
        with contextlib.suppress(Killed, RefusedError):
            COMMANDS[which](deployment(world))
        world.steps_left = 10**9
        with deployment(world).changing() as release:
            assert release is not None
        assert release.state != "rolling"
        assert world.live().config == config_of(release)
        assert config_of(release) in world.configs
