"""The stages as jobs of their own: each reads its folders and writes its folders, as contract/stages.py names them."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import polars as pl

from contract.places import ARTIFACT, Container
from contract.records import Manifest, Schema
from contract.stages import SCHEMA_FILE, STAGES, TRAIN, VALIDATION
from families.artifact import ArtifactError, unpack
from families.family import FamilyError
from families.opening import Predictor, open_artifact, open_own_form
from training.channels import ChannelError, Hosts, data_files, read_files, run_name
from training.checkpoints import FileJournal
from training.evaluate import evaluate, slow_answer, write_evaluation
from training.explain import explain, write_explanation
from training.features import features, infer_schema, read_features, table, write_features
from training.fit import fit, predictor_of, run_key, write_artifact
from training.gather import gather
from training.settings import Settings
from training.snapshot import Snapshot, read_snapshot, snapshot, write_snapshot
from training.tune import HISTORY, tune, write_tuned
from training.validate import validate, write_report


class Folders:
    """Where a stage's inputs and outputs stand in this container."""

    def __init__(self, container: Container, stage: str) -> None:
        self._container = container
        self._paths = {place.name: place.path for place in (*STAGES[stage].reads, *STAGES[stage].writes)}

    def __getitem__(self, name: str) -> Path:
        return self._container.base / self._paths[name]


def run_snapshot(container: Container, settings: Settings) -> None:
    folders = Folders(container, "snapshot")
    files = data_files(folders["raw"])
    if not files:
        raise ChannelError(f"no data file below '{folders['raw']}'")
    here = {TRAIN: read_files(files, header=settings.header, target=settings.target)}
    rows = gather(here, Hosts.of_processing(container), run_name(container))
    if rows is not None:
        taken = snapshot(rows, settings, hold_out_test=True)
        write_snapshot(taken, folders["snapshot"])
        print(f"snapshot: {taken.data_hash} {' '.join(f'{name}={len(each)}' for name, each in taken.splits.items())}")


def run_validate(container: Container, settings: Settings) -> None:
    folders = Folders(container, "validate")
    taken = read_snapshot(folders["snapshot"])
    report = validate(taken, schema_of(taken, settings), settings, expected_schema(folders["snapshot"]))
    write_report(report, folders["data_report"])
    print(f"data report: {len(report.errors)} errors, {len(report.findings) - len(report.errors)} warnings")
    report.demand()


def run_features(container: Container, settings: Settings) -> None:
    folders = Folders(container, "features")
    taken = read_snapshot(folders["snapshot"])
    tables = features(taken.splits, schema_of(taken, settings))
    write_features(tables, folders["features"], taken.data_hash)
    print(f"features: {len(tables[TRAIN].schema.columns)} columns, {schema_in_words(tables[TRAIN].schema)}")


def run_tune(container: Container, settings: Settings) -> None:
    folders = Folders(container, "tune")
    tables, _ = read_features(folders["features"])
    found = tune(tables, settings, container.checkpoints / HISTORY)
    write_tuned(found, folders["tuning"])
    print(f"tuned: {found.family} {found.objective}={found.value:.8g}")


def run_fit(container: Container, settings: Settings) -> None:
    folders = Folders(container, "fit")
    tables, data_hash = read_features(folders["features"])
    journal = FileJournal(container.checkpoints, run_key(tables[TRAIN], settings, data_hash))
    model = fit(tables[TRAIN], settings, journal=journal)
    scored = evaluate(predictor_of(model), tables[VALIDATION], split=VALIDATION, seed=settings.seed)
    metrics = {f"{VALIDATION}_{name}": value for name, value in scored.metrics.items()}
    print(" ".join(f"{name}={value:.8g}" for name, value in metrics.items()))
    schema = tables[TRAIN].schema
    manifest = write_artifact(folders["model"], model, schema, settings, metrics=metrics, data_hash=data_hash)
    print(f"artifact: {manifest.family}, {len(manifest.files)} files vouched for")


def run_evaluate(container: Container, settings: Settings) -> None:
    folders = Folders(container, "evaluate")
    manifest, model = open_given(folders["model"])
    frame, split = held_out(folders["snapshot"])
    rows = table(frame, manifest.schema)
    found = evaluate(model, rows, split=split, seed=settings.seed, slices=settings.slices)
    write_evaluation(found, folders["evaluation"], frame, about(manifest), slow_answer(model, rows.rows))
    print(" ".join(f"{split}_{name}={value:.8g}" for name, value in found.metrics.items()))


def run_explain(container: Container, settings: Settings) -> None:
    folders = Folders(container, "explain")
    manifest, model = open_given(folders["model"])
    frame, _ = held_out(folders["snapshot"])
    own_form = own_form_of(folders["model"], manifest)
    found = explain(model, table(frame, manifest.schema), seed=settings.seed, own_form=own_form)
    write_explanation(found, folders["explanation"])
    print(f"explained: most important first, {', '.join(each.column for each in found.importances[:5])}")


RUN: Mapping[str, Callable[[Container, Settings], None]] = {
    "snapshot": run_snapshot,
    "validate": run_validate,
    "features": run_features,
    "tune": run_tune,
    "fit": run_fit,
    "evaluate": run_evaluate,
    "explain": run_explain,
}


def schema_of(taken: Snapshot, settings: Settings) -> Schema:
    return infer_schema(
        taken.train, settings.target, task=settings.task, drop=settings.drop, categories=settings.categories
    )


def schema_in_words(schema: Schema) -> str:
    categories = sum(column.is_category for column in schema.columns)
    return f"{categories} of them categories; a {schema.task} of '{schema.target}'"


def expected_schema(folder: Path) -> Schema | None:
    """The schema somebody laid beside the data: what the rows are to look like."""
    path = folder / SCHEMA_FILE
    return Schema.from_json(json.loads(path.read_bytes())) if path.is_file() else None


def open_given(folder: Path) -> tuple[Manifest, Predictor]:
    """The artifact in a folder, unpacked first when it came as a training job uploads it."""
    return open_artifact(unpacked(folder))


@cache
def unpacked(folder: Path) -> Path:
    """Where the artifact's files are; an archive is unpacked beside, because inputs may not be writable."""
    archive = folder / ARTIFACT
    if not archive.is_file():
        return folder
    there = Path(tempfile.mkdtemp(prefix="artifact-"))
    atexit.register(shutil.rmtree, there, ignore_errors=True)
    unpack(archive, there)
    return there


def own_form_of(folder: Path, manifest: Manifest) -> Predictor | None:
    """The model in its library, where that is installed in the version that made it; an explanation can do without."""
    try:
        return open_own_form(unpacked(folder), manifest)
    except (ArtifactError, FamilyError) as reason:
        print(f"explain: no shares per answer ({reason})")
        return None


def held_out(folder: Path) -> tuple[pl.DataFrame, str]:
    taken = read_snapshot(folder)
    return taken.splits[taken.evaluated_on], taken.evaluated_on


def about(manifest: Manifest) -> dict[str, object]:
    """What a report says of the model it is about."""
    return {
        "family": manifest.family,
        "data_hash": manifest.data_hash,
        "code_hash": manifest.code_hash,
        "seed": manifest.seed,
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
    }
