"""Score a model on rows it never saw, overall and slice by slice, and draw what numbers alone hide."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from contract.records import RecordError, Schema, nearest
from contract.stages import EVALUATION_FILE, PREDICTIONS_FILE, QUALITY_FILE, REPORT_FILE
from families.family import Matrix, Table
from families.opening import Predictor
from training.drawing import figure, png
from training.report import Report
from training.scores import BINS, Score, metrics, scores

FEW_LEVELS = 12
SMALLEST_SLICE = 30
DARK = 0.6  # share of a row from which a field of the confusion plot is too dark for black figures
ASKED = 300  # rows that are asked one by one to see how long an answer takes
PREDICTED, PROBABILITY = "predicted", "predicted_probability"


@dataclass(frozen=True, slots=True)
class Slice:
    """The metrics of the rows that share a level of a column."""

    column: str
    level: str
    rows: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores on held-out data."""

    schema: Schema
    rows: int
    split: str
    scores: Mapping[str, Score]
    slices: Sequence[Slice]
    answers: Matrix = field(repr=False)
    target: Matrix = field(repr=False)

    @property
    def metrics(self) -> dict[str, float]:
        return {name: score.value for name, score in self.scores.items()}

    def confusion(self) -> list[list[int]]:
        """How many rows of each true class (down) were given each class (across)."""
        classes = len(self.schema.classes)
        pairs = self.target.astype(np.int64) * classes + self.answers.argmax(axis=1)
        counted = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
        return [[int(count) for count in row] for row in counted]

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "version": 1,
            "task": self.schema.task,
            "rows": self.rows,
            "split": self.split,
            "metrics": {name: score.to_json() for name, score in self.scores.items()},
            "slices": [
                {"column": each.column, "level": each.level, "rows": each.rows, "metrics": dict(each.metrics)}
                for each in self.slices
            ],
        }
        if self.schema.task == "classification":
            document |= {"classes": list(self.schema.classes), "confusion": self.confusion()}
        return document

    def to_model_quality(self) -> dict[str, Any]:
        """The document SageMaker's registry shows as a package's model quality."""
        if self.schema.task == "regression":
            kind = "regression_metrics"
        else:
            kind = (
                "binary_classification_metrics"
                if len(self.schema.classes) == 2
                else "multiclass_classification_metrics"
            )
        found: dict[str, Any] = {
            name: {"value": score.value, "standard_deviation": score.deviation} for name, score in self.scores.items()
        }
        if self.schema.task == "classification":
            names = self.schema.classes
            counted = self.confusion()
            found["confusion_matrix"] = {
                true: {given: counted[row][column] for column, given in enumerate(names)}
                for row, true in enumerate(names)
            }
        return {"version": 0.0, "dataset": {"item_count": self.rows}, kind: found}


def evaluate(model: Predictor, table: Table, *, split: str, seed: int, slices: Sequence[str] = ()) -> Evaluation:
    """Scores of the model on a table; `slices` names category columns, empty takes those of few levels."""
    answers = np.asarray(model.predict(table.rows), dtype=np.float64)
    return Evaluation(
        table.schema,
        len(table.target),
        split,
        scores(answers, table.target, table.schema, seed=seed),
        tuple(_slices(table, answers, sliced_columns(table.schema, slices))),
        answers,
        table.target,
    )


def sliced_columns(schema: Schema, wanted: Sequence[str]) -> list[int]:
    """The category columns to evaluate level by level: those asked for, else those of few levels."""
    categories = {column.name: at for at, column in enumerate(schema.columns) if column.is_category}
    for name in wanted:
        if name not in categories:
            raise RecordError(
                f"slices names '{name}', which is no category column.{nearest(name, list(categories))} "
                f"Category columns: {', '.join(categories) or 'none'}."
            )
    if wanted:
        return [categories[name] for name in wanted]
    return [at for name, at in categories.items() if len(schema.columns[at].levels) <= FEW_LEVELS]


def _slices(table: Table, answers: Matrix, columns: Sequence[int]) -> Iterator[Slice]:
    for at in columns:
        column = table.schema.columns[at]
        for index, level in enumerate(column.levels):
            rows = table.rows[:, at] == index
            if rows.sum() >= SMALLEST_SLICE:
                found = metrics(answers[rows], table.target[rows], table.schema)
                yield Slice(column.name, level, int(rows.sum()), found)


def predictions(frame: pl.DataFrame, evaluation: Evaluation) -> pl.DataFrame:
    """The rows with what the model answered beside them, in the names the monitor counts."""
    answers, schema = evaluation.answers, evaluation.schema
    known = frame.filter(pl.col(schema.target).is_not_null())
    if schema.task == "regression":
        return known.with_columns(pl.Series(PREDICTED, answers[:, 0]))
    chosen = [schema.classes[at] for at in answers.argmax(axis=1)]
    likely = answers[:, -1] if len(schema.classes) == 2 else answers.max(axis=1)
    return known.with_columns(pl.Series(PREDICTED, chosen), pl.Series(PROBABILITY, likely))


def slow_answer(model: Predictor, rows: Matrix, asked: int = ASKED) -> float:
    """How many milliseconds one answer in a hundred takes at least, asked row by row on this machine."""
    some = rows[:asked]
    took = []
    for at in range(len(some)):
        started = time.perf_counter()
        model.predict(some[at : at + 1])
        took.append(time.perf_counter() - started)
    return float(np.percentile(took, 99) * 1000) if took else 0.0


def write_evaluation(
    evaluation: Evaluation,
    folder: Path,
    frame: pl.DataFrame,
    about: Mapping[str, object],
    latency_p99_ms: float | None = None,
) -> None:
    """The files of an evaluation: for programs, for the registry, for the monitor, and for people."""
    folder.mkdir(parents=True, exist_ok=True)
    timed: dict[str, float] = {} if latency_p99_ms is None else {"latency_p99_ms": latency_p99_ms}
    document = evaluation.to_json() | timed | {"model": dict(about)}
    (folder / EVALUATION_FILE).write_text(json.dumps(document, indent=1) + "\n")
    (folder / QUALITY_FILE).write_text(json.dumps(evaluation.to_model_quality(), indent=1) + "\n")
    predictions(frame, evaluation).write_parquet(folder / PREDICTIONS_FILE)
    drawn = plots(evaluation)
    for name, content in drawn.items():
        (folder / f"{name}.png").write_bytes(content)
    (folder / REPORT_FILE).write_text(page(evaluation, drawn, about))


def page(evaluation: Evaluation, drawn: Mapping[str, bytes], about: Mapping[str, object]) -> str:
    report = Report("Evaluation")
    report.facts({**about, "rows": evaluation.rows, "split": evaluation.split})
    report.heading("Metrics, with 95 % intervals")
    rows = [(name, each.value, each.low, each.high) for name, each in evaluation.scores.items()]
    report.table(("metric", "value", "from", "to"), rows)
    for name, content in drawn.items():
        report.plot(content, name.replace("_", " "))
    if evaluation.slices:
        report.heading("Slices")
        names = list(evaluation.scores)
        report.table(
            ("column", "level", "rows", *names),
            (
                [each.column, each.level, each.rows, *(each.metrics.get(name, "") for name in names)]
                for each in evaluation.slices
            ),
        )
    return report.page()


def plots(evaluation: Evaluation) -> dict[str, bytes]:
    if evaluation.schema.task == "regression":
        return {"predicted_and_true": _draw_numbers(evaluation)}
    drawn = {"confusion": _draw_confusion(evaluation), "calibration": _draw_calibration(evaluation)}
    if len(evaluation.schema.classes) == 2:
        drawn["ranking"] = _draw_ranking(evaluation)
    return drawn


def _draw_confusion(evaluation: Evaluation) -> bytes:
    drawn, (panel,) = figure()
    counted, names = np.array(evaluation.confusion()), evaluation.schema.classes
    shares = counted / np.maximum(1, counted.sum(axis=1, keepdims=True))
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counted):
        ink = "white" if shares[row, column] > DARK else "black"
        panel.text(column, row, str(count), ha="center", va="center", color=ink)
    panel.set(xticks=range(len(names)), yticks=range(len(names)), xlabel="given", ylabel="true", title="Confusion")
    panel.set_xticklabels(names)
    panel.set_yticklabels(names)
    return png(drawn)


def _draw_calibration(evaluation: Evaluation) -> bytes:
    drawn, (panel,) = figure()
    codes = evaluation.target.astype(np.int64)
    for at, name in enumerate(evaluation.schema.classes):
        if len(evaluation.schema.classes) == 2 and at == 0:
            continue
        order = np.array_split(np.argsort(evaluation.answers[:, at], kind="stable"), BINS)
        parts = [part for part in order if part.size]
        promised = [evaluation.answers[part, at].mean() for part in parts]
        panel.plot(promised, [(codes[part] == at).mean() for part in parts], marker="o", label=name)
    panel.plot([0, 1], [0, 1], color="grey", linestyle=":")
    panel.set(xlabel="promised chance", ylabel="came true", title="Calibration")
    panel.legend()
    return png(drawn)


def _draw_ranking(evaluation: Evaluation) -> bytes:
    from sklearn.metrics import precision_recall_curve, roc_curve

    drawn, (roc, trade) = figure(2)
    wanted = evaluation.target == 1
    if wanted.all() or not wanted.any():
        return png(drawn)
    wrong, right, _ = roc_curve(wanted, evaluation.answers[:, 1])
    roc.plot(wrong, right)
    roc.plot([0, 1], [0, 1], color="grey", linestyle=":")
    roc.set(xlabel="false positives", ylabel="true positives", title="ROC")
    precision, recall, _ = precision_recall_curve(wanted, evaluation.answers[:, 1])
    trade.plot(recall, precision)
    trade.set(xlabel="recall", ylabel="precision", title="Precision and recall")
    return png(drawn)


def _draw_numbers(evaluation: Evaluation) -> bytes:
    drawn, (pairs, left) = figure(2)
    answers = evaluation.answers[:, 0]
    ends = [float(evaluation.target.min()), float(evaluation.target.max())]
    pairs.plot(evaluation.target, answers, ".", alpha=0.3)
    pairs.plot(ends, ends, color="grey", linestyle=":")
    pairs.set(xlabel="true", ylabel="given", title="Given and true")
    left.hist(answers - evaluation.target, bins=40)
    left.set(xlabel="given minus true", title="What is left")
    return png(drawn)
