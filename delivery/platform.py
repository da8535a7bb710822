"""The verbs, as Python: what the command line offers, for notebooks, programs and CI.

>>> from slipway import Platform  # doctest: +SKIP
>>> platform = Platform("local")  # doctest: +SKIP
>>> platform.deploy("churn", version="latest")  # doctest: +SKIP
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from contract.platform import PlatformOutputs
from contract.records import Answer, Outcome, Request
from contract.release import CHALLENGER, Release, Rollout
from delivery import approval, history, promotion
from delivery.batch import Batch, Progress, Transforms
from delivery.bundle import Bundle
from delivery.comparison import Side, side
from delivery.data import Changes, DataError, DataStore, Kept, changes, version_of
from delivery.data import Version as Data
from delivery.deployment import Deployment
from delivery.dossier import Artifact
from delivery.engine.machine import WORK
from delivery.environment import Environment
from delivery.history import DataPast, Past
from delivery.judgements import DRIFT_SIGNALS, QUALITY_SIGNALS, AlarmState, Judgements, Quality, Window, chosen
from delivery.ledger import Break, Event, explain
from delivery.overview import Overview, overview
from delivery.registry import Version
from delivery.release import Deploy, Promote, RefusedError, StartExperiment, StartShadow, StopExperiment, decide
from delivery.runs import Pipeline, Run, RunError, Staged, Step, overrides_of, places_of, stage_step, token_of
from delivery.spending import Idle, Spending, idle, seen, spending
from delivery.watching import View, Watch, watching
from stacks.settings import ROOT

if TYPE_CHECKING:
    from delivery.engine.choose import Engine  # with an engine's libraries behind it: too slow for every verb
    from delivery.engine.engine import Preview
    from delivery.experiments import Experiments, Standing
    from monitoring.experiment.experiment import Experiment
    from monitoring.experiment.planning import Plan

QUIET = Console(stderr=True, quiet=True)
Tell = Callable[[str], None]
Steps = Callable[[list[Step]], None]
Show = Callable[[View], None]


Agree = Callable[[str], bool]


def silent(_: object) -> None:
    """Tell nobody."""


def yes(_: str) -> bool:
    """Agree to whatever is asked."""
    return True


@dataclass(frozen=True)
class Invoked:
    """An answer, and how long it took on the way."""

    answer: Answer
    milliseconds: float


# What is typed after `slipway`, and what does the same here.
VERBS: Mapping[str, str] = {
    "up": "up",
    "preview": "preview",
    "down": "down",
    "synth": "synth",
    "outputs": "outputs",
    "smoke": "smoke",
    "recover": "recover",
    "run": "run",
    "runs": "runs",
    "compare": "compare",
    "retrain": "retrain",
    "data list": "data_versions",
    "data log": "data_log",
    "data diff": "data_diff",
    "data tag": "data_tag",
    "data checkout": "data_checkout",
    "models list": "versions",
    "models show": "version",
    "models log": "log",
    "models diff": "diff",
    "models tag": "tag",
    "models checkout": "checkout",
    "models approve": "approve",
    "models reject": "reject",
    "gates": "gates",
    "deploy": "deploy",
    "rollback": "rollback",
    "scale": "scale",
    "shadow": "shadow",
    "status": "settle",
    "experiment plan": "plan_experiment",
    "experiment start": "start_experiment",
    "experiment status": "experiment",
    "experiment conclude": "conclude_experiment",
    "experiment move": "move",
    "experiment promote": "promote_challenger",
    "experiment stop": "stop_experiment",
    "promote": "promote",
    "invoke": "invoke",
    "outcomes put": "put_outcomes",
    "batch": "batch",
    "drift": "drift",
    "quality": "quality",
    "cost": "cost",
    "idle": "idle",
    "why": "why",
    "report": "report",
    "ledger log": "ledger_log",
    "ledger verify": "verify_ledger",
}


class Platform:
    """One environment and everything that can be done with it."""

    def __init__(
        self, environment: str = "local", *, root: Path = ROOT, engine: str | None = None, tell: Tell = silent
    ) -> None:
        self.environment = Environment.open(environment, root)
        self.engine = engine
        self.tell = tell

    # The environment.

    def up(self, console: Console = QUIET) -> None:
        """Bring it to what its files say, showing the console each resource as it is made.

        An endpoint whose first deployment failed is taken out of the way.
        """
        for model, release in self.environment.releases.read().models.items():
            if release.state == "rolling":
                Deployment(self.environment, model, self.up, self.tell).clear()
        brought = self.chosen_engine().up(self.environment.name, self.environment.root, console)
        self.environment.forget_outputs()
        for warning in brought.warnings:
            self.tell(warning)

    def preview(self) -> Preview:
        """What `up` would change, and what that would cost."""
        return self.chosen_engine().preview(self.environment.name, self.environment.root, QUIET)

    def down(self) -> None:
        """Remove it, with everything in it."""
        self.chosen_engine().down(self.environment.name, self.environment.root, QUIET)

    def recover(self, agree: Agree | None = None) -> list[str]:
        """Adopt or forget what an interrupted `up` left."""
        return list(self.chosen_engine().recover(self.environment.name, self.environment.root, QUIET, agree))

    def outputs(self) -> PlatformOutputs:
        """What it told when it was brought up."""
        return self.environment.outputs

    def synth(self) -> dict[str, Any]:
        """What its program declares, as Terraform JSON."""
        from delivery.engine.declare import declare
        from delivery.engine.engine import synthesis_of

        return dict(synthesis_of(declare(self.environment.name, self.environment.root)).document)

    def smoke(self) -> list[str]:
        """What is not there or does not serve, of what was brought up; nothing when all is well."""
        from delivery.engine.smoke import smoke
        from stacks.forms import declared_configurations

        here = self.environment
        return list(smoke(here.cloud, here.outputs, declared_configurations(here.settings, here.root)))

    def chosen_engine(self) -> Engine:
        from delivery.engine import choose

        return choose.engine(self.engine)

    # Data and runs.

    def data(self, model: str) -> DataStore:
        return DataStore(self.environment.s3, self.environment.bucket("data"), model)

    def data_versions(self, model: str) -> list[Kept]:
        """The versions of the data, newest first."""
        return [kept for kept, _ in self.data(model).history()]

    def data_log(self, model: str) -> list[DataPast]:
        """What each version of the data changed, and what was made from it."""
        return history.data_log(self.data(model), self.environment.ledger.events(model))

    def data_diff(self, model: str, old: str, new: str) -> Changes:
        store = self.data(model)
        return changes(store.read(old), store.read(new))

    def data_tag(self, model: str, version: str, name: str) -> str:
        """Move a tag to a version of the data; the hash it stands at now."""
        return self.data(model).tag(name, version)

    def data_checkout(self, model: str, version: str, folder: Path, progress: Callable[[int], None] = silent) -> Data:
        """Bring a version of the data back, byte for byte."""
        return self.data(model).checkout(version, folder, progress)

    def pipeline(self, model: str, kind: str = "training") -> Pipeline:
        """The pipeline of a kind: training, promotion or monitor."""
        outputs = self.environment.model(model)
        names = {
            "training": outputs.training_pipeline,
            "promotion": outputs.promotion_pipeline,
            "monitor": outputs.monitor_pipeline,
        }
        name = names.get(kind)
        if name is None:
            there = ", ".join(each for each, known in names.items() if known)
            raise RunError(f"{model} has no {kind} pipeline in {self.environment.name}. There is: {there}.")
        return Pipeline(self.environment.sagemaker, name, self.environment.wait)

    def run(
        self,
        model: str,
        data: Path | str,
        *,
        family: str | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        experiment: str | None = None,
        reason: str = "asked for",
        again: str = "",
        steps: Steps = silent,
        progress: Callable[[int], None] = silent,
    ) -> Version:
        """Train, judge on unseen rows and register; the same data and settings again is the same run, unless it failed.

        `hyperparameters` go over those of the settings; `experiment` is MLflow's, under which the run is logged.
        """
        overrides = overrides_of(hyperparameters or {})
        uri, named = self.hand_over(model, data, progress)
        parameters = {"Data": uri, "Author": self.environment.who, "Reason": reason}
        said = {"Family": family, "Overrides": overrides, "Experiment": experiment}
        parameters |= {name: value for name, value in said.items() if value is not None}
        pipeline = self.pipeline(model)
        run = pipeline.start(parameters, token_of(pipeline.name, parameters, again))
        pipeline.finish(run, steps)
        version = self.registered_by(model, run)
        self.environment.record(
            "run", model, reason, inputs={"data": named}, outputs={"package": version.arn, "run": run.arn}
        )
        return version

    def run_stage(
        self, model: str, stage: str, *, of: str = "latest", reason: str = "asked for", steps: Steps = silent
    ) -> Staged:
        """Run one stage once more, with everything before it taken from an earlier run; nothing is registered."""
        pipeline = self.pipeline(model)
        name = stage_step(stage, pipeline.step_names())
        source = pipeline.find(of)
        run = pipeline.repeat(source, name, {"Author": self.environment.who, "Reason": reason})
        done = next(each for each in pipeline.finish(run, steps) if each.name == name)
        return Staged(run.id, source.id, done.name, places_of(self.environment.sagemaker, done))

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

    def runs(self, model: str, kind: str = "training") -> list[Run]:
        return self.pipeline(model, kind).runs()

    def compare(self, model: str, *runs: str) -> list[Side]:
        """Runs side by side: parameters, data, metrics; the two newest when none is named."""
        pipeline, versions = self.pipeline(model), self.versions(model)
        wanted = [pipeline.find(each) for each in runs] or pipeline.runs(2)
        return [side(self.environment, pipeline, each, versions) for each in wanted]

    def retrain(self, model: str, *, reason: str = "asked for", steps: Steps = silent) -> Version:
        """Train again on the newest data that were handed over."""
        store = self.data(model)
        versions = store.versions()
        if not versions:
            raise DataError(f"no data were ever handed over for {model}: `slipway run {model} --data PLACE` does it.")
        now = self.environment.now().isoformat()
        return self.run(model, store.uri(versions[0][0]), reason=reason, again=now, steps=steps)

    # Versions and their evidence.

    def overview(self) -> list[Overview]:
        """Every model: what serves, and the newest version that could."""
        return overview(self.environment)

    def versions(self, model: str) -> list[Version]:
        return self.environment.registry(model).versions()

    def version(self, model: str, wanted: str = "latest") -> Version:
        return self.environment.registry(model).pick(wanted)

    def log(self, model: str) -> list[Past]:
        """The versions, newest first, each with the decisions about it."""
        return history.log(self.versions(model), self.environment.ledger.events(model))

    def diff(self, model: str, old: str, new: str) -> dict[str, tuple[Any, Any]]:
        """What two versions do not share: data, code, inputs, metrics."""
        from delivery.dossier import collect

        before, after = (collect(self.environment, model, self.version(model, each)).facts() for each in (old, new))
        names = sorted({*before, *after})
        return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}

    def tag(self, model: str, version: str, name: str) -> Version:
        """Move a tag to a version."""
        picked = self.version(model, version)
        self.environment.registry(model).tag(name, picked)
        return picked

    def checkout(self, model: str, version: str, folder: Path, progress: Callable[[int], None] = silent) -> Artifact:
        """Bring a version's artifact back, its hash checked."""
        return history.checkout(self.environment, self.version(model, version), folder, progress)

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

    def watch(self, model: str) -> Watch:
        """The live view of a model's endpoint."""
        self.environment.model(model)
        return Watch(self.environment, model)

    def deploy(
        self, model: str, version: str = "approved", *, rollout: Rollout | None = None, show: Show = silent
    ) -> Release:
        """Make a version the champion; `show` gets a view of the rollout while it goes on."""
        package = approval.vouched(self.environment, model, self.version(model, version))
        policy = self.policy(model, rollout)
        with watching(self.watch(model), show):
            return self.deployment(model).deploy(Deploy(package, policy, self.least_instances(model)))

    def policy(self, model: str, rollout: Rollout | None) -> Rollout:
        """The rollout asked for, under the alarms that the endpoint was made with: their set cannot change."""
        wanted, release = rollout or Rollout(), self.environment.releases.read().models.get(model)
        return wanted if release is None else dataclasses.replace(wanted, alarms=release.rollout.alarms)

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

    def experiments(self, model: str) -> Experiments:
        from delivery.experiments import Experiments

        self.environment.model(model)
        return Experiments(self.environment, model)

    def plan_experiment(
        self, model: str, terms: Experiment, share: float, *, power: float = 0.9, per_day: float | None = None
    ) -> Plan:
        """What an experiment will take, before it starts."""
        return self.experiments(model).plan(terms, share, power=power, per_day=per_day)

    def start_experiment(
        self,
        model: str,
        name: str,
        version: str,
        share: float,
        *,
        terms: Experiment | None = None,
        steering: Mapping[str, Any] | None = None,
    ) -> Release:
        """Put a challenger beside the champion; with terms the monitor counts, judges and moves traffic from now on."""
        package = approval.vouched(self.environment, model, self.version(model, version))
        deployment, command = self.deployment(model), StartExperiment(name, package, share)
        decide(self.environment.releases.read().models.get(model), command)  # refused before anything is written
        if terms is not None:
            from monitoring.experiment.steering import Steering

            experiments = self.experiments(model)
            began = self.environment.now().replace(microsecond=0).isoformat()
            experiments.agree(
                dataclasses.replace(terms, name=name),
                Steering(began, share, **dict(steering or {})),
                experiments.plan(terms, share),
            )
        return deployment.start_experiment(command)

    def experiment(self, model: str) -> Standing:
        """How the running experiment stands."""
        return self.experiments(model).standing()

    def conclude_experiment(self, model: str, rollout: Rollout | None = None, *, show: Show = silent) -> Release | None:
        """End the running experiment as its verdict says: promote or stop. Nothing while it is not decided."""
        experiments = self.experiments(model)
        found = experiments.standing()
        if found.end is None:
            return None
        sealed = experiments.seal(found)
        if found.end == "promote":
            return self.promote_proven(model, sealed, rollout, show)
        return self.deployment(model).stop_experiment(StopExperiment(found.reason), {"experiment": sealed})

    def promote_proven(self, model: str, sealed: str, rollout: Rollout | None, show: Show) -> Release:
        """Roll the challenger out, with its experiment's sealed result as part of its evidence."""
        _, challenger = self.experiments(model).running().variants
        package = approval.proven(self.environment, model, challenger.package, sealed)
        command = Promote(self.policy(model, rollout), package.evidence)
        with watching(self.watch(model), show):
            return self.deployment(model).promote(command, {"experiment": sealed, "evidence": package.evidence})

    def move(self, model: str, challenger_share: float) -> Release:
        """Give the challenger its share of the traffic, the champion the rest."""
        champion = self.release(model).champion.name
        return self.deployment(model).move({champion: round(1 - challenger_share, 6), CHALLENGER: challenger_share})

    def promote_challenger(self, model: str, rollout: Rollout | None = None, *, show: Show = silent) -> Release:
        """End the running experiment for the challenger, whatever it has found so far; that is part of its evidence."""
        release = self.environment.releases.read().models.get(model)
        if release is not None and release.experiment is not None:
            experiments = self.experiments(model)
            return self.promote_proven(model, experiments.seal(experiments.standing()), rollout, show)
        with watching(self.watch(model), show):
            return self.deployment(model).promote(Promote(self.policy(model, rollout)))

    def stop_experiment(self, model: str, *, reason: str) -> Release:
        return self.deployment(model).stop_experiment(StopExperiment(reason))

    # From one environment to the next.

    def promotable(self, source: str) -> list[str]:
        """The models that serve in another environment and are declared in this one."""
        there = Environment.open(source, self.environment.root)
        found = sorted(set(there.releases.read().models) & set(self.environment.settings.models))
        if not found:
            raise RefusedError(
                f"nothing that serves in {source} is declared in {self.environment.name}: expected a model under "
                f"`models` in Pulumi.{self.environment.name}.yaml that `slipway status MODEL --env {source}` shows."
            )
        return found

    def promote(
        self,
        source: str,
        model: str,
        *,
        note: str,
        version: str | None = None,
        data: Path | str | None = None,
        rollout: Rollout | None = None,
        agree: Agree = yes,
        steps: Steps = silent,
        show: Show = silent,
    ) -> Release:
        """Take over what serves in another environment: the same bytes, judged on this one's data, then released."""
        here, there = self.environment, Environment.open(source, self.environment.root)
        offer = promotion.offered(there, model, version)
        promotion.same_image(here, offer)
        deployment = self.deployment(model)
        release = deployment.release()
        if release is not None and promotion.serves_already(release, offer):
            self.tell(f"{here.name} serves version {offer.package.version} of {source} already")
            return release
        artifact = promotion.carry(there, here, model, offer)
        self.tell(f"judging version {offer.package.version} of {source} on the data of {here.name}")
        place = promotion.data_of(here, model, data)
        taken = promotion.register(here, model, offer, artifact=artifact, data=place, steps=steps)
        package = promotion.said_yes(here, model, taken, note)
        command = Deploy(package, self.policy(model, rollout), self.least_instances(model))
        ahead = deployment.ahead(command, self.engine)
        self.tell(f"{ahead.text}\ncost: {ahead.cost.text}".strip())
        if not agree(f"Release version {package.version} of {model} in {here.name}?"):
            raise RefusedError(
                f"not agreed; {here.name} serves what it served. Version {package.version} stays approved there."
            )
        with watching(self.watch(model), show):
            return deployment.deploy(command)

    # Asking it, and telling it the truth later.

    def invoke(self, model: str, request: Request, *, unit: str | None = None) -> Invoked:
        """Ask; a unit (a user, a session) always meets the same variant of an experiment that is sticky."""
        from delivery.invocation import invoke

        if unit is not None and request.target_variant is None:
            request = dataclasses.replace(request, target_variant=self.experiments(model).variant_for(unit))
        answer, milliseconds = invoke(self.environment, model, request)
        return Invoked(answer, milliseconds)

    def put_outcomes(self, model: str, outcomes: list[Outcome]) -> str:
        from delivery.invocation import put_outcomes

        return put_outcomes(self.environment, model, outcomes)

    def batch(
        self,
        model: str,
        data: Path | str,
        *,
        out: Path | None = None,
        accept: str = "text/csv",
        instances: int = 1,
        again: str = "",
        look: Callable[[Progress], None] = silent,
    ) -> tuple[Batch, list[Path]]:
        """Let the champion answer every row of a file or prefix, and fetch the answers."""
        transforms = Transforms(self.environment, model)
        done = transforms.finish(transforms.ask(data, accept=accept, instances=instances, again=again), look)
        folder = out or self.environment.root / WORK / self.environment.name / "batch" / done.job
        return done, transforms.fetch(done, folder)

    # What the monitor says.

    def judge(self, model: str) -> None:
        """Have the newest hour judged now."""
        Judgements(self.environment, model).judge()

    def drift(self, model: str, column: str | None = None) -> list[Window]:
        """The newest window of every variant."""
        return chosen(Judgements(self.environment, model).windows(), column)

    def drift_alarms(self, model: str) -> list[AlarmState]:
        return Judgements(self.environment, model).alarms(DRIFT_SIGNALS)

    def quality(self, model: str) -> Quality:
        """The newest look at quality, with its bounds and how many outcomes are known."""
        return Judgements(self.environment, model).quality()

    def quality_alarms(self, model: str) -> list[AlarmState]:
        return Judgements(self.environment, model).alarms(QUALITY_SIGNALS)

    # What it costs.

    def cost(self) -> Spending:
        """What is paid a month now, and what an experiment or a canary would add."""
        return spending(self.environment)

    def idle(self, days: int = 7) -> list[Idle]:
        """The endpoints nobody asked for so many days, and what they cost."""
        return idle(seen(self.environment, days), self.environment.now(), days)

    # Why it is as it is.

    def why(self, model: str) -> list[Event]:
        """What led to what serves now, newest first."""
        return explain(self.environment.ledger.events(model), model)

    def report(self, model: str, out: Path | None = None) -> Path:
        """Everything the page shows of a model now, as one HTML file."""
        from delivery.dashboard.looking import Look
        from delivery.dashboard.report import report

        self.environment.model(model)
        place = out or Path(f"{model}-{self.environment.name}.html")
        place.write_text(report(Look(self.environment, model)), encoding="utf-8")
        return place

    def ledger_log(self, model: str | None = None, rows: int | None = None) -> list[Event]:
        """The decisions about a model, or about all, newest first; `rows` of them, or every one."""
        events = self.environment.ledger.events(model)
        if model is not None and not events:
            self.environment.model(model)  # a name that is none is told; a model that is gone has its past
        return events[::-1][:rows]

    def verify_ledger(self) -> list[Break]:
        return self.environment.ledger.verify(self.environment.signer.public_key())
