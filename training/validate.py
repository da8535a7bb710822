"""Refuse data nobody should train on, and say in words a person can act on what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from contract.records import Column, Schema
from contract.stages import DATA_REPORT_FILE, REPORT_FILE, TRAIN
from families.encoding import UNSEEN
from families.family import Matrix
from training.features import encode, targets
from training.report import Report
from training.settings import Settings
from training.snapshot import Snapshot

Level = Literal["error", "warning"]

FEWEST_ROWS = 20
FEWEST_OF_A_CLASS = 2
RARE_CLASS = 0.01
MUCH_MISSING = 0.6
MANY_DUPLICATES, SOME_DUPLICATES = 0.5, 0.01
MANY_SHARED_ROWS = 0.01  # rows of another split that stand in train as well
TOO_GOOD = 0.995  # one column alone ranks or names the target this well: it was hardly known beforehand
MANY_UNSEEN = 0.2
MANY_OUT_OF_RANGE = 0.05
ENOUGH_PER_LEVEL = 5  # rows per level on average before its purity says anything
LOOKED_AT = 50_000  # rows that are enough to see a leak
NEARLY_ALL_NUMBERS = 0.95  # of a text column's values: the rest are then taken for mistakes
MANY_NUMBERS = 20  # different ones; fewer are taken for codes


class DataRefusedError(Exception):
    """The data has errors; the text lists them and what to do about each."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in the data: which check, on which column, how bad, and what to do."""

    check: str
    level: Level
    says: str
    column: str = ""


@dataclass(frozen=True, slots=True)
class DataReport:
    """Everything the checks found."""

    findings: tuple[Finding, ...]
    rows: Mapping[str, int]
    data_hash: str

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == "error"]

    @property
    def passed(self) -> bool:
        return not self.errors

    def to_json(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "data_hash": self.data_hash,
            "rows": dict(self.rows),
            "findings": [
                {"check": each.check, "level": each.level, "column": each.column, "says": each.says}
                for each in self.findings
            ],
        }

    def demand(self) -> None:
        """Raise what is wrong, when something is."""
        if self.errors:
            checks = ",".join(sorted({each.check for each in self.errors}))
            raise DataRefusedError(
                "the data is refused:\n"
                + "\n".join(f"- {each.says}" for each in self.errors)
                + f"\nIf you know better, the hyperparameter allow={checks} turns these into warnings."
            )

    def page(self) -> str:
        report = Report("Data report")
        report.facts({"verdict": "passed" if self.passed else "refused", "data hash": self.data_hash, **self.rows})
        for each in self.findings:
            report.says(f"{each.level}: {each.says}", each.level)
        if not self.findings:
            report.says("Every check passed and there is nothing to remark.")
        return report.page()


def validate(taken: Snapshot, schema: Schema, settings: Settings, expected: Schema | None = None) -> DataReport:
    """Every check over every split; what `allow` names is demoted to a warning."""
    found = [*_of_rows(taken), *_of_target(taken.train, schema), *_of_columns(taken.train, schema)]
    found += _of_words_among_numbers(taken.train, schema, settings)
    found += [*_of_duplicates(taken), *_of_leakage(taken.train, schema), *_of_other_splits(taken, schema)]
    if expected is not None:
        found += _of_expectation(schema, expected)
    judged = [
        Finding(each.check, "warning", each.says, each.column) if each.check in settings.allow else each
        for each in found
    ]
    rows = {name: len(frame) for name, frame in taken.splits.items()}
    return DataReport(tuple(judged), rows, taken.data_hash)


def write_report(report: DataReport, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DATA_REPORT_FILE).write_text(json.dumps(report.to_json(), indent=1) + "\n")
    (folder / REPORT_FILE).write_text(report.page())


def _of_rows(taken: Snapshot) -> Iterator[Finding]:
    if len(taken.train) < FEWEST_ROWS:
        yield Finding(
            "rows", "error", f"there are {len(taken.train)} rows to learn from, at least {FEWEST_ROWS} are needed"
        )


def _of_target(frame: pl.DataFrame, schema: Schema) -> Iterator[Finding]:
    missing = frame[schema.target].null_count()
    if missing:
        level: Level = "error" if missing > len(frame) / 2 else "warning"
        yield Finding(
            "missing", level, f"the target '{schema.target}' is missing in {missing} of {len(frame)} rows; "
            "they are left out", schema.target,
        )  # fmt: skip
    if schema.task == "regression":
        return
    counts = dict(frame[schema.target].drop_nulls().cast(pl.String).value_counts().iter_rows())
    for name, count in sorted(counts.items()):
        if count < FEWEST_OF_A_CLASS:
            yield Finding(
                "balance", "error", f"the class '{name}' has {count} row: nothing can be learned of it; add rows, "
                "or merge it with another class", schema.target,
            )  # fmt: skip
        elif count < RARE_CLASS * len(frame):
            yield Finding(
                "balance", "warning", f"the class '{name}' has {count} of {len(frame)} rows: judge the model by "
                "recall, precision and AUC, not by accuracy", schema.target,
            )  # fmt: skip


def _of_columns(frame: pl.DataFrame, schema: Schema) -> Iterator[Finding]:
    for column in schema.columns:
        values = frame[column.name]
        missing = values.null_count() + (int(values.is_nan().sum()) if values.dtype.is_float() else 0)
        if missing == len(frame):
            yield Finding("missing", "error", f"'{column.name}' has no value at all: drop it", column.name)
        elif missing > MUCH_MISSING * len(frame):
            yield Finding(
                "missing", "warning", f"'{column.name}' is missing in {missing / len(frame):.0%}", column.name
            )
        elif values.n_unique() == 1:
            yield Finding("range", "warning", f"'{column.name}' has one value only and tells nothing", column.name)
        if values.dtype.is_float() and values.is_infinite().any():
            yield Finding(
                "range", "error", f"'{column.name}' holds infinity: find the division that made it, or leave it "
                "missing", column.name,
            )  # fmt: skip
        if column.is_category and len(frame) > FEWEST_ROWS and len(column.levels) > 0.9 * len(frame):
            yield Finding(
                "levels", "warning", f"'{column.name}' has {len(column.levels)} levels in {len(frame)} rows, so it "
                "looks like an identifier: name it in 'drop'", column.name,
            )  # fmt: skip


def _of_words_among_numbers(frame: pl.DataFrame, schema: Schema, settings: Settings) -> Iterator[Finding]:
    """Columns of numbers that a few words turned into text, so that every number would be learned as a name."""
    for column in schema.columns:
        if not column.is_category or column.name in settings.categories:
            continue
        given = pl.DataFrame({"row": np.arange(1, len(frame) + 1), "text": frame[column.name].cast(pl.String)})
        given = given.drop_nulls().with_columns(pl.col("text").cast(pl.Float64, strict=False).alias("number"))
        words = given.filter(pl.col("number").is_null())
        numbers = len(given) - len(words)
        if words.height and numbers >= NEARLY_ALL_NUMBERS * len(given) and given["number"].n_unique() > MANY_NUMBERS:
            row, text = words.row(0)[:2]
            yield Finding(
                "schema", "error", f"{words.height} of the {len(given)} values of '{column.name}' are no numbers, the "
                f"first '{str(text)[:40]}' in row {row}: mend those or leave them empty; if all of them are names, say "
                "so in 'categories'", column.name,
            )  # fmt: skip


def _of_duplicates(taken: Snapshot) -> Iterator[Finding]:
    frame = taken.train
    share = 1 - frame.n_unique() / max(1, len(frame))
    if share > SOME_DUPLICATES:
        level: Level = "error" if share > MANY_DUPLICATES else "warning"
        yield Finding("duplicates", level, f"{share:.1%} of the rows to learn from repeat another one exactly")
    for name, other in taken.splits.items():
        if name == TRAIN or other.columns != frame.columns:
            continue
        known, asked = _comparable(frame, other)
        shared = asked.join(known, on=frame.columns, how="semi", nulls_equal=True).height / max(1, other.height)
        if shared > MANY_SHARED_ROWS:
            yield Finding(
                "leakage", "error", f"{shared:.1%} of the rows of '{name}' stand in the training rows as well, so it "
                "would test memory; cut the splits by something that does not repeat",
            )  # fmt: skip


def _comparable(one: pl.DataFrame, other: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both tables with the same kind in each column: files show whole numbers where another's have fractions."""
    kinds = {
        name: pl.Float64 if kind.is_numeric() and other[name].dtype.is_numeric() else pl.String
        for name, kind in one.schema.items()
        if kind != other[name].dtype
    }
    casts = [pl.col(name).cast(kind) for name, kind in kinds.items()]
    return one.with_columns(casts), other.with_columns(casts)


def _of_leakage(frame: pl.DataFrame, schema: Schema) -> Iterator[Finding]:
    """Columns that alone say the target almost exactly, as only something learned afterwards does."""
    known = frame.filter(pl.col(schema.target).is_not_null()).head(LOOKED_AT)
    if len(known) < FEWEST_ROWS:
        return
    rows, target = encode(known, schema), targets(known, schema)
    for at, column in enumerate(schema.columns):
        strength = _strength(rows[:, at], target, column, schema)
        if strength >= TOO_GOOD:
            yield Finding(
                "leakage", "error", f"'{column.name}' alone tells '{schema.target}' almost exactly ({strength:.3f} of "
                "1): it was probably written after the outcome; drop it unless it is known when the model is asked",
                column.name,
            )  # fmt: skip


def _strength(values: Matrix, target: Matrix, column: Column, schema: Schema) -> float:
    if column.is_category:
        return _purity(values, target, schema)
    given = ~np.isnan(values)
    if given.sum() < FEWEST_ROWS or np.unique(values[given]).size < 2:
        return 0.0
    if schema.task == "regression":
        return float(abs(_ranked_correlation(values[given], target[given])))
    from sklearn.metrics import roc_auc_score

    found = []
    for code in range(len(schema.classes)):
        wanted = target[given] == code
        if 0 < wanted.sum() < wanted.size:
            score = float(roc_auc_score(wanted, values[given]))
            found.append(max(score, 1 - score))
    return min(found, default=0.0)


def _ranked_correlation(one: Matrix, other: Matrix) -> float:
    ranks = [np.argsort(np.argsort(each, kind="stable"), kind="stable").astype(np.float64) for each in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _purity(levels: Matrix, target: Matrix, schema: Schema) -> float:
    """How much of the target a level names, beyond always naming the commonest class."""
    if schema.task == "regression" or np.unique(levels).size * ENOUGH_PER_LEVEL > len(levels):
        return 0.0
    codes = np.unique(levels, return_inverse=True)[1]  # missing is a level of its own
    counts = np.zeros((int(codes.max()) + 1, len(schema.classes)))
    np.add.at(counts, (codes, target.astype(np.int64)), 1)
    named, commonest = counts.max(axis=1).sum(), counts.sum(axis=0).max()
    return float((named - commonest) / (len(target) - commonest)) if commonest < len(target) else 0.0


def _of_other_splits(taken: Snapshot, schema: Schema) -> Iterator[Finding]:
    for name, frame in taken.splits.items():
        if name == TRAIN:
            continue
        absent = [each for each in (*schema.names, schema.target) if each not in frame.columns]
        if absent:
            yield Finding("schema", "error", f"'{name}' lacks the columns {', '.join(absent)}")
            continue
        yield from _of_other_target(frame, schema, name)
        if kinds := list(_of_other_kinds(frame, schema, name)):
            yield from kinds
            continue
        rows = encode(frame, schema)
        for at, column in enumerate(schema.columns):
            yield from _of_drifted_column(rows[:, at], column, name)


def _of_other_target(frame: pl.DataFrame, schema: Schema, split: str) -> Iterator[Finding]:
    """Targets of another split that training never saw: nothing can answer them."""
    if schema.task == "regression":
        return
    unknown = sorted(set(frame[schema.target].drop_nulls().cast(pl.String).unique()) - set(schema.classes))
    if unknown:
        yield Finding(
            "balance", "error", f"the target '{schema.target}' is {', '.join(unknown[:5])} in rows of '{split}', "
            f"which training never saw; its classes are {', '.join(schema.classes)}", schema.target,
        )  # fmt: skip


def _of_other_kinds(frame: pl.DataFrame, schema: Schema, split: str) -> Iterator[Finding]:
    """Columns of another split that hold text where training had numbers."""
    for column in schema.columns:
        kind = frame[column.name].dtype
        if not column.is_category and not (kind.is_numeric() or kind in (pl.Boolean, pl.Null)):
            yield Finding(
                "schema", "error", f"'{column.name}' in '{split}' holds {kind}, and training fixed it as "
                f"{column.kind}: look for values that are no numbers", column.name,
            )  # fmt: skip


def _of_drifted_column(values: Matrix, column: Column, split: str) -> Iterator[Finding]:
    if column.is_category:
        unseen = float(np.mean(values == UNSEEN))
        if unseen > MANY_UNSEEN:
            yield Finding(
                "levels", "warning", f"{unseen:.0%} of '{column.name}' in '{split}' are levels training never saw",
                column.name,
            )  # fmt: skip
    elif column.minimum is not None and column.maximum is not None:
        outside = float(np.mean((values < column.minimum) | (values > column.maximum)))
        if outside > MANY_OUT_OF_RANGE:
            yield Finding(
                "range", "warning", f"{outside:.0%} of '{column.name}' in '{split}' lie outside the "
                f"{column.minimum:g} to {column.maximum:g} of training", column.name,
            )  # fmt: skip


def _of_expectation(schema: Schema, expected: Schema) -> Iterator[Finding]:
    """Where the table differs from the schema somebody promised, for example that of the model now serving."""
    here = {column.name: column for column in schema.columns}
    for column in expected.columns:
        found = here.get(column.name)
        if found is None:
            yield Finding("schema", "error", f"the expected column '{column.name}' is not there", column.name)
        elif found.kind != column.kind and {found.kind, column.kind} != {"integer", "number"}:
            yield Finding("schema", "error", f"'{column.name}' is {found.kind}, expected {column.kind}", column.name)
        else:
            yield from _of_expected_values(found, column)
    for name in sorted(set(here) - set(expected.names)):
        yield Finding("schema", "warning", f"'{name}' was not expected and is learned from", name)
    yield from _of_expected_classes(schema.classes, expected.classes)


def _of_expected_values(found: Column, expected: Column) -> Iterator[Finding]:
    for limit, side, beyond in (("minimum", "below", -1), ("maximum", "above", 1)):
        here, there = getattr(found, limit), getattr(expected, limit)
        if here is not None and there is not None and (here - there) * beyond > 0:
            yield Finding(
                "range", "warning", f"'{found.name}' reaches {here:g}, {side} the expected {there:g}", found.name
            )
    fresh = set(found.levels) - set(expected.levels)
    if expected.levels and len(fresh) > MANY_UNSEEN * len(found.levels):
        yield Finding(
            "levels", "warning", f"{len(fresh)} of {len(found.levels)} levels of '{found.name}' were not expected",
            found.name,
        )  # fmt: skip


def _of_expected_classes(found: Sequence[str], expected: Sequence[str]) -> Iterator[Finding]:
    if tuple(found) != tuple(expected):
        yield Finding(
            "schema", "error",
            f"the classes are {', '.join(found) or 'none'}, expected {', '.join(expected) or 'none'}",
        )  # fmt: skip
