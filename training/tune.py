"""Look for the family and the hyperparameters that validate best, and stop looking when it no longer helps."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contract.stages import (
    BEST_FILE,
    CLASSIFICATION_METRICS,
    METRICS,
    REGRESSION_METRICS,
    REPORT_FILE,
    TRAIN,
    VALIDATION,
)
from families.discovery import find
from families.family import Family, Table
from families.hyperparameters import Hyperparameter, HyperparameterError
from training.report import Report
from training.scores import metrics
from training.settings import Settings

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

RUNGS = (0.1, 0.3, 1.0)  # shares of the training rows: what is poor on few is not tried on all
FEWEST_ON_A_RUNG = 1000
HISTORY = "tune.journal"


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best that was found, and everything that was tried."""

    objective: str
    value: float
    family: str
    of_family: Mapping[str, Any]
    trials: Sequence[Mapping[str, Any]]

    def hyperparameters(self) -> dict[str, str]:
        """The best as hyperparameters of a run."""
        return {"family": self.family} | {name: str(value) for name, value in self.of_family.items()}


def tune(
    tables: Mapping[str, Table],
    settings: Settings,
    history: Path,
    *,
    say: Callable[[str], None] = print,
    now: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Try combinations until trials, patience or time are used up; goes on from `history` when there is one."""
    schema = tables[TRAIN].schema
    objective = settings.objective_for(schema.task)
    known = CLASSIFICATION_METRICS if schema.task == "classification" else REGRESSION_METRICS
    if objective not in known:
        raise HyperparameterError(f"objective is '{objective}', and a {schema.task} has {', '.join(known)}")
    families = [find(name) for name in settings.tune_families or (settings.family,)]
    unfit = [family.name for family in families if schema.task not in family.tasks]
    if unfit:
        raise HyperparameterError(f"tune_families names {', '.join(unfit)}, which cannot do a {schema.task}")
    study = _open(history, objective, settings)
    started = now()
    while _should_go_on(study, settings, now() - started):
        number = len(finished(study))
        study.sampler = _sampler(settings, number)
        trial = study.ask()
        value = _try(trial, families, tables, objective, settings)
        if value is None:
            say(f"trial {number}: poor on few rows, left")
        else:
            say(f"trial {number}: {VALIDATION}_{objective}={value:.8g} {_summary(trial.params)}")
    return _best(study, objective, families)


def _open(history: Path, objective: str, settings: Settings) -> Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    history.parent.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        study_name=f"{objective}-{settings.seed}",
        storage=JournalStorage(JournalFileBackend(str(history))),
        direction="maximize" if METRICS[objective] == "higher" else "minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
        load_if_exists=True,
    )


def _sampler(settings: Settings, number: int) -> BaseSampler:
    """A sampler of its own per trial, so that a search resumed draws what one never interrupted draws."""
    from optuna.samplers import RandomSampler, TPESampler

    if settings.tune_sampler == "random":
        return RandomSampler(seed=settings.seed + number)
    return TPESampler(seed=settings.seed + number, n_startup_trials=8)


def _should_go_on(study: Study, settings: Settings, seconds: float) -> bool:
    done = finished(study)
    if len(done) >= settings.tune_trials or seconds >= settings.tune_seconds:
        return not done
    places = [at for at, trial in enumerate(done) if trial.value is not None]
    since_best = (
        len(done) - 1 - next(at for at in places if done[at].number == study.best_trial.number) if places else 0
    )
    return since_best < settings.tune_patience


def finished(study: Study) -> list[FrozenTrial]:
    """The trials that came to an end; one that was running when the machine went away is as if never begun."""
    return [trial for trial in study.trials if trial.state.is_finished()]


def _try(
    trial: Trial, families: Sequence[Family], tables: Mapping[str, Table], objective: str, settings: Settings
) -> float | None:
    """One combination, on more and more rows; None when it was given up."""
    from optuna.trial import TrialState

    names = [family.name for family in families]
    name = trial.suggest_categorical("family", names) if len(names) > 1 else names[0]
    family = next(each for each in families if each.name == str(name))
    searched = {each.name: _suggest(trial, family, each) for each in family.hyperparameters if each.search}
    given = _defaults(family, settings) | searched
    value = float("nan")
    for rung, table in enumerate(_rungs(tables[TRAIN], settings.seed)):
        model = family.fit(table, given, seed=settings.seed)
        found = metrics(model.predict(tables[VALIDATION].rows), tables[VALIDATION].target, table.schema)
        if objective not in found:
            raise HyperparameterError(
                f"the objective '{objective}' cannot be worked out: a class has no row among the validation rows; "
                "choose log_loss, or bring validation rows of every class"
            )
        value = found[objective]
        trial.report(value, rung)
        if trial.should_prune():
            trial.study.tell(trial, state=TrialState.PRUNED)
            return None
    trial.study.tell(trial, value)
    return value


def _defaults(family: Family, settings: Settings) -> dict[str, Any]:
    given = settings.of_family if family.name == settings.family else {}
    return {each.name: given.get(each.name, each.default) for each in family.hyperparameters}


def _suggest(trial: Trial, family: Family, each: Hyperparameter) -> Any:
    name, (low, high) = f"{family.name}.{each.name}", each.search or (0, 0)
    if each.kind == "integer":
        return trial.suggest_int(name, int(low), int(high), log=each.log)
    return trial.suggest_float(name, low, high, log=each.log)


def _rungs(table: Table, seed: int) -> list[Table]:
    """Growing samples of the rows, each within the next; only all of them when there are few."""
    order = np.random.default_rng(seed).permutation(len(table.target))
    sizes = [int(share * len(order)) for share in RUNGS]
    return [
        Table(table.schema, table.rows[np.sort(order[:size])], table.target[np.sort(order[:size])])
        for size in sizes
        if size >= FEWEST_ON_A_RUNG or size == len(order)
    ]


def _best(study: Study, objective: str, families: Sequence[Family]) -> Tuned:
    best = study.best_trial
    name = str(best.params.get("family", families[0].name))
    chosen = {key.partition(".")[2]: value for key, value in best.params.items() if key.startswith(f"{name}.")}
    trials = [
        {"trial": at, "state": each.state.name.lower(), "value": each.value, **each.params}
        for at, each in enumerate(finished(study))
    ]
    return Tuned(objective, float(best.value or 0.0), name, chosen, trials)


def _summary(given: Mapping[str, Any]) -> str:
    short = {
        name.rpartition(".")[2]: f"{value:.4g}" if isinstance(value, float) else value for name, value in given.items()
    }
    return " ".join(f"{name}={value}" for name, value in short.items())


def write_tuned(tuned: Tuned, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    best = {"objective": tuned.objective, "value": tuned.value, "hyperparameters": tuned.hyperparameters()}
    (folder / BEST_FILE).write_text(json.dumps(best, indent=1) + "\n")
    report = Report("Tuning")
    report.facts({"objective": tuned.objective, "best": tuned.value, **tuned.hyperparameters()})
    columns = list(dict.fromkeys(name for trial in tuned.trials for name in trial))
    report.table(columns, ([trial.get(name, "") for name in columns] for trial in tuned.trials))
    (folder / REPORT_FILE).write_text(report.page())
