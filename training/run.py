"""A whole run in one process: from the channels to the artifact, and an ending that SageMaker and people understand."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from contract.places import Container
from contract.records import RecordError
from contract.stages import DATA_REFUSED, DONE, FAILED, SPLITS, STOPPED, TRAIN, VALIDATION, WRONG_SETTINGS
from families.artifact import ArtifactError
from families.discovery import find
from families.family import FamilyError, Table
from families.hyperparameters import HyperparameterError, read_all
from training.channels import ChannelError, Hosts, channel_names, read_channel, run_name, sharded_channels
from training.checkpoints import FileJournal, StoppedError, stoppable
from training.evaluate import evaluate, sliced_columns, write_evaluation
from training.explain import explain, write_explanation
from training.features import FeatureError, features
from training.fit import fit, predictor_of, run_key, write_artifact
from training.gather import gather
from training.settings import Settings, settings_of
from training.snapshot import Snapshot, snapshot
from training.stages import RUN, about, expected_schema, schema_of
from training.tracking import Tracked, log
from training.tune import HISTORY, tune, write_tuned
from training.validate import DataRefusedError, validate, write_report

CALLERS_FAULT = (HyperparameterError, FamilyError, ChannelError, FeatureError, ArtifactError, RecordError)
LONGEST_REASON = 1024  # SageMaker shows no more of it


def train(container: Container, more: Mapping[str, object] | None = None) -> int:
    """Train as SageMaker asks, and answer the exit code; see contract/stages.py for what each means."""
    return ended(container, lambda: _train(container, settings_of(container, more)))


def run_stage(name: str, container: Container, more: Mapping[str, object]) -> int:
    """Run one stage alone, and answer the exit code."""
    return ended(container, lambda: RUN[name](container, settings_of(container, more)))


def ended(container: Container, work: Callable[[], None]) -> int:
    """The exit code of the work; a reason that a person understands goes where SageMaker looks for it."""
    try:
        with stoppable():
            work()
    except StoppedError:
        print("stopped by SIGTERM: what was kept in the checkpoints is where the same run goes on", flush=True)
        return STOPPED
    except DataRefusedError as problem:
        return _fail(container, str(problem), DATA_REFUSED)
    except CALLERS_FAULT as problem:
        return _fail(container, str(problem), WRONG_SETTINGS)
    except Exception as problem:  # noqa: BLE001 - whatever it is, SageMaker shows only what the failure file says
        traceback.print_exc()
        where = traceback.extract_tb(problem.__traceback__)[-1]
        said = f"{type(problem).__name__}: {problem} (in {Path(where.filename).name}, line {where.lineno}; see the log)"
        return _fail(container, said, FAILED)
    return DONE


def _fail(container: Container, reason: str, code: int) -> int:
    container.output.mkdir(parents=True, exist_ok=True)
    for path in (container.failure, container.message):
        path.write_text(reason[:LONGEST_REASON])
    print(f"failed: {reason}", file=sys.stderr, flush=True)
    return code


def _train(container: Container, settings: Settings) -> None:
    channels = read_channels(container, settings)
    if channels is None:
        print("the rows of this host are with the leader; nothing more to do here")
        return
    reports = container.output_data
    taken = snapshot(channels, settings, hold_out_test=settings.tune_trials > 0)
    print(f"snapshot: {taken.data_hash} {' '.join(f'{name}={len(each)}' for name, each in taken.splits.items())}")
    schema = schema_of(taken, settings)
    sliced_columns(schema, settings.slices)  # a name that is wrong is better known before the fit
    report = validate(taken, schema, settings, expected_schema(container.channel("schema")))
    write_report(report, reports / "data_report")
    for finding in report.findings:
        print(f"data {finding.level}: {finding.says}")
    report.demand()
    tables = features(taken.splits, schema)
    if settings.tune_trials:
        settings = _tuned(tables, settings, container)
    _fit_and_judge(taken, tables, settings, container)


def read_channels(container: Container, settings: Settings) -> dict[str, pl.DataFrame] | None:
    """The rows of every channel of this run on the host that leads; None on the others, whose rows are sent to it."""
    names = [name for name in channel_names(container) if name in SPLITS]
    if TRAIN not in names:
        raise ChannelError(
            f"there is no channel '{TRAIN}'; the channels are: {', '.join(channel_names(container)) or 'none'}"
        )
    hosts, sharded = Hosts.of(container), sharded_channels(container)
    wanted = names if hosts.leads else [name for name in names if name in sharded]
    rows = {name: read_channel(container, name, header=settings.header, target=settings.target) for name in wanted}
    parts = {name: each for name, each in rows.items() if name in sharded}
    gathered = gather(parts, hosts, run_name(container)) if sharded else {}
    if not hosts.leads:
        return None
    return rows | (gathered or {})


def _tuned(tables: Mapping[str, Table], settings: Settings, container: Container) -> Settings:
    found = tune(tables, settings, container.checkpoints / HISTORY)
    write_tuned(found, container.output_data / "tuning")
    chosen = find(found.family)
    given = settings.of_family if found.family == settings.family else {}
    of_family = read_all(chosen.hyperparameters, {**given, **found.of_family})
    print(f"tuned: {found.family} {found.objective}={found.value:.8g}")
    return replace(settings, family=found.family, of_family=of_family)


def _fit_and_judge(taken: Snapshot, tables: Mapping[str, Table], settings: Settings, container: Container) -> None:
    reports, schema = container.output_data, tables[TRAIN].schema
    began = time.monotonic()
    journal = FileJournal(container.checkpoints, run_key(tables[TRAIN], settings, taken.data_hash))
    model = fit(tables[TRAIN], settings, journal=journal)
    print(f"fit_seconds={time.monotonic() - began:.3f}")
    answering, split = predictor_of(model), taken.evaluated_on
    checked = evaluate(answering, tables[VALIDATION], split=VALIDATION, seed=settings.seed, slices=settings.slices)
    print(" ".join(f"{VALIDATION}_{name}={value:.8g}" for name, value in checked.metrics.items()), flush=True)
    tested = checked
    if split != VALIDATION:
        tested = evaluate(answering, tables[split], split=split, seed=settings.seed, slices=settings.slices)
    metrics = {f"{each.split}_{name}": value for each in (checked, tested) for name, value in each.metrics.items()}
    manifest = write_artifact(container.model, model, schema, settings, metrics=metrics, data_hash=taken.data_hash)
    write_evaluation(tested, reports / "evaluation", taken.splits[split], about(manifest))
    if settings.explain:
        found = explain(answering, tables[split], seed=settings.seed, own_form=model)
        write_explanation(found, reports / "explanation")
    params = {"family": settings.family, "seed": settings.seed, **settings.of_family}
    tags = {"data_hash": manifest.data_hash, "code_hash": manifest.code_hash, "family": manifest.family}
    folders = {each.name: each for each in sorted(reports.iterdir()) if each.is_dir() and each.name != "mlflow"}
    print(log(Tracked(params, metrics, tags, {**folders, "model": container.model}), reports / "mlflow"))
    journal.clear()
    print(f"artifact: {manifest.family}, {len(manifest.files)} files vouched for", flush=True)
