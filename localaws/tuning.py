"""Hyperparameter tuning: a search that starts real training jobs and learns from their objective.

Random and grid search are exactly that. Bayesian search and Hyperband are done by optuna (a tree-structured Parzen
estimator; its Hyperband pruner), so they search as well as SageMaker's own but not in the same order.
"""

from __future__ import annotations

import itertools
import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localaws import jobs, resources, training
from localaws.announce import announce
from localaws.errors import ValidationException
from localaws.gateway import Operation, Request
from localaws.jobs import Job
from localaws.kinds import TRAINING_JOB, TUNING_JOB
from localaws.objects import Objects
from localaws.plane import Plane
from localaws.store import Body

if TYPE_CHECKING:  # a second of processor time at every start, for something that few starts need
    import optuna
    from optuna.trial import Trial

log = logging.getLogger(__name__)
GROUP = training.GROUP
POLL = 0.5  # real seconds between two looks at what was asked of the tuning job itself


def operations(plane: Plane) -> Mapping[str, Operation]:
    jobs.fail_orphans(plane, TUNING_JOB)
    return {
        **resources.operations(TUNING_JOB, plane.clock.now),
        "CreateHyperParameterTuningJob": lambda request: create(plane, request),
        "StopHyperParameterTuningJob": lambda request: jobs.stop(plane, request, TUNING_JOB),
        "DeleteHyperParameterTuningJob": lambda request: jobs.delete(request, TUNING_JOB),
        "ListTrainingJobsForHyperParameterTuningJob": children,
    }


def create(plane: Plane, request: Request) -> dict[str, Any]:
    params, scope, now = request.params, request.scope, plane.clock.now()
    definitions = definitions_of(params)
    for definition in definitions:
        check(params["HyperParameterTuningJobConfig"], definition)
        training.check_channels(
            Objects(plane.clients, request.account, request.region, definition["RoleArn"]), definition
        )
    body: Body = {
        **resources.without(params, "Tags"),
        "HyperParameterTuningJobStatus": "InProgress",
        "TrainingJobStatusCounters": counters([]),
        "ObjectiveStatusCounters": {"Succeeded": 0, "Pending": 0, "Failed": 0},
    }
    name = params["HyperParameterTuningJobName"]
    row = resources.add(TUNING_JOB, scope, name, body, now=now, tags=params.get("Tags", ()))
    jobs.begin(plane, row, TUNING_JOB, GROUP, lambda job: Tuning(job).run())
    return {"HyperParameterTuningJobArn": row.arn}


def definitions_of(params: Mapping[str, Any]) -> list[Body]:
    one, several = params.get("TrainingJobDefinition"), params.get("TrainingJobDefinitions")
    if (one is None) == (several is None):
        raise ValidationException("Exactly one of TrainingJobDefinition and TrainingJobDefinitions must be provided.")
    return [one] if one else list(several or ())


def check(config: Mapping[str, Any], definition: Mapping[str, Any]) -> None:
    ranges, objective = goal(config, definition)
    if objective is None:
        raise ValidationException("A tuning job needs a HyperParameterTuningJobObjective.")
    names = {item["Name"] for item in definition["AlgorithmSpecification"].get("MetricDefinitions", ())}
    if objective["MetricName"] not in names:
        raise ValidationException(
            f"The objective metric for the hyperparameter tuning job, [{objective['MetricName']}], isn't valid for the"
            f" algorithm. Choose one of the metrics it defines: [{', '.join(sorted(names))}]."
        )
    numeric = ranges.get("IntegerParameterRanges", []) + ranges.get("ContinuousParameterRanges", [])
    if config["Strategy"] == "Grid" and numeric:
        raise ValidationException("Grid search takes categorical parameters only.")
    for item in numeric:
        if float(item["MinValue"]) > float(item["MaxValue"]):
            raise ValidationException(f"MinValue of {item['Name']} must not be greater than its MaxValue.")
    if "MaxNumberOfTrainingJobs" not in config["ResourceLimits"] and config["Strategy"] != "Grid":
        raise ValidationException("ResourceLimits must have MaxNumberOfTrainingJobs.")


def goal(config: Mapping[str, Any], definition: Mapping[str, Any]) -> tuple[Body, Body | None]:
    """Ranges and objective: of the definition when it has its own, else of the whole job."""
    return (
        definition.get("HyperParameterRanges") or config.get("ParameterRanges", {}),
        definition.get("TuningObjective") or config.get("HyperParameterTuningJobObjective"),
    )


def space(ranges: Mapping[str, Any]) -> dict[str, Any]:
    """Each parameter with what it may be."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for item in ranges.get("IntegerParameterRanges", ()):
        found[item["Name"]] = IntDistribution(int(item["MinValue"]), int(item["MaxValue"]), log=_is_log(item))
    for item in ranges.get("ContinuousParameterRanges", ()):
        found[item["Name"]] = FloatDistribution(float(item["MinValue"]), float(item["MaxValue"]), log=_is_log(item))
    for item in ranges.get("CategoricalParameterRanges", ()):
        found[item["Name"]] = CategoricalDistribution(item["Values"])
    return found


def _is_log(item: Mapping[str, str]) -> bool:
    scaling = item.get("ScalingType", "Auto")
    low = float(item["MinValue"])
    return scaling == "Logarithmic" or (scaling == "Auto" and low > 0 and float(item["MaxValue"]) / low >= 1000)


def study_for(config: Mapping[str, Any], distributions: Mapping[str, Any], maximize: bool) -> optuna.Study:
    import optuna

    seed = config.get("RandomSeed", 0)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed)
    if config["Strategy"] in {"Bayesian", "Hyperband"}:
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=5, constant_liar=True)
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if config["Strategy"] == "Hyperband":
        limits = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
        pruner = optuna.pruners.HyperbandPruner(limits.get("MinResource", 1), limits.get("MaxResource", "auto"))
    elif config.get("TrainingJobEarlyStoppingType") == "Auto":
        pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1)
    direction = "maximize" if maximize else "minimize"
    study = optuna.create_study(direction=direction, sampler=sampler, pruner=pruner)
    if config["Strategy"] == "Grid":
        for values in itertools.product(*(spread.choices for spread in distributions.values())):
            study.enqueue_trial(dict(zip(distributions, values, strict=True)))
    return study


@dataclass
class Child:
    """One training job of the search."""

    name: str
    arn: str
    trial: Trial
    steps: int = 0


class Tuning:
    """One tuning job at work."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.asked = job.body
        self.config: Body = self.asked["HyperParameterTuningJobConfig"]
        self.children: list[str] = []
        self._lock = threading.Lock()

    def run(self) -> None:
        try:
            self._announce()
            for definition in definitions_of(self.asked):
                self._search(definition)
            stopped = self.job.live.asked == "stop"
            best = self.job.body.get("BestTrainingJob")
            if not stopped and not best:
                reason = (
                    "All training jobs failed. Please take a look at the training jobs failures to get more details."
                )
                self._close("Failed", FailureReason=reason)
            else:
                self._close("Stopped" if stopped else "Completed")
        except Exception:
            self._close("Failed", FailureReason=jobs.HOST_LOST)
            raise

    def _search(self, definition: Body) -> None:
        """Keep as many children running as may, until enough were started, the grid is done, or the goal is reached."""
        ranges, objective = goal(self.config, definition)
        objective = objective or {}
        distributions = space(ranges)
        study = study_for(self.config, distributions, objective["Type"] == "Maximize")
        limits = self.config["ResourceLimits"]
        total = limits.get("MaxNumberOfTrainingJobs") or _grid_size(distributions)
        if self.config["Strategy"] == "Grid":
            total = min(total, _grid_size(distributions))
        slots = threading.Semaphore(limits["MaxParallelTrainingJobs"])
        threads: list[threading.Thread] = []
        for _ in range(total):
            while not slots.acquire(timeout=POLL):
                if self._over(study, objective):
                    break
            if self._over(study, objective):
                break
            with self._lock:
                trial = study.ask(distributions)
            child = self._start(definition, trial, objective)
            thread = threading.Thread(target=self._follow, args=(study, child, objective, slots), daemon=True)
            thread.start()
            threads.append(thread)
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(POLL)
            if self.job.live.asked == "stop":
                self._stop_children()

    def _over(self, study: optuna.Study, objective: Mapping[str, Any]) -> bool:
        from optuna.trial import TrialState

        target = self.config.get("TuningJobCompletionCriteria", {}).get("TargetObjectiveMetricValue")
        if self.job.live.asked == "stop":
            return True
        values = [trial.value for trial in study.get_trials(states=(TrialState.COMPLETE,)) if trial.value is not None]
        if target is None or not values:
            return False
        return max(values) >= target if objective["Type"] == "Maximize" else min(values) <= target

    def _start(self, definition: Body, trial: Trial, objective: Mapping[str, Any]) -> Child:
        number = len(self.children) + 1
        name = f"{self.job.name}-{number:03d}-{uuid.uuid4().hex[:8]}"
        tuned = {key: str(value) for key, value in trial.params.items()}
        static = definition.get("StaticHyperParameters", {})
        kept = (
            "AlgorithmSpecification",
            "RoleArn",
            "InputDataConfig",
            "VpcConfig",
            "OutputDataConfig",
            "ResourceConfig",
        )
        kept += ("StoppingCondition", "EnableNetworkIsolation", "EnableManagedSpotTraining", "CheckpointConfig")
        kept += ("Environment", "RetryStrategy")
        params: Body = {
            **{key: definition[key] for key in kept if key in definition},
            "TrainingJobName": name,
            "HyperParameters": {**static, **tuned, "_tuning_objective_metric": objective["MetricName"]},
            "TuningJobArn": self.asked["HyperParameterTuningJobArn"],
            "TunedHyperParameters": tuned,
            "TrainingJobDefinitionName": definition.get("DefinitionName"),
        }
        child = Child(name, "", trial)

        def seen(metrics: Sequence[tuple[str, float, float]]) -> None:
            for metric, value, _ in metrics:
                if metric == objective["MetricName"]:
                    self._report(child, value)

        child.arn = training.start(self.job.plane, self.job.scope, params, on_tick=seen).arn
        with self._lock:
            self.children.append(name)
        self._count()
        return child

    def _report(self, child: Child, value: float) -> None:
        """A child that does worse than the others at the same step is stopped early."""
        with self._lock:
            child.trial.report(value, child.steps)
            child.steps += 1
            hopeless = child.trial.should_prune()
        live = self.job.plane.board.get(child.arn)
        if hopeless and live:
            live.ask("stop")

    def _follow(
        self, study: optuna.Study, child: Child, objective: Mapping[str, Any], slots: threading.Semaphore
    ) -> None:
        from optuna.trial import TrialState

        try:
            live = self.job.plane.board.get(child.arn)
            if live:
                live.done.wait()
            body = resources.find(TRAINING_JOB, self.job.scope, child.name).body
            values = [
                m["Value"] for m in body.get("FinalMetricDataList", ()) if m["MetricName"] == objective["MetricName"]
            ]
            with self._lock:
                if values and body["TrainingJobStatus"] != "Failed":
                    study.tell(child.trial, values[-1])
                else:
                    study.tell(child.trial, state=TrialState.FAIL)
            self._count()
        except Exception:
            log.exception("the training job %s could not be followed", child.name)
        finally:
            slots.release()

    def _count(self) -> None:
        """What Describe tells of the children."""
        with self._lock:
            bodies = [resources.find(TRAINING_JOB, self.job.scope, name).body for name in self.children]
            summaries = ranked(bodies, self.asked)
            done = [item for item in summaries if "FinalHyperParameterTuningJobObjectiveMetric" in item]
            ended = [body for body in bodies if body["TrainingJobStatus"] in jobs.FINAL]
            objectives = {
                "Succeeded": len([body for body in ended if _objective(body, self.asked) is not None]),
                "Pending": len(bodies) - len(ended),
                "Failed": len([body for body in ended if _objective(body, self.asked) is None]),
            }
            self.job.note(
                TrainingJobStatusCounters=counters(bodies),
                ObjectiveStatusCounters=objectives,
                **({"BestTrainingJob": done[0]} if done else {}),
            )

    def _stop_children(self) -> None:
        for name in self.children:
            row = resources.find(TRAINING_JOB, self.job.scope, name)
            live = self.job.plane.board.get(row.arn)
            if live:
                live.ask("stop")

    def _close(self, status: str, **members: Any) -> None:
        self.job.note(HyperParameterTuningJobStatus=status, HyperParameterTuningEndTime=self.job.now(), **members)
        self._announce()

    def _announce(self) -> None:
        body = self.job.body
        kind = "SageMaker HyperParameter Tuning Job State Change"
        announce(self.job.plane.courier, self.job.scope, kind, body, [body["HyperParameterTuningJobArn"]])


def _grid_size(distributions: Mapping[str, Any]) -> int:
    size = 1
    for spread in distributions.values():
        size *= len(spread.choices)
    return size


def counters(bodies: Sequence[Body]) -> Body:
    statuses = [body["TrainingJobStatus"] for body in bodies]
    return {
        "Completed": statuses.count("Completed"),
        "InProgress": statuses.count("InProgress") + statuses.count("Stopping"),
        "RetryableError": 0,
        "NonRetryableError": statuses.count("Failed"),
        "Stopped": statuses.count("Stopped"),
    }


def _objective(body: Body, tuning: Body) -> float | None:
    """A child's value of the objective, when it ended with one."""
    names = {
        (goal(tuning["HyperParameterTuningJobConfig"], item)[1] or {})["MetricName"] for item in definitions_of(tuning)
    }
    if body["TrainingJobStatus"] not in {"Completed", "Stopped"}:
        return None
    found = [metric["Value"] for metric in body.get("FinalMetricDataList", ()) if metric["MetricName"] in names]
    return found[-1] if found else None


def summary(body: Body, tuning: Body) -> Body:
    objective = goal(tuning["HyperParameterTuningJobConfig"], definitions_of(tuning)[0])[1] or {}
    value = _objective(body, tuning)
    return {
        **body,
        "TrainingJobDefinitionName": body.get("TrainingJobDefinitionName"),
        "TunedHyperParameters": body.get("TunedHyperParameters", {}),
        **(
            {
                "FinalHyperParameterTuningJobObjectiveMetric": {**objective, "Value": value},
                "ObjectiveStatus": "Succeeded",
            }
            if value is not None
            else {"ObjectiveStatus": "Failed" if body["TrainingJobStatus"] in jobs.FINAL else "Pending"}
        ),
    }


def ranked(bodies: Sequence[Body], tuning: Body) -> list[Body]:
    """Children by their objective, the best first; those without one last."""
    objective = goal(tuning["HyperParameterTuningJobConfig"], definitions_of(tuning)[0])[1] or {}
    sign = -1.0 if objective.get("Type") == "Maximize" else 1.0

    def key(item: Body) -> tuple[bool, float]:
        metric = item.get("FinalHyperParameterTuningJobObjectiveMetric")
        return (metric is None, sign * metric["Value"] if metric else 0.0)

    return sorted((summary(body, tuning) for body in bodies), key=key)


def children(request: Request) -> dict[str, Any]:
    params = request.params
    row = resources.find(TUNING_JOB, request.scope, params["HyperParameterTuningJobName"])
    bodies = [job.body for job in request.scope.all(TRAINING_JOB.kind) if job.body.get("TuningJobArn") == row.arn]
    wanted = params.get("StatusEquals")
    found = [item for item in ranked(bodies, row.body) if wanted in (None, item["TrainingJobStatus"])]
    by = params.get("SortBy", "Name")
    if by == "FinalObjectiveMetricValue":

        def value(item: Body) -> float:
            return item.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value", float("-inf"))

        return resources.page(found, request, key=value)
    keys = {"Name": "TrainingJobName", "CreationTime": "CreationTime", "Status": "TrainingJobStatus"}
    return resources.page(found, request, key=lambda item: item[keys[by]])
